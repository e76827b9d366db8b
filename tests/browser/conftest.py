"""JupyterLab, Notebook 7, nbclassic and Voila in Chromium, on a devnet: what a person sees and clicks.

The screenshots of a run are in `artifacts/browser`, or in the folder that OG_ARTIFACTS names; a test that fails leaves
one of what it saw last.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from playwright.sync_api import Browser, sync_playwright

from og_magics.devnet import Devnet

from .front import Front
from .lab import Lab
from .others import Classic, Voila
from .server import HANG, Server

NEW_KEY = "0x" + keccak(b"a wallet that has approved nothing").hex()
Page = TypeVar("Page", bound=Lab)
ROOT = Path(__file__).parents[2]
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def find_chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    pages = [one for one in getattr(item, "funcargs", {}).values() if isinstance(one, Lab)]
    if report.when == "call" and report.failed and pages:
        lab = pages[0]
        with contextlib.suppress(Exception):
            lab.screenshot(f"failed-{item.name}")
        report.sections.append(("the browser's console", "\n".join(lab.console[-40:])))
    return report


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    """Settles a few seconds after a session's last use: late enough to be seen unsettled before."""
    fund = [Account.from_key(NEW_KEY).address]
    with Devnet(settle_after=3, batch_after=0.5, token_delay=0.005, fund=fund) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path. Without one there is nothing to test here; CI must have one."""
    found = find_chromium()
    if found is None:
        reason = "Chromium is not on PATH: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def server(chromium: str, tmp_path_factory: pytest.TempPathFactory, devnet: Devnet) -> Iterator[Server]:
    """JupyterLab with one kernel, named devnet, whose environment knows the devnet."""
    with _serving("jupyterlab", tmp_path_factory, devnet) as made:
        yield made


@pytest.fixture(scope="session")
def notebook_server(chromium: str, tmp_path_factory: pytest.TempPathFactory, devnet: Devnet) -> Iterator[Server]:
    """The same, with Notebook 7."""
    if find_spec("notebook") is None:
        pytest.skip("Notebook 7 is not installed: pip install notebook")
    with _serving("notebook", tmp_path_factory, devnet) as made:
        yield made


@contextlib.contextmanager
def _serving(app: str, folders: pytest.TempPathFactory, devnet: Devnet) -> Iterator[Server]:
    made = Server(folders.mktemp("jupyter"), app)
    made.kernel("devnet", {"OG_DEVNET": json.dumps(devnet.info)})
    process = made.start()
    yield made
    made.end_kernels()
    process.terminate()
    process.wait(HANG)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for a module. (Playwright keeps an event loop in this thread: other modules have their own.)"""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def lab(
    browser: Browser, server: Server, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A page of the test's own; its kernels end with it."""
    with _page(browser, server, tmp_path_factory) as page:
        yield page


@pytest.fixture
def notebook7(browser: Browser, notebook_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A page of Notebook 7."""
    with _page(browser, notebook_server, tmp_path_factory) as page:
        yield page


@pytest.fixture
def classic(browser: Browser, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classic]:
    """A page of nbclassic."""
    _need("nbclassic")
    with _page(browser, server, tmp_path_factory, Classic) as page:
        yield page


@pytest.fixture
def voila(browser: Browser, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voila]:
    """A page of Voila."""
    _need("voila")
    with _page(browser, server, tmp_path_factory, Voila) as page:
        yield page


def _need(module: str) -> None:
    if find_spec(module) is None:
        reason = f"{module} is not installed: pip install {module}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@contextlib.contextmanager
def _page(browser: Browser, server: Server, folders: pytest.TempPathFactory, kind: type[Page] = Lab) -> Iterator[Page]:
    artifacts = Path(os.environ.get("OG_ARTIFACTS") or ROOT / "artifacts") / "browser"
    folder = server.root / folders.mktemp("t").name
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    yield kind(context, server, folder, artifacts)
    context.close()
    server.end_kernels()


@pytest.fixture(scope="session")
def front(server: Server, devnet: Devnet) -> Iterator[Front]:
    """A gateway whose words a test chooses. The kernel named front asks it."""
    with Front(devnet.gateway_url_http) as running:
        server.kernel("front", {"OG_DEVNET": json.dumps(devnet.info), "OG_GATEWAY_URL": running.url})
        yield running


@pytest.fixture(scope="session")
def kernel_without_allowance(server: Server, devnet: Devnet) -> str:
    """A kernel whose wallet has OPG and gas, and has approved nothing."""
    environment = {"OG_DEVNET": json.dumps(devnet.info), "OG_NETWORK": "devnet", "OG_PRIVATE_KEY": NEW_KEY}
    server.kernel("new-wallet", environment)
    return "new-wallet"
