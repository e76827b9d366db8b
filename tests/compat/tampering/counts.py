"""The table of tampering: how often each kind was made, found, and found in its cell."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from og_magics.cli import main
from og_magics.notebook.file import read_notebook

from .answers import ANSWERS
from .footers import FOOTERS
from .forgeries import FORGERIES
from .notebook import Change, Notebook, asking
from .outputs import OUTPUTS
from .receipts import RECEIPTS
from .sources import SOURCES

KEPT = Path(__file__).resolve().parents[1]

KINDS: dict[str, Change] = ANSWERS | OUTPUTS | FOOTERS | SOURCES | RECEIPTS | FORGERIES


@dataclass
class Line:
    """Of one kind of tampering: how often it was made, found, and found in the cell where it was made and in no other."""

    kind: str
    made: int = 0
    found: int = 0
    in_its_cell: int = 0
    missed: list[str] = field(default_factory=list)


def audit(content: Notebook, path: Path) -> dict[int, list[str]]:
    """Return for each cell what `og-magics verify` says of it, receipts that hold included."""
    path.write_text(json.dumps(content))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(["verify", str(path), "--json"])
    said: dict[int, list[str]] = {}
    for row in json.loads(out.getvalue() or "[]"):
        verdict = row["verdicts"]["enclave"]
        said.setdefault(row["cell"], []).append(f"{verdict['ok']} {verdict['reason']}")
    return said


def table(notebooks: list[Path], every: int = 1) -> list[Line]:
    """Make each kind of tampering in every cell where it can be made, one at a time; or in each `every`-th of them."""
    lines, possible = [Line(kind) for kind in KINDS], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.ipynb"
        for notebook in notebooks:
            original = dict(read_notebook(notebook))
            before = audit(original, path)
            for line in lines:
                for place in asking(original):
                    changed = copy.deepcopy(original)
                    cells = KINDS[line.kind](changed, place)
                    if cells is None or changed == original:
                        continue
                    possible[line.kind] += 1
                    if possible[line.kind] % every != 1 % every:
                        continue
                    after = audit(changed, path)
                    differ = {cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)}
                    worse = {cell for cell in differ if any(not one.startswith("True") for one in after.get(cell, ()))}
                    line.made += 1
                    line.found += bool(worse)
                    line.in_its_cell += worse == {cell + 1 for cell in cells} == differ
                    if worse != {cell + 1 for cell in cells} or worse != differ:
                        line.missed.append(f"{notebook.stem}, cell {place + 1}: {sorted(differ)}")
    return lines


def notebooks() -> list[Path]:
    """Return the notebooks that releases wrote."""
    return sorted(path for path in KEPT.glob("[0-9]*/*.ipynb"))


def lines_of(found: list[Line]) -> Iterator[str]:
    """Return the table as text."""
    yield f"{'kind':42} {'made':>5} {'found':>5} {'in its cell':>11}"
    for line in found:
        yield f"{line.kind:42} {line.made:5} {line.found:5} {line.in_its_cell:11}"
    totals = [sum(getattr(line, name) for line in found) for name in ("made", "found", "in_its_cell")]
    yield f"{'all':42} {totals[0]:5} {totals[1]:5} {totals[2]:11}"
