"""What a ledger's file repeats is packed, and everything is read, replayed and audited as if it were not."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.core.types import Enclave
from og_magics.ledger import FrameCache, Ledger, receipts_frame
from og_magics.ledger.copying import copy_ledger
from og_magics.ledger.packing import PLAIN

from .conftest import by_hand

_PROMPT = "Classify the text below by its mood, in one word, and say nothing else. " * 8


def digits(*of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()


def fill(ledger: Ledger, make: Any, count: int, first: int = 0) -> list[str]:
    """Write receipts as a long run does: the same prompt with other words, answers, proofs and hashes."""
    ids = []
    for number in range(first, first + count):
        paying = make.authorization(number // 30 + 1)
        receipt = ledger.open(make.question(f"{_PROMPT}{digits(number)}"), "devnet", 1_800_000_000.0 + number)
        ledger.authorize(paying)
        ledger.attach(receipt, paying.hash, f"session-{number // 30}")
        outcome = make.outcome(
            text=f"Answer {number}: " + digits("a", number) * 5,
            latency=number / 7,
            enclave=Enclave("https://gateway.example", public_key=b"\x30\x01" * 147),
            tee_id="0x" + digits("tee"),
            tee_signature=base64.b64encode(bytes.fromhex(digits("s", number) * 8)).decode(),
            tee_request_hash=digits("q", number),
            tee_output_hash=digits("o", number),
            data_settlement_hash=None,
            blob_id=None,
            attestation=b"document",
        )
        ledger.serve(receipt, outcome, cost_usd="0.0001", weight=number + 1, enclave=make.verdict)
        ids.append(receipt)
    return ids


def seqs(ledger: Ledger, kind: str) -> list[int]:
    with by_hand(ledger) as connection:
        found = connection.execute("SELECT seq FROM journal WHERE kind = ? AND seq > ? ORDER BY seq", (kind, PLAIN))
        return [row[0] for row in found.fetchall()]


def test_what_was_written_is_read_again_in_every_way(ledger: Ledger, make: Any) -> None:
    ids = fill(ledger, make, 60)
    ledger.settle(make.settlement(make.authorization(1), 10**6))
    receipts = ledger.receipts()
    assert [one.receipt_id for one in receipts] == ids
    assert receipts[50].request["messages"][0]["content"] == f"{_PROMPT}{digits(50)}"
    assert receipts[50].text.startswith("Answer 50: ")
    assert receipts == [ledger.receipt(one) for one in ids]
    assert FrameCache(ledger).current().equals(receipts_frame(receipts))
    with by_hand(ledger) as connection:
        kinds = connection.execute("SELECT typeof(body), typeof(hash), seq > ? FROM journal", (PLAIN,)).fetchall()
        assert {tuple(row) for row in kinds} == {("text", "text", 0), ("blob", "blob", 1)}
        assert connection.execute("SELECT typeof(request) FROM receipts").fetchall()[50] == ("blob",)
    head = ledger.head()
    with Ledger(ledger.path) as other:
        assert other.head() == head
        assert other.audit(expected_head=head).ok
        other.check_money()
        cache = FrameCache(other)
        cache.current()
        fill(ledger, make, 1, first=60)
        assert len(cache.current()) == 61


def test_a_row_takes_two_kilobytes_beside_its_texts(ledger: Ledger, make: Any) -> None:
    fill(ledger, make, 100)
    before, texts = size_of(ledger), texts_of(ledger)
    fill(ledger, make, 400, first=100)
    grown = size_of(ledger) - before - (texts_of(ledger) - texts)
    assert grown / 400 < 2048


def size_of(ledger: Ledger) -> int:
    with by_hand(ledger) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return os.stat(ledger.path).st_size


def texts_of(ledger: Ledger) -> int:
    return sum(len(one.text) + len(one.request["messages"][0]["content"]) for one in ledger.receipts())


class TestByHand:
    @pytest.mark.parametrize("what", ["body = x'01000001ff'", "body = '{}'", "hash = zeroblob(32)", "time = time + 1"])
    def test_an_entry_that_was_changed_is_named_and_no_other(self, ledger: Ledger, make: Any, what: str) -> None:
        fill(ledger, make, 40)
        seq = seqs(ledger, "attached")[3]
        with by_hand(ledger) as connection:
            connection.execute(f"UPDATE journal SET {what} WHERE seq = ?", (seq,))
        assert [one.split(" is ")[0] for one in ledger.audit().problems] == [f"Entry {seq}"]
        with Ledger(ledger.path) as other, pytest.raises(LedgerError, match="changed by hand"):
            other.check_money()

    def test_an_entry_that_was_put_in_the_place_of_another_is_named(self, ledger: Ledger, make: Any) -> None:
        fill(ledger, make, 40)
        first, second = seqs(ledger, "served")[:2]
        with by_hand(ledger) as connection:
            connection.execute(
                "UPDATE journal SET body = (SELECT body FROM journal WHERE seq = ?) WHERE seq = ?", (first, second)
            )
        assert [one.split(" is ")[0] for one in ledger.audit().problems] == [f"Entry {second}"]

    @pytest.mark.parametrize(
        "statement", ["DELETE FROM dictionaries", "UPDATE dictionaries SET content = zeroblob(99)"]
    )
    def test_a_dictionary_that_was_changed_proves_nothing_any_more(
        self, ledger: Ledger, make: Any, statement: str
    ) -> None:
        ids = fill(ledger, make, 40)
        with by_hand(ledger) as connection:
            connection.execute(statement)
        found = ledger.audit()
        assert found.problems == [
            f"Entries {PLAIN + 1} to {found.length} are not as written: changed, moved or added by hand."
        ]
        assert ids[-1] in found.broken

    def test_a_text_that_was_changed_is_found(self, ledger: Ledger, make: Any) -> None:
        ids = fill(ledger, make, 40)
        with by_hand(ledger) as connection:
            connection.execute(
                "UPDATE receipts SET text = (SELECT text FROM receipts WHERE receipt_id = ?) WHERE receipt_id = ?",
                (ids[30], ids[31]),
            )
            connection.execute("UPDATE receipts SET request = x'01000000' WHERE receipt_id = ?", (ids[32],))
        assert set(ledger.audit().broken) == {ids[31], ids[32]}
        with pytest.raises(LedgerError, match="did not write"):
            ledger.receipt(ids[32])


def test_texts_that_no_packing_holds_stay_as_they_are(ledger: Ledger, make: Any) -> None:
    fill(ledger, make, 30)
    texts = ["", "\x00" * 1000, "\x01" * 300, "é😀" * 500, os.urandom(400).hex(), "a" * 3_000_000]
    ids = []
    for text in texts:
        receipt = make.attached(ledger, make.authorization(7))
        ledger.serve(receipt, make.outcome(text=text), cost_usd=None, weight=1, enclave=make.verdict)
        ids.append(receipt)
    assert [ledger.receipt(one).text for one in ids] == texts
    assert ledger.audit().ok


_WRITES = """
import sys
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make
from tests.unit.ledger.test_packing import fill
with Ledger(sys.argv[1]) as ledger:
    fill(ledger, Make(), 20)
    print("goes on", flush=True)
    fill(ledger, Make(), 100_000, first=20)
