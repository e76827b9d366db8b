"""Prints how the package is built: its rooms, on which floor each stands, and the arrows between them.

    python tests/house.py

A room is a package; a module belongs to the package that holds it. An arrow is an import from one room to another. The
core stands on floor 1; every other room stands one floor above the highest room that it imports.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "og_magics"


def arrows() -> Mapping[str, set[str]]:
    """Return the rooms that each room imports, by name."""
    graph = grimp.build_graph(PACKAGE)
    rooms = {name for name in graph.modules if _is_package(name)}

    def room_of(module: str) -> str:
        return module if module in rooms else module.rpartition(".")[0]

    found: defaultdict[str, set[str]] = defaultdict(set, {room: set() for room in rooms})
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if (target := room_of(imported)) != (room := room_of(module)):
                found[room].add(target)
    return found


def floors(imports: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the floor of each room, counted from 1. The front door's version and errors stand on no floor.

    Raises:
        graphlib.CycleError: two rooms know each other, directly or through others.
    """
    inner = {room: targets - {PACKAGE} for room, targets in imports.items()}
    found: dict[str, int] = {}
    for room in TopologicalSorter(inner).static_order():
        found[room] = 1 + max((found[target] for target in inner[room]), default=0)
    return found


def _is_package(name: str) -> bool:
    return (ROOT / Path(*name.split(".")) / "__init__.py").is_file()


def main() -> int:
    """Print one line for each room, from the highest floor down, and the sums."""
    imports = arrows()
    levels = floors(imports)
    for room in sorted(imports, key=lambda name: (-levels[name], name)):
        targets = ", ".join(sorted(target.removeprefix(f"{PACKAGE}.") for target in imports[room]))
        print(f"{levels[room]:>2}  {room.removeprefix(f'{PACKAGE}.'):<18} {targets}")
    count = sum(map(len, imports.values()))
    print(f"\n{len(imports)} rooms on {max(levels.values())} floors, {count} arrows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
