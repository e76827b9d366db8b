"""The facts about chains, contracts, services and models that others run: `facts.json`, read once.

Each fact stands there alone, with the date on which its source said so. Nothing else in the package holds an address, a
chain's id, a host or a price, so that one file is corrected when upstream changes, and `doctor` can compare it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@functools.cache
def facts() -> Mapping[str, Any]:
    """Return all facts by section. It takes a third of a millisecond, once."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("facts.json").read_text("utf-8"))
    return table


def fact(section: str, name: str) -> Mapping[str, Any]:
    """Return one entry, with its `as_of` and `source`; an empty one where the section has none of that name."""
    found: Mapping[str, Any] = facts()[section].get(name, {})
    return found
