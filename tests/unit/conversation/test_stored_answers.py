"""What a run into a folder counts while its rows end at the same time."""

from __future__ import annotations

import asyncio
from array import array
from decimal import Decimal
from pathlib import Path

from og_magics.conversation import Answer
from og_magics.conversation.row_store import RowStore
from og_magics.conversation.stored_answers import StoredAnswers, StoredRows
from og_magics.conversation.turn import Turn
from og_magics.core.errors import StreamError
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make

ROWS = 24


async def test_the_prices_of_rows_that_end_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    make = Make()
    with Ledger(tmp_path / "run.db") as ledger:
        turns = [Turn(make.question(f"{at}?")) for at in range(ROWS)]
        store = RowStore(tmp_path / "answers", []).open()
        result = StoredAnswers(store, ROWS, lambda _: {}, lambda: result)
        todo, prompt = array("q", range(ROWS)), "{}?".format
        stored = StoredRows(result, store, todo, turns.__getitem__, prompt, ledger, [])
        rows = list(stored)
        for at, row in enumerate(rows):
            receipt = ledger.open(turns[at].request, "devnet", 1_800_000_000.0)
            ledger.serve(receipt, make.outcome(), cost_usd="0.01", weight=1, enclave=make.verdict)
            row.progress.opened(receipt)
        failed = StreamError("It broke off.")
        await asyncio.gather(*(row.fail(failed) if at % 6 == 5 else row.keep(Answer()) for at, row in enumerate(rows)))
        stored.finish()
        assert (result.answered, result.failures.total()) == (20, 4)
        assert result.cost == Decimal("0.01") * ROWS
        assert sum(result.frame["cost_usd"]) == result.cost
