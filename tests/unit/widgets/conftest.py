"""Panels on a real devnet, without a front end: what a person would click is clicked, and what they would see is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.runtime import runtime
from og_magics.core.settings import Settings
from og_magics.devnet import Devnet
from og_magics.session import Session
from og_magics.widgets import Panel


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    with Devnet(settle_after=0.5, batch_after=0.3, token_delay=0.002) as running:
        yield running


@pytest.fixture
def app(devnet: Devnet, tmp_path: Path) -> Iterator[Session]:
    made = Session(Settings.from_env({"OG_DEVNET": json.dumps(devnet.info), "OG_LEDGER": str(tmp_path / "l.db")}))
    yield made
    if made._llm is not None:
        runtime.wait(made._llm.close())


@pytest.fixture
def new_panel(app: Session) -> Iterator[Callable[[], Panel]]:
    made: list[Panel] = []

    def make() -> Panel:
        made.append(Panel(app))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def panel(new_panel: Callable[[], Panel]) -> Panel:
    return new_panel()


@pytest.fixture(scope="session")
def shown() -> Callable[[Any], str]:
    """All HTML and Markdown in a widget, in its order."""

    def read(widget: Any) -> str:
        value = widget.value if type(widget).__name__ == "HTML" else ""
        outputs = widget.outputs if type(widget).__name__ == "Output" else ()
        value += "".join(output["data"].get("text/markdown", "") for output in outputs)
        return value + "".join(map(read, getattr(widget, "children", ())))

    return read


@pytest.fixture
def ask(eventually: Callable[..., Any], shown: Callable[[Any], str]) -> Callable[[Panel, str], str]:
    """Type a prompt, send it, and wait for its end; what stands in the answer's place then."""

    def go(panel: Panel, prompt: str) -> str:
        panel.ask.prompt.value = prompt
        panel.ask.send.click()
        eventually(lambda: not panel.ask.busy)
        return shown(panel.ask.answer)

    return go
