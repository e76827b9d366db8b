"""Fixtures that every room's tests share."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"
_TOLD = "told"
_OURS = re.compile(r"OG_|BASE_|JPY_|IPYTHON|JUPYTER|PYTEST|PYTHONWARNINGS")


@pytest.fixture(scope="session")
def vector() -> Callable[[str], dict[str, Any]]:
    """A loader of `tests/vectors/<name>.json`; each call parses anew, so a test may change what it gets."""

    def load(name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
        return loaded

    return load


@pytest.fixture(scope="session")
def bare_environment() -> Callable[[], dict[str, str]]:
    """Makes a process's environment: this one's, without what would configure us, Jupyter or IPython."""
    return lambda: {name: value for name, value in os.environ.items() if not _OURS.match(name)}


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """The first true value of a check; a failure after a limit that only a failure meets."""

    def wait(check: Callable[[], Any], within: float = 60.0) -> Any:
        deadline = time.monotonic() + within
        while not (value := check()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.05)
        return value

    return wait


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line now (seen with -s) and again in the summary at the end."""

    def tell(line: str) -> None:
        print(line)
        request.node.user_properties.append((_TOLD, line))  # travels with the test's report, from a worker too

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, line in getattr(report, "user_properties", ()):
                if name == _TOLD and report.when == "call":
                    terminalreporter.write_line(line)
