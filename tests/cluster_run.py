"""Asks many rows by `og.ask_many(..., cluster=...)` on worker processes of Dask, kills some, and shows what came of it.

    python -m tests.cluster_run [ROWS] [--workers N] [--kills N] [--out PLACE] [--budget OPG [--raised OPG]]

The gateway's side counts the questions that reached it. With `--budget` a session is signed for 0.004 OPG, which is some
rows, so that the budget ends partway; after that it is raised, and the run resumed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.books import compare
from tests.long_run import Gate

_ROOT = Path(__file__).parents[1]
AT_ONCE = 4
"""Rows of one worker that are on their way at once."""
CAP = "0.004"
"""OPG that a session is signed for, where there is a budget."""
PROMPT = "[[words:3]] [[slow:{delay}]] Classify: {text}"


class CountingGate(Gate):
    """A gate that counts the paid questions that went through it.

    Attributes:
        asked: number of times by prompt.
    """

    def __init__(self, upstream: str) -> None:
        self.asked: Counter[str] = Counter()
        super().__init__(upstream)

    def note(self, head: bytes, body: bytes) -> None:
        names = {line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")}
        if names & {b"payment-signature", b"x-upto-session"}:
            self.asked[json.loads(body)["messages"][-1]["content"]] += 1


@dataclass
class Within:
    """What came of the part of a run that a budget had room for.

    Attributes:
        answered: rows in the place. unasked: rows of which there is nothing. reasons: errors of the others, each once.
        budget, committed: base units; the second of all that was signed, or of what was paid of it.
        receipts: rows that are in the place, and answered by a receipt here.
    """

    answered: int
    unasked: int
    reasons: list[str]
    budget: int
    committed: int
    receipts: int
    stopped: str


@dataclass
class Told:
    """What the process that asked tells at its end.

    Attributes:
        served, unserved: numbers of receipts. cost: base units, of rows that were asked. receipts: the same of their receipts.
        settled: of all receipts. authorized: caps of all authorizations.
        stopped: the kind of the error after which nothing more was asked.
    """

    rows: int = 0
    answered: int = 0
    failed: int = 0
    kills: int = 0
    seconds: float = 0.0
    served: int = 0
    unserved: int = 0
    cost: int = 0
    receipts: int = 0
    authorized: int = 0
    settled: int = 0
    stopped: str = ""
    listed_cost: str = ""
    within: Within | None = None
    problems: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What came of a run.

    Attributes:
        twice: rows whose question reached the gateway more than once. in_flight: the most that the kills can have cut.
        paid: base units that left the wallet on the chain.
        leaks: private words that were found in logs.
    """

    told: Told
    workers: int
    twice: int = 0
    in_flight: int = 0
    paid: int = 0
    leaks: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        told, within = self.told, self.told.within
        partway = within and [
            f"{'within the first budget':<44}{within.answered:,} answered, {within.unasked:,} not asked, stopped by {within.stopped}",
            f"{'committed of it, base units':<44}{within.committed} of {within.budget}",
            f"{'the others say':<44}{'; '.join(within.reasons)}",
        ]
        return [
            *(partway or []),
            f"{'workers':<44}{self.workers}, killed {told.kills}",
            f"{'rows answered':<44}{told.answered:,} of {told.rows:,}, {told.failed} failed, in {told.seconds:.0f} s",
            f"{'stopped by':<44}{told.stopped or 'nothing'}",
            f"{'questions that reached the gateway twice':<44}{self.twice} (at most {self.in_flight} were in flight at kills)",
            f"{'receipts served, and without an answer':<44}{told.served:,} and {told.unserved:,}",
            f"{'cost of the rows, and of their receipts':<44}{told.cost} and {told.receipts}",
            f"{'paid on the chain, and by all receipts':<44}{self.paid} and {told.settled}",
            f"{'authorized, base units':<44}{told.authorized}",
            f"{'problems in the ledger':<44}{'; '.join(told.problems) or 'none'}",
            f"{'prompts, answers or keys in logs':<44}{'; '.join(self.leaks) or 'none'}",
        ]


