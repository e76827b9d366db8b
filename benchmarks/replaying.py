"""A notebook that is replayed: a cell's time, and the whole beside the same notebook with plain print cells."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat

from .kernel import Cell, kernel
from .report import Row, median_ms


def measure(folder: str, environment: Mapping[str, str], *, rounds: int, cells: int) -> list[Row]:
    """Rows on a notebook of so many paid cells, replayed from its ledger and from its own outputs."""
    home = Path(folder) / "replay"
    home.mkdir()
    asked = [f"%%ogchat -n 40\nQuestion number {number}." for number in range(cells)]
    ledger = environment | {"OG_LEDGER": str(home / "paid.db")}
    paid, _ = _run(str(home), ledger, asked)
    printed = [f"print({cell.outputs[-1]['data']['text/plain']!r})" for cell in paid]
    _save(home / "notebook.ipynb", paid)
    only = {"OG_REPLAY": "only"}
    found: dict[str, list[float]] = {"print": [], "ledger": [], "outputs": []}
    each: list[float] = []
    for number in range(rounds):
        found["print"].append(_run(str(home), environment, printed)[1])
        again, wall = _run(str(home), ledger | only, asked)
        found["ledger"].append(wall)
        each += [cell.wall for cell in again]
        saved = {"OG_LEDGER": str(home / f"empty{number}.db"), "OG_REPLAY_FROM": str(home / "notebook.ipynb")}
        alone = environment | only | saved
        found["outputs"].append(_run(str(home), alone, asked)[1])
    whole = f"notebook of {cells} cells, its kernel's start included, replayed from its"
    return [
        Row("replayed cell", median_ms(each), value_goal=20),
        *(
            Row(f"{whole} {name}", median_ms(found[name]), "ms", median_ms(found["print"]), "print cells", ratio_goal=2)
            for name in ("ledger", "outputs")
        ),
    ]


def _run(folder: str, environment: Mapping[str, str], sources: Sequence[str]) -> tuple[list[Cell], float]:
    """The cells of a fresh kernel, and the seconds of all of it."""
    began = time.perf_counter()
    with kernel(folder, environment) as front:
        front.run("%load_ext og_magics")
        done = [front.run(source) for source in sources]
        return done, time.perf_counter() - began


def _save(path: Path, cells: Sequence[Cell]) -> None:
    """The notebook that a front end would save of these cells."""
    nb = nbformat.v4
    saved = [nb.new_code_cell(cell.source, outputs=cell.outputs) for cell in cells]  # type: ignore[no-untyped-call]  # nbformat has no types
    nbformat.write(nb.new_notebook(cells=saved), path)  # type: ignore[no-untyped-call]  # nbformat has no types
