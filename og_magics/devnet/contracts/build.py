"""Compile the contracts: ``python -m og_magics.devnet.contracts.build [--check]``.

With ``--check`` nothing is written, and the exit status is 1 when a committed artifact differs from what the
sources compile to.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from . import NAMES

FOLDER = Path(__file__).parent

# Vyper has no custom errors of its own: the sources revert with a selector, and the ABI learns of it from there.
# A selector that begins in lower case is a call.
_ERROR = re.compile(r'method_id\("([A-Z]\w*)\(([^"]*)\)"\)')

# The getters that Vyper derives have nameless parameters.
_GETTER_PARAMETERS = {
    "balanceOf": ("account",),
    "allowance": ("owner", "spender"),
    "nonces": ("owner",),
    "authorizationState": ("authorizer", "nonce"),
    "nonceBitmap": ("owner", "wordPos"),
}


def compile_contract(name: str) -> dict[str, Any]:
    """Return the artifact of a source, as it is committed."""
    import vyper

    source = (FOLDER / f"{name}.vy").read_text("utf-8")
    compiled = vyper.compile_code(source, output_formats=["abi", "bytecode_runtime"])
    return {
        "name": name,
        "compiler": f"vyper {vyper.__version__.partition('+')[0]}",
        "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
        "abi": [*(_mended(entry) for entry in compiled["abi"]), *_errors(source)],
        "runtime": compiled["bytecode_runtime"],
    }


def artifact_path(name: str) -> Path:
    """Return the path of a contract's artifact."""
    return FOLDER / "artifacts" / f"{name}.json"


def encode(artifact: dict[str, Any]) -> str:
    """Return the text of an artifact's file."""
    return json.dumps(artifact, indent=1) + "\n"


def _mended(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an ABI entry under its real names: ``from_`` and ``value_`` are reserved words without the underscore."""
    names = _GETTER_PARAMETERS.get(entry.get("name", ""), ())
    inputs = [dict(parameter) for parameter in entry.get("inputs", [])]
    for parameter, name in zip(inputs, names, strict=False):
        parameter["name"] = name
    mended: dict[str, Any] = _without_underscores({**entry, "inputs": inputs})
    return mended


def _without_underscores(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_underscores(item) for item in value]
    if isinstance(value, dict):
        return {
            key: item.removesuffix("_") if key == "name" else _without_underscores(item) for key, item in value.items()
        }
    return value


def _errors(source: str) -> list[dict[str, Any]]:
    found = dict(_ERROR.findall(source))
    return [
        {
            "type": "error",
            "name": name,
            "inputs": [{"name": "", "type": kind} for kind in found[name].split(",") if kind],
        }
        for name in sorted(found)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Build or check every artifact; the exit status."""
    parser = argparse.ArgumentParser(description="Compile the contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when an artifact differs")
    check = parser.parse_args(arguments).check
    stale = []
    for name in NAMES:
        path, text = artifact_path(name), encode(compile_contract(name))
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, "utf-8")
    if stale:
        print(f"{'differ from their sources' if check else 'written'}: {', '.join(stale)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