# -- the process that asks -------------------------------------------------------------------------


def ask(given: dict[str, Any]) -> None:
    """Ask all rows on a cluster of processes, kill workers meanwhile, and print what came of it, as JSON."""
    import pandas as pd
    from distributed import Client, LocalCluster

    import og_magics as og
    from og_magics.core.amounts import parse_opg
    from og_magics.session.asking import current, options_from
    from og_magics.session.many import BatchRequest

    logging.basicConfig(level=logging.DEBUG, filename="driver.log")
    frame = pd.DataFrame({"text": [f"private-word {at}" for at in range(given["rows"])], "delay": given["delay"]})
    told, chance = Told(rows=len(frame)), random.Random(given["seed"])
    with (
        LocalCluster(given["workers"], threads_per_worker=1, dashboard_address=":0", silence_logs=False) as cluster,
        Client(cluster) as client,
    ):
        options = options_from({"max_tokens": 20, "stream": False})
        app = current()
        if given["budget"]:
            app.update_settings(budget_notebook=parse_opg(given["budget"]))
        request = BatchRequest(frame, AT_ONCE, PROMPT, given["out"], None, 60.0, False, options, None, client)
        began = time.monotonic()
        run: Any = request.start()
        deaths = sorted(len(frame) * at // 100 for at in chance.sample(range(20, 70), given["kills"]))

        def kill() -> None:
            while deaths and not run._run.future.done():
                if run._result.answered >= deaths[0]:
                    deaths.pop(0)
                    os.kill(chance.choice(sorted(client.run(os.getpid).values())), signal.SIGKILL)
                    told.kills += 1
                time.sleep(0.05)

        killing = threading.Thread(target=kill)
        killing.start()
        many: Any = None
        try:
            many = run.wait()
        except og.errors.OGError as error:
            told.stopped = type(error).__name__
        killing.join()
        if many is not None and given["raised"]:
            told.within = _within(many, app)
            app.update_settings(budget_notebook=parse_opg(given["raised"]))
            many = many.resume()
        told.seconds = time.monotonic() - began
    print("asked", flush=True)
    sys.stdin.readline()  # all is settled
    og.settle(60)
    receipts = og.receipts()
    if many is not None:
        told.answered, told.failed, told.listed_cost = many.answered, many.failures.total(), str(many.cost)
        told.stopped = type(many.stopped_by).__name__ if many.stopped_by else ""
        rows = many.frame
        assert list(rows.index) == sorted(set(rows.index)), "a row is there twice"
        told.answered = int(rows["text"].notna().sum())
        asked = rows[~rows["replayed"].astype(bool) & rows["text"].notna()]
        told.cost = sum(map(int, asked["cost"]))
        mine = receipts[receipts["receipt_id"].isin(set(asked["receipt_id"]))]
        told.receipts = sum(int(cost * 10**18) for cost in mine["cost_opg"])
    served = receipts["status"].isin(["served", "paid", "settled", "verified"])
    told.served, told.unserved = int(served.sum()), int((~served).sum())
    told.problems = [str(one) for one in og.verify(online=False).attrs["problems"]]
    told.settled = sum(int(cost * 10**18) for cost in receipts["cost_opg"].dropna())
    print(json.dumps(asdict(told)), flush=True)


def _within(many: Any, app: Any) -> Within:
    rows, ledger = many.frame, app.ledger
    answered = rows[rows["text"].notna()]
    failed = rows.loc[rows["text"].isna(), "error"]
    return Within(
        answered=len(answered),
        unasked=len(many) - len(rows),
        reasons=sorted({str(one)[:160] for one in failed}),
        budget=app.settings.budget_notebook,
        committed=sum(ledger.committed(chain) for chain in ledger.chains()),
        receipts=sum(ledger.receipt(one).status != "failed" for one in answered["receipt_id"]),
        stopped=type(many.stopped_by).__name__,
    )


# -- the one that watches --------------------------------------------------------------------------


def cluster_run(
    rows: int,
    folder: Path,
    *,
    workers: int = 4,
    kills: int = 2,
    out: str = "answers.parquet",
    budget: str = "",
    raised: str = "",
    delay: float = 0.2,
    seed: int = 0,
    environment: dict[str, str] | None = None,
) -> Report:
    """Ask so many rows on a cluster of this machine, with kills; return what came of it."""
    import sqlite3

    of_devnet = {"token_delay": 0, "settle_after": 30} | ({"cap": CAP} if budget else {})
    devnet = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.devnet", json.dumps(of_devnet)],
        cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert devnet.stdin is not None
    assert devnet.stdout is not None
    try:
        info = json.loads(devnet.stdout.readline())
        gate, (described, ledger) = (
            CountingGate(info["gateway_url_http"]),
            (folder / "devnet.json", folder / "ledger.db"),
        )
        described.write_text(json.dumps(info))
        kept = environment or {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
        kept |= {
            "OG_DEVNET": str(described), "OG_NETWORK": "devnet", "OG_GATEWAY_URL": gate.url, "HOME": str(folder),
            "OG_PRIVATE_KEY": info["accounts"][0]["private_key"], "OG_LEDGER": str(ledger),
            "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        given = {"rows": rows, "workers": workers, "kills": kills, "out": out, "delay": delay, "seed": seed}
        given |= {"budget": budget, "raised": raised}
        with (folder / "workers.log").open("wb") as log:
            asking = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster_run", "--ask", json.dumps(given)], cwd=folder, env=kept,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert asking.stdin is not None
        assert asking.stdout is not None
        line = asking.stdout.readline()
        if line != "asked\n":
            raise RuntimeError((folder / "workers.log").read_text()[-3000:])
        devnet.stdin.write("settle\n")
        devnet.stdin.flush()
        devnet.stdout.readline()
        asking.stdin.write("settled\n")
        asking.stdin.flush()
        lines = asking.stdout.read().splitlines()
        asking.stdin.close()
        asking.stdout.close()
        if asking.wait():
            raise RuntimeError((folder / "workers.log").read_text()[-3000:])
        told = json.loads(lines[-1])
        told["within"] = told["within"] and Within(**told["within"])
        report = Report(Told(**told), workers, in_flight=AT_ONCE * kills)
        report.twice = sum(1 for count in gate.asked.values() if count > 1)
        payer = info["accounts"][0]["address"]
        books = compare(info, [payer], [ledger])
        report.paid = sum(one.amount for one in books.transfers)
        # A question that was in flight when its worker was killed is paid again.
        report.told.problems += [one for one in books.problems if "two paid authorizations" not in one]
    finally:
        devnet.stdin.close()
        devnet.wait(120)
        devnet.stdout.close()
    with sqlite3.connect(ledger) as file:
        report.told.authorized = sum(int(cap) for (cap,) in file.execute("SELECT cap FROM authorizations"))
    texts = "".join(path.read_text() for path in (folder / "workers.log", folder / "driver.log") if path.exists())
    private = ["private-word", info["accounts"][0]["private_key"], info["accounts"][0]["private_key"][2:]]
    report.leaks = [one[:12] for one in private if one in texts]
    return report


def main(given: list[str]) -> int:
    """Run it, and print the table."""
    if given[:1] == ["--ask"]:
        ask(json.loads(given[1]))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.cluster_run")
    parser.add_argument("rows", nargs="?", type=int, default=400)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--out", default="answers.parquet")
    parser.add_argument("--budget", default="")
    parser.add_argument("--raised", default="")
    chosen = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        report = cluster_run(
            chosen.rows, Path(folder), workers=chosen.workers, kills=chosen.kills, out=chosen.out, budget=chosen.budget,
            raised=chosen.raised,
        )  # fmt: skip
    print("\n".join(report.lines()))
    ends_partway = chosen.budget and not chosen.raised
    return 0 if report.told.answered == chosen.rows or ends_partway else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
