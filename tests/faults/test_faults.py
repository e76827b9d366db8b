"""A proxy breaks what passes between client and gateway: each call ends in an answer or an error, and the books agree."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from og_magics import LLM, x402SettlementMode
from og_magics.core.errors import GatewayUnreachable, OGError
from og_magics.core.types import TextGenerationOutput
from og_magics.devnet.model.protocol import Delta
from og_magics.devnet.model.simulated import SimulatedModel
from og_magics.ledger import Ledger

from ..conftest import MORE
from .books import asked, compare
from .proxy import COMBINATIONS, Fault, Proxy

if TYPE_CHECKING:
    from .conftest import Running

pytestmark = pytest.mark.ci


SEED = 20260402
RUNS = 555
"""Of one round, which has a devnet of its own; round 1 has another seed than round 0."""
AT_ONCE = 12
SETTLE_AFTER = 0.2  # seconds: a repetition finds its session alive or settled, as it happens
MODEL = "openai/gpt-5"

TIMEOUT = 2.0
"""Seconds without a byte after which a request fails."""
DEADLINE = 40.0
"""Seconds for a whole question, its bounded repetitions included: what takes longer hangs."""


@dataclass
class Run:
    """One question under faults, and what came of it. All that is left to chance is drawn from its seed and number.

    Attributes:
        forms: how its question, and the one after the faults, are asked.
        warm: a question before the faults makes a session, in which the others are asked.
        company: so many questions are asked at once.
        keep_alive: whether the proxy takes several requests on a connection.
        reassured: what the errors said that promised that nothing was even sent, by question.
    """

    seed: int
    number: int
    key: str
    faults: tuple[Fault, ...]
    forms: tuple[str, str]
    warm: bool
    company: int
    keep_alive: bool
    questions: list[str] = field(default_factory=list)
    proxy: Proxy | None = None
    ended: str = ""
    disproved: bool = False
    took: float = 0.0
    problems: list[str] = field(default_factory=list)
    reassured: dict[str, str] = field(default_factory=dict)

    @classmethod
    def draw(cls, seed: int, number: int, key: str) -> Run:
        chance = random.Random(f"{seed}/{number}")
        stage, kind = COMBINATIONS[number % len(COMBINATIONS)]
        faults = [Fault.draw(stage, kind, chance)]
        if chance.random() < 0.2:
            faults.append(Fault.draw(*chance.choice([c for c in COMBINATIONS if c[0] != stage]), chance))
        form = chance.choice(["whole", "stream", "stream", "completion"])
        return cls(
            seed,
            number,
            key,
            tuple(faults),
            (form, "completion" if form == "completion" else chance.choice(["whole", "stream"])),
            warm=stage not in ("key", "first request", "challenge") and chance.random() < 0.4,
            company=3 if chance.random() < 0.15 else 1,
            keep_alive=chance.random() < 0.5,
        )

    def __str__(self) -> str:
        how = f"{self.forms}, warm={self.warm}, company={self.company}, keep_alive={self.keep_alive}"
        return f"fault-{self.number} (seed {self.seed}, {self.faults}, {how}), {self.ended}"


@pytest.mark.timeout(600 if MORE == 1 else 3600)  # so many rounds run beside other work
@pytest.mark.parametrize("round", range(MORE))
async def test_under_any_fault_a_call_ends_in_time_and_its_receipt_and_the_chain_agree(
    devnet_for: Callable[..., Running], report: Callable[[str], None], tmp_path: Path, round: int
) -> None:
    devnet = await asyncio.to_thread(devnet_for, AT_ONCE, settle_after=SETTLE_AFTER, token_delay=0.002)
    runs = [Run.draw(SEED + round, number, devnet.keys[number % AT_ONCE]) for number in range(RUNS)]
    await _each(runs, lambda run: _run(run, devnet, tmp_path))
    await asyncio.to_thread(devnet.settle)
    await _each(runs, lambda run: _look(run, devnet, tmp_path))
    ledgers = [tmp_path / f"fault-{run.number}.db" for run in runs]
    books = await asyncio.to_thread(compare, devnet.info, devnet.payers, ledgers)

    problems = [f"{run}: {problem}" for run in runs for problem in run.problems] + books.problems
    for run in runs:
        assert run.proxy is not None
        for question in run.questions:
            paid = books.payments_of(run.proxy.served_by(question))
            if len(paid) > 1:
                problems.append(f"{run}: {question!r} was served and paid by {paid}")
            if paid and (said := run.reassured.get(question)):
                problems.append(f"{run}: {question!r} was served and paid by {paid}, and its error said {said!r}")
    struck = Counter((f.stage, f.kind) for run in runs if run.proxy for f in set(run.proxy.struck))
    ends = Counter(run.ended for run in runs)
    report(
        f"fault test, seed {SEED + round}: {len(runs)} runs, {sum(struck.values())} faults at {len(struck)} of {len(COMBINATIONS)} points: "
        + ", ".join(f"{count} {end}" for end, count in ends.most_common())
        + f"; {sum(run.disproved for run in runs)} answers disproved by the enclave's signature; the slowest "
        f"{max(run.took for run in runs):.1f} s; {len(books.signed)} authorizations, {len(books.transfers)} transfers, "
        f"{len(problems)} problems"
    )
    assert not problems, "\n".join(problems)
    assert len(runs) >= 500
    assert set(struck) == set(COMBINATIONS)


async def _each(runs: list[Run], work: Callable[[Run], Awaitable[None]]) -> None:
    """Work on all runs, on one of each payer at a time."""

    async def lane(first: int) -> None:
        for run in runs[first::AT_ONCE]:
            await work(run)

    await asyncio.gather(*(lane(first) for first in range(AT_ONCE)))


async def _run(run: Run, devnet: Running, folder: Path) -> None:
    gateway = urlsplit(devnet.info["gateway_url_http"])
    upstream, chance = (str(gateway.hostname), int(gateway.port or 0)), random.Random(f"{run.seed}/{run.number}/proxy")
    async with (
        Proxy(upstream, run.faults, chance, run.keep_alive) as run.proxy,
        _llm(run, devnet, folder, gateway_url=run.proxy.url) as llm,
    ):
        during, after = run.forms
        if run.warm:
            run.proxy.faulty = False
            await _ask_in_peace(run, llm, "before", during)
            run.proxy.faulty = True
        began = time.monotonic()
        error, *_ = await asyncio.gather(*(_ask(run, llm, f"question {n}", during) for n in range(run.company)))
        run.took = time.monotonic() - began
        run.ended = type(error).__name__ if error else "answered"
        if run.number % 3 == 0:
            await run.proxy.heal()
            await _ask_in_peace(run, llm, "after", after)


async def _look(run: Run, devnet: Running, folder: Path) -> None:
    """Look at the chain once more, when everything is settled."""
    async with _llm(run, devnet, folder) as llm:
        await asyncio.to_thread(llm.settle, 0)


async def _ask_in_peace(run: Run, llm: LLM, name: str, form: str) -> None:
    """Ask where nothing breaks; again, as the error says, where this machine was too slow for the short timeout."""
    for attempt in range(5):
        error = await _ask(run, llm, f"{name}, attempt {attempt}", form)
        if not (isinstance(error, GatewayUnreachable) and "did not answer in time" in str(error)):
            break
    if error is not None:
        run.problems.append(f"{name} the faults it ended in {error!r}")


@contextlib.asynccontextmanager
async def _llm(run: Run, devnet: Running, folder: Path, **settings: Any) -> Any:
    chosen = devnet.settings(folder / f"fault-{run.number}.db", timeout=TIMEOUT, watch=False, **settings)
    llm = LLM(run.key, settings=chosen)
    try:
        yield llm
    finally:
        await llm.close()
        assert isinstance(llm.journal, Ledger)
        llm.journal.close()


async def _ask(run: Run, llm: LLM, name: str, form: str) -> OGError | None:
    """One question to its end; what is wrong with it goes to the run's problems."""
    question = f"fault-{run.number}: {name}, as a {form}"
    run.questions.append(question)
    try:
        async with asyncio.timeout(DEADLINE):
            result = await _answer(llm, question, form)
    except OGError as error:
        if error.money.startswith(("Nothing was signed", "Nothing was sent")):
            run.reassured[question] = str(error)
        run.problems += _error_flaws(llm, question, error)
        return error
    except TimeoutError:
        run.problems.append(f"{question!r} hung")
    except Exception as error:
        run.problems.append(f"{question!r} ended in {error!r}")
    else:
        run.problems += await _answer_flaws(run, result, question)
    return None


