"""The devnet's contracts: Vyper sources beside their compiled artifacts.

The artifacts are committed, so that a devnet needs no compiler; ``build`` makes and checks them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

NAMES = ("Permit2", "UptoPermit2Proxy", "ExactPermit2Proxy", "OPG", "SettlementRelay", "TEERegistry")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    Attributes:
        name: of the source file, without ``.vy``.
        abi: functions, events and custom errors, under the names that the real contracts use.
        runtime: the code as it stands at an address; the contracts have no constructors.
    """

    name: str
    abi: list[dict[str, Any]]
    runtime: bytes


@cache
def load(name: str) -> Artifact:
    """Return the committed artifact of one of ``NAMES``.

    Raises:
        FileNotFoundError: no such contract.
    """
    stored = json.loads(files(__name__).joinpath("artifacts", f"{name}.json").read_text("utf-8"))
    return Artifact(name=name, abi=stored["abi"], runtime=bytes.fromhex(stored["runtime"][2:]))
