"""The house stands: every module has its floor, and imports go down only.

The check reads the source and never imports it, so it sees what a run would not: imports inside functions, under
`TYPE_CHECKING`, and by name through `importlib.import_module`. The second half of this file tests the check.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "og_magics"
MAX_LINES = 400

GROUND, MACHINERY, FACADE, ROOMS, WIRING, DOORS = range(1, 7)
FLOORS = {
    **dict.fromkeys(
        [
            "_version",
            "origin",
            "types",
            "receipt",
            "ports",
            "progress",
            "recording",
            "errors",
            "amounts",
            "networks",
            "catalogue",
            "facts",
            "settings",
            "untrusted",
            "private",
        ],
        GROUND,
    ),
    **dict.fromkeys(["gateway", "payment", "proofs", "chain", "ledger", "runtime", "launch"], MACHINERY),
    **dict.fromkeys(["llm", "calls", "verification"], FACADE),
    **dict.fromkeys(["conversation", "display"], ROOMS),
    **dict.fromkeys(["app"], WIRING),
    **dict.fromkeys(["magics", "panels", "cli", "__main__"], DOORS),
}
FRONT_DOOR = "__init__"  # may name anything, lazily; nobody inside goes out through it
WORKSHOP = "devnet"  # beside the house: it stands on the ground, and only the shell's door leads there
SIDEWAYS = {("llm", "calls"), ("__main__", "cli"), ("cli", WORKSHOP), ("magics", "panels")}  # %og panel opens that door


@dataclass(frozen=True, slots=True)
class Import:
    """One import of one room by another: top-level names, and where it is written."""

    importer: str
    imported: str
    where: str


def room_of(house: Path, path: Path) -> str:
    return path.relative_to(house).parts[0].removesuffix(".py")


def named_modules(node: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the dotted names that a node imports. `package` is the dotted path of the package it stands in."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = package[: len(package) - level + 1] if level else []
            full = ".".join([*base, *([module] if module else [])])
            # `from package import name` may name a module as well as a value of the package.
            yield from (f"{full}.{alias.name}" for alias in names)
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            up = len(name) - len(name.lstrip("."))
            yield ".".join([*package[: len(package) - up + 1], name[up:]]) if up else name


def imports(house: Path, known: set[str]) -> Iterator[Import]:
    for path in sorted(house.rglob("*.py")):
        package = [house.name, *path.relative_to(house).parts[:-1]]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in named_modules(node, package):
                top, _, rest = name.partition(".")
                if top != house.name:
                    continue
                room = rest.partition(".")[0]
                where = f"{path.relative_to(house.parent)}:{getattr(node, 'lineno', 0)}"
                yield Import(room_of(house, path), room if room in known else FRONT_DOOR, where)


def objection(importer: str, imported: str) -> str | None:
    """Say why this import is not allowed; None if it is."""
    if importer in (FRONT_DOOR, imported) or (importer, imported) in SIDEWAYS:
        return None
    if imported == FRONT_DOOR:
        return "the front door is for those outside: import the room itself"
    if imported == WORKSHOP:
        return "only cli and the tests enter the workshop"
    if importer == WORKSHOP:
        return None if FLOORS[imported] == GROUND else "the workshop stands on the ground floor alone"
    if FLOORS[importer] < FLOORS[imported]:
        return "imports go down only"
    if FLOORS[importer] == FLOORS[imported] != GROUND:
        return "rooms on one floor do not import each other"
    return None


def problems(house: Path) -> list[str]:
    """Return what is wrong with the house, a line for each thing; nothing if it stands."""
    paths = sorted(house.rglob("*.py"))
    placed = {*FLOORS, FRONT_DOOR, WORKSHOP}
    rooms = {room_of(house, path) for path in paths}
    found = [
        f"{house.name}/{room} is on no floor: place it in FLOORS of tests/test_floors.py (and in the design)"
        for room in sorted(rooms - placed)
    ]
    for path in paths:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            found.append(f"{path.relative_to(house.parent)} has {lines} lines, over {MAX_LINES}: split it")
    ground: TopologicalSorter[str] = TopologicalSorter()
    for seen in imports(house, placed | rooms):
        if not {seen.importer, seen.imported} <= placed:
            continue  # the unplaced one is reported above; without a floor there is no rule to break
        if why := objection(seen.importer, seen.imported):
            found.append(f"{seen.where}: {seen.importer} may not import {seen.imported}: {why}")
        elif FLOORS.get(seen.importer) == GROUND and seen.importer != seen.imported:
            ground.add(seen.importer, seen.imported)
    try:
        ground.prepare()
    except CycleError as error:
        found.append(f"ground modules import each other in a circle: {' -> '.join(error.args[1])}")
    return found


def test_the_house_stands() -> None:
    assert problems(HOUSE) == []


def test_the_plan_for_contributors_has_every_room_on_its_floor() -> None:
    plan = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in plan.splitlines() if re.match(r"\| [1-6] ", line)]
    told = {room: int(row[1].split()[0]) for row in rows for room in re.findall(r"`(\w+)`", row[2])}
    assert told == {room: floor for room, floor in FLOORS.items() if not room.startswith("_")}


def build(tmp_path: Path, **sources: str) -> Path:
    """Write a house of `room=source`; two underscores stand for a folder, as in `gateway__sse`."""
    house = tmp_path / "og_magics"
    for name, source in {"__init__": "", **sources}.items():
        parts = [name] if name.startswith("__") else name.split("__")
        path = house.joinpath(*parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return house


@pytest.mark.parametrize(
    "sources",
    [
        {"types": "", "ports": "from og_magics.types import X\nfrom . import types\nimport og_magics.types"},
        {"app": "from .llm import LLM\nfrom og_magics import types, ledger\nimport json, httpx"},
        {"gateway__sse": "", "gateway__client": "from og_magics.gateway.sse import X\nfrom .sse import X"},
        {"llm": "from .calls import X"},
        {"__init__": "from .app import App\nfrom .devnet import chain"},
        {"__main__": "from .cli import main", "cli": "from .devnet import chain"},
        {"devnet__chain": "from ..types import X\nfrom . import contracts\nfrom og_magics._version import V"},
        {"types": "from __future__ import annotations\nimport types\nfrom errors import X"},
        {"types": "x = '\\n'" + "\n" * 399},
    ],
    ids=["ground", "down", "same room", "facade", "front door", "cli", "workshop", "not ours", "400 lines"],
)
def test_what_is_allowed_passes(tmp_path: Path, sources: dict[str, str]) -> None:
    assert problems(build(tmp_path, **sources)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import og_magics.app",
        "import json, og_magics.app.inner as inner",
        "from og_magics.app import App",
        "from og_magics import app",
        "from ..app import App",
        "from .. import app",
        "def later():\n    from og_magics.app import App",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from og_magics.app import App",
        "try:\n    import og_magics.app\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('og_magics.app')",
        "from importlib import import_module\nimport_module('..app', __package__)",
        "__import__('og_magics.app')",
    ],
)
def test_an_import_that_goes_up_is_found_however_it_is_written(tmp_path: Path, statement: str) -> None:
    (line,) = problems(build(tmp_path, gateway__client=statement))
    assert line.startswith("og_magics/gateway/client.py:")
    assert line.endswith("gateway may not import app: imports go down only")


def test_a_packages_own_init_resolves_relative_imports_from_itself(tmp_path: Path) -> None:
    house = build(tmp_path)
    (house / "gateway").mkdir()
    (house / "gateway" / "__init__.py").write_text("from ..types import X\nfrom .app import Y\nfrom ..app import Z")
    (line,) = problems(house)
    assert line.startswith("og_magics/gateway/__init__.py:3:")


@pytest.mark.parametrize(
    ("importer", "imported", "why"),
    [
        ("types", "gateway", "imports go down only"),
        ("gateway", "payment", "rooms on one floor"),
        ("conversation", "display", "rooms on one floor"),
        ("cli", "panels", "rooms on one floor"),
        ("magics", "cli", "rooms on one floor"),
        ("calls", "llm", "rooms on one floor"),
        ("devnet", "gateway", "the workshop stands on the ground floor alone"),
        ("devnet", "cli", "the workshop stands on the ground floor alone"),
        ("app", "devnet", "only cli and the tests enter"),
        ("types", "devnet", "only cli and the tests enter"),
        ("magics", "LLM", "the front door is for those outside"),
        ("devnet", "LLM", "the front door is for those outside"),
    ],
)
def test_an_import_against_the_rules_is_named(tmp_path: Path, importer: str, imported: str, why: str) -> None:
    (line,) = problems(build(tmp_path, **{importer: f"from og_magics import {imported}"}))
    assert line.startswith(f"og_magics/{importer}.py:1: {importer} may not import ")
    assert why in line


def test_the_bare_package_is_the_front_door(tmp_path: Path) -> None:
    (line,) = problems(build(tmp_path, magics__chat="def run():\n    import og_magics as og"))
    assert line.startswith("og_magics/magics/chat.py:2: magics may not import __init__")


def test_an_unknown_module_must_be_placed(tmp_path: Path) -> None:
    (line,) = problems(build(tmp_path, attic__box="", types="from .attic import box"))
    assert "og_magics/attic is on no floor: place it in FLOORS" in line


def test_a_circle_on_the_ground_floor_is_found(tmp_path: Path) -> None:
    house = build(
        tmp_path, types="from .errors import X", errors="from .catalogue import X", catalogue="import og_magics.types"
    )
    (line,) = problems(house)
    assert "in a circle" in line
    assert {"types", "errors", "catalogue"} <= set(line.split(": ")[1].split(" -> "))


def test_a_file_over_the_limit_is_found(tmp_path: Path) -> None:
    (line,) = problems(build(tmp_path, gateway__client="x = 1\n" * 401))
    assert line == "og_magics/gateway/client.py has 401 lines, over 400: split it"