async def _answer(llm: LLM, question: str, form: str) -> TextGenerationOutput:
    mode, messages = x402SettlementMode.PRIVATE, [{"role": "user", "content": question}]
    if form == "completion":
        return await llm.completion(MODEL, question, x402_settlement_mode=mode)
    if form == "whole":
        return await llm.chat(MODEL, messages, x402_settlement_mode=mode)
    shown = ""
    async for chunk in await llm.chat(MODEL, messages, x402_settlement_mode=mode, stream=True):
        shown += chunk.choices[0].delta.content or ""
    assert chunk.output is not None, "a stream ended without its last chunk"
    assert shown == chunk.output.text, "a stream showed another text than its result has"
    return chunk.output


def _error_flaws(llm: LLM, question: str, error: OGError) -> list[str]:
    receipts = [receipt for receipt in llm.journal.receipts() if asked(receipt) == question]
    said = [(receipt.status, receipt.error or "") for receipt in receipts]
    agrees = len(said) == 1 and said[0][0] == "failed" and said[0][1].startswith(type(error).__name__)
    return [] if agrees else [f"{question!r} ended in {error!r} and its receipts say {said}"]


async def _answer_flaws(run: Run, result: TextGenerationOutput, question: str) -> list[str]:
    receipt = result.receipt
    assert receipt is not None
    flaws = []
    if receipt.status not in ("served", "settled") or receipt.text != result.text or receipt.error:
        flaws.append(f"{question!r} was answered {result.text!r} and its receipt says {receipt}")
    if receipt.enclave_ok is False:
        run.disproved = True
    # Without the gateway's key, which a fault kept from the client, nothing can be disproved.
    undisproved = receipt.enclave_ok or (receipt.enclave_ok is None and receipt.public_key)
    if undisproved and result.text != await _truth(receipt.request):
        flaws.append(
            f"{question!r} was answered wrongly ({result.text!r}) with enclave_ok={receipt.enclave_ok}, "
            f"{receipt.enclave_reason}"
        )
    return flaws


async def _truth(body: Any) -> str:
    """What the simulated model answers."""
    pieces = SimulatedModel(0).answer({**body, "stream": False})
    return "".join([piece.fields["content"] async for piece in pieces if isinstance(piece, Delta)])
