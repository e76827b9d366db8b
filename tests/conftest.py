"""Fixtures that every room's tests share."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import settings

from og_magics.core import environment

from .forkserver import ForkServer
from .postgres import Server, binaries

VECTORS = Path(__file__).parent / "vectors"
_REPORTED = "reported"
_OURS = re.compile(r"OG_|BASE_|JPY_|IPYTHON|JUPYTER|PYTEST|PYTHONWARNINGS")


CI = os.environ.get("CI", "") not in ("", "0", "false")
"""Set where everything runs, however long it takes: `.ci/run` sets it."""

settings.register_profile("here", max_examples=100 if CI else 25, deadline=None)
settings.load_profile("here")


def examples(in_ci: int) -> int:
    """Number of examples of a property: all in CI, a fifth elsewhere."""
    return in_ci if CI else max(10, in_ci // 5)


MORE = int(os.environ.get("OG_TEST_MORE", "1"))
"""So many times as many kills, faults and walks as CI makes: `OG_TEST_MORE=12 CI=true` makes more than 10,000."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: many tests wait for a chain or a clock, and take none meanwhile."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, also where a shell began this in the background: it ignores that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not CI:
        for item in items:
            if item.get_closest_marker("ci"):
                item.add_marker(pytest.mark.skip(reason="only CI needs it: CI=true runs it"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the tests of this process. Its disk is not waited for: no test here cuts the power."""
    if binaries() is None:
        if CI:
            pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed")
    with Server(fsync="off") as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's state directory: an empty one, here and in processes that are started."""
    with pytest.MonkeyPatch.context() as patch:
        _use_state_home(patch, tmp_path_factory.mktemp("state"))
        yield


@pytest.fixture
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of og_magics in the user's state directory: one for the test alone; it is not there yet."""
    home = tmp_path_factory.mktemp("state")
    _use_state_home(monkeypatch, home)
    return home / "og_magics"


def _use_state_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("XDG_STATE_HOME", str(home))
    patch.setattr(environment, "AT_IMPORT", {**environment.AT_IMPORT, "XDG_STATE_HOME": str(home)})


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
def fork_server(bare_environment: Callable[[], dict[str, str]]) -> Iterator[Callable[[], ForkServer]]:
    """The process that kernels and commands of the tests are forked from, started when it is first asked for."""
    started: list[ForkServer] = []

    def get() -> ForkServer:
        if not started:
            started.append(ForkServer(bare_environment()))
        return started[0]

    yield get
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def run_module(fork_server: Callable[[], ForkServer]) -> Callable[..., CompletedProcess[str]]:
    """Runs a module as `python -m` does, in a process of its own: arguments, env=, cwd=, typed=."""
    return lambda *arguments, **options: fork_server().run(*arguments, **options)


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
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line now (seen with -s) and again in the summary at the end."""

    def tell(line: str) -> None:
        print(line)
        request.node.user_properties.append((_REPORTED, line))  # travels with the test's report, from a worker too

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, line in getattr(report, "user_properties", ()):
                if name == _REPORTED and report.when == "call":
                    terminalreporter.write_line(line)
