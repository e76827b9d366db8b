"""The house keeps its floors: the import contracts of pyproject.toml, and the size of each file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
MODULES = sorted((ROOT / "og_magics").rglob("*.py"))


def lint(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LINT, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_every_import_contract_is_kept() -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/amounts.py", "from ..ledger import Ledger", "Imports go down only"),
        ("chain/rpc.py", "from ..payment import wallet", "rooms on one floor do not import each other"),
        ("client/llm.py", "from ..devnet import Devnet", "Only the command line opens the devnet"),
        ("devnet/chain.py", "from ..gateway import client", "The devnet knows the core and nothing else"),
        ("ledger/rows.py", "from .store import Ledger", "No circles"),
        ("display/table.py", "from .. import LLM", "No room imports the front door"),
        ("newroom/__init__.py", "", "Imports go down only"),
    ],
)
def test_a_broken_contract_is_found(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """Each contract, broken on purpose in a copy."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for path in MODULES:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    changed = tmp_path / "og_magics" / module
    changed.parent.mkdir(exist_ok=True)
    text = changed.read_text() if changed.exists() else ""
    changed.write_text(f"{text}\n{line}\n")
    done = lint(cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert any(contract in row for row in broken) or contract in done.stdout.partition("Broken contracts")[2]


def test_rooms_and_floors_are_within_the_plan() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "house.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # 22: LangChain's chat model, apart from all that works without LangChain.
    rooms, floors, _ = map(int, re.findall(r"\d+", done.stdout.splitlines()[-1]))
    assert rooms <= 22
    assert floors <= 10


def test_each_file_stays_under_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines >= 400} == {}