"""


@pytest.mark.ci
def test_a_process_killed_where_a_dictionary_begins_leaves_a_ledger_that_goes_on(ledger: Ledger, make: Any) -> None:
    for turn in range(6):
        path = ledger.path.with_name(f"{turn}.db")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        with subprocess.Popen(
            [sys.executable, "-c", _WRITES, str(path)], env=environment, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "goes on\n"
            with Ledger(path) as watched:
                while watched.head()[0] < PLAIN + turn:
                    pass
            child.send_signal(signal.SIGKILL)
        with Ledger(path) as left:
            assert left.head()[0] >= PLAIN
            assert left.audit().ok
            fill(left, make, 3, first=500)
            assert left.audit().ok
            left.check_money()


@pytest.mark.ci
def test_copies_go_both_ways_with_the_same_chain(ledger: Ledger, make: Any, postgres: Any) -> None:
    fill(ledger, make, 40)
    with Ledger(postgres.url()) as server, Ledger(ledger.path.with_name("back.db")) as back:
        assert copy_ledger(ledger, server).head == ledger.head() == server.head()
        assert copy_ledger(server, back).head == ledger.head() == back.head()
        for copy in (server, back):
            assert copy.receipts() == ledger.receipts()
            fill(copy, make, 2, first=100)
            assert copy.audit(expected_head=ledger.head()).ok
            copy.check_money()


def test_a_text_that_is_none_any_more_is_said_to_be_edited_and_the_audit_names_it(ledger: Ledger, make: Any) -> None:
    """`replace` in a database's shell makes such a thing of a packed text."""
    receipt = make.served(ledger, make.authorization())
    with by_hand(ledger) as connection:
        connection.execute("UPDATE receipts SET text = CAST(x'0100ff' AS TEXT)")
    with pytest.raises(LedgerError, match="a text that og_magics did not write"):
        ledger.receipt(receipt)
    assert set(ledger.audit().broken) == {receipt}
