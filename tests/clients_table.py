"""Prints what real clients see of `og-magics serve`, and what stays in its ledger.

    python -m tests.clients_table [CLIENT ...] [--folder DIR]

Each client gets an environment of its own in DIR (default: a temporary folder that is removed), and asks a devnet
through a server of its own: streamed, whole, with a function, and for a model that there is not. The exit status is 1
where one saw something else than it should.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from og_magics.devnet import Devnet
from og_magics.ledger import Ledger

from .clients import CLIENTS, CODA, PRELUDE, Client

ROOT = Path(__file__).resolve().parents[1]
KEY = "og-serve-for-the-table"
ANSWER = "HTTP"
"""A word of the devnet's answer to the question."""
TOOL_RESULT = "It rains in Paris"
WRONG = "gpt-nope"
CALLS = {"streamed": 1, "whole": 1, "tool": 2, "wrong": 0}
"""Calls that each takes; a function is called in between two."""
EXPECTED = {"streamed": ANSWER, "whole": ANSWER, "tool": TOOL_RESULT, "wrong": WRONG}


@dataclass
class Row:
    """What one client saw.

    Attributes:
        saw: by what was asked. failed: why something was not seen.
        receipts: that its calls left in the server's ledger. proven: of these, with a signature that holds.
    """

    client: str
    version: str = ""
    saw: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    receipts: int = 0
    proven: int = 0

    @property
    def ok(self) -> bool:
        """True where it saw all that it asks for, and each call that was answered left one receipt, which is proven."""
        calls = sum(CALLS[what] for what in self.saw)
        return bool(self.saw) and not self.failed and self.proven == self.receipts == calls

    def cell(self, what: str) -> str:
        """Return one cell of the table."""
        if what in self.failed:
            return "NO"
        return "yes" if what in self.saw else "-"


@contextlib.contextmanager
def served(devnet: Devnet, folder: Path) -> Iterator[tuple[str, Ledger]]:
    """Run `og-magics serve` on a devnet; yield its URL and its ledger."""
    environment = os.environ | {
        "OG_DEVNET": json.dumps(devnet.info), "OG_SERVE_KEY": KEY, "OG_LEDGER": str(folder / "serve.db"),
        "OG_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "og_magics", "serve", "--port", "0"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    reader: threading.Thread | None = None
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if found := re.search(r"OPENAI_BASE_URL=(\S+)", line):
                break
        else:
            raise RuntimeError(f"og-magics serve did not start: {printed}")
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        with Ledger(folder / "serve.db") as ledger:
            yield found[1], ledger
    finally:
        process.terminate()
        process.wait(30)
        if reader is not None:
            reader.join(30)
        process.stdout.close()


def ask(client: Client, python: Path, url: str, ledger: Ledger, folder: Path) -> Row:
    """Let a client ask, and return what it saw."""
    before = {one.receipt_id for one in ledger.receipts()}
    script = folder / f"asking_{client.name}.py"
    script.write_text(f"{PRELUDE}\nVERSION_OF = {client.version_of!r}\n{client.script}\n{CODA}")
    row = Row(client.name)
    done = subprocess.run(
        [str(python), str(script)], env=_environment(client, url, folder), cwd=folder, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith('{"what": '):
            _note(row, json.loads(line))
    if done.returncode:
        row.failed["all"] = done.stderr.strip()[-600:]
    new = [one for one in ledger.receipts() if one.receipt_id not in before]
    row.receipts, row.proven = len(new), sum(one.enclave_ok is True for one in new)
    return row


def _note(row: Row, line: Mapping[str, str]) -> None:
    what = line["what"]
    if what == "version":
        row.version = line["saw"]
    elif EXPECTED[what].lower() in line.get("saw", "").lower():
        row.saw[what] = " ".join(line["saw"].split())
    else:
        row.failed[what] = " ".join((line.get("failed") or f"It saw {line['saw']!r}").split())


def _environment(client: Client, url: str, folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    own = {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "LLM_USER_PATH": str(folder / "llm"),
        "IPYTHONDIR": str(folder),
    }
    if not client.packages:
        own |= {"PYTHONPATH": str(ROOT), "OG_LEDGER": str(folder / "other.db"), "OG_STATE_DIR": str(folder / "other")}
    return kept | own


def installed(client: Client, folder: Path) -> Path:
    """Return an interpreter that has the client, and nothing of ours."""
    if not client.packages:
        return Path(sys.executable)
    home = folder / client.name
    python: Path = home / "bin" / "python"
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *client.packages]
        subprocess.run(command, check=True)
        (home / "complete").touch()
    return python


def table(rows: list[Row]) -> str:
    """Return the table in Markdown, and below it what failed."""
    lines = [
        "| client | streamed | whole | with a function | a wrong model | receipts, all proven |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row.cell(what) for what in EXPECTED]
        receipts = f"{row.receipts}" if row.proven == row.receipts else f"{row.receipts}, proven {row.proven}"
        lines.append(f"| {row.client} {row.version} | {' | '.join(cells)} | {receipts} |")
    for row in rows:
        lines += ["", f"{row.client}, a wrong model: {row.saw.get('wrong', '-')[:300]}"]
        lines += [f"{row.client}, {what}: FAILED: {why[:600]}" for what, why in row.failed.items()]
    return "\n".join(lines)


def main() -> int:
    """Ask by each client that is named, or by all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("client", nargs="*", choices=[[], *(one.name for one in CLIENTS)])
    parser.add_argument("--folder", type=Path, help="where the environments are, and stay")
    args = parser.parse_args()
    chosen = [one for one in CLIENTS if not args.client or one.name in args.client]
    with tempfile.TemporaryDirectory() as temporary:
        environments = args.folder or Path(temporary)
        folder = Path(temporary) / "run"
        folder.mkdir()
        with Devnet(settle_after=5, token_delay=0.002) as devnet, served(devnet, folder) as (url, ledger):
            rows = []
            for client in chosen:
                print(f"{client.name} ...", file=sys.stderr, flush=True)
                rows.append(ask(client, installed(client, environments), url, ledger, folder))
    print(table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
