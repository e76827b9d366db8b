"""Fixtures that every room's tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"


@pytest.fixture(scope="session")
def vector() -> Callable[[str], dict[str, Any]]:
    """A loader of `tests/vectors/<name>.json`; each call parses anew, so a test may change what it gets."""

    def load(name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
        return loaded

    return load
