"""The process is killed in the middle of a paid call: the next one has every payment in its books."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..conftest import MORE
from .books import compare
from .killed import STATES, drawn

if TYPE_CHECKING:
    from .conftest import Running

pytestmark = pytest.mark.ci


SEED = 20260401
KILLS = 224
"""Of one round, which has a devnet of its own; round 1 has another seed than round 0."""
LANES = 8


@pytest.mark.timeout(600 if MORE == 1 else 3600)  # so many rounds run beside other work
@pytest.mark.parametrize("round", range(MORE))
def test_after_a_kill_at_any_point_each_transfer_has_its_authorization_and_its_receipts(
    devnet_for: Callable[..., Running],
    run_script: Callable[[str, str], subprocess.Popen[str]],
    report: Callable[[str], None],
    tmp_path: Path,
    round: int,
) -> None:
    seed = SEED + round
    devnet = devnet_for(LANES, settle_after=0.3, token_delay=0.005)
    lanes: list[list[dict[str, Any]]] = [[] for _ in range(LANES)]
    ways: dict[str, dict[str, Any]] = {}
    for number, way in enumerate(drawn(seed, KILLS)):
        name = f"kill-{number}"
        payer = number % LANES
        ledger = str(tmp_path / f"{name}.db")
        common = {"devnet": json.dumps(devnet.info), "key": devnet.keys[payer], "settle": 0.8}
        ways[name] = {"name": name, "ledger": ledger, **way}
        lanes[payer].append(common | ways[name])

    lines = _run(run_script, tmp_path / "kills.json", lanes)
    devnet.settle()
    last_looks = [
        [{"devnet": json.dumps(devnet.info), "key": jobs[0]["key"], "ledgers": [job["ledger"] for job in jobs]}]
        for jobs in lanes
    ]
    assert _run(run_script, tmp_path / "looks.json", last_looks) == [{}] * LANES

    books = compare(devnet.info, devnet.payers, [Path(way["ledger"]) for way in ways.values()])
    states = Counter(line["state"] for line in lines)
    report(
        f"kill test, seed {seed}: {len(lines)} kills, {sum(not way['target'] for way in ways.values())} of them at a random time: "
        + ", ".join(f"{states[state]} {state}" for state in dict.fromkeys(STATES.values()))
        + f"; {len(books.signed)} authorizations, {len(books.transfers)} transfers, {len(books.problems)} problems"
    )
    problems = [f"seed {seed}, {ways[line['name']]}: {line}" for line in lines if not _went_well(line)]
    problems += books.problems
    assert not problems, "\n".join(problems)
    assert len(lines) == KILLS >= 200
    assert set(states) == set(STATES.values())


def _run(
    run_script: Callable[[str, str], subprocess.Popen[str]], plan: Path, lanes: list[list[dict[str, Any]]]
) -> list[Any]:
    plan.write_text(json.dumps(lanes))
    process = run_script("killed.py", str(plan))
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    assert process.wait(30) == 0
    return lines


def _went_well(line: dict[str, Any]) -> bool:
    """It was killed where it should be, and the next one asked and was answered as if nothing had been."""
    after = line["next"]
    return line["killed"] and not line["missed"] and not line["failed"] and after.get("proofs") == [True, True]
