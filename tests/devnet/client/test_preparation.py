"""A first call that is prepared while its prompt is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics import Settings
from og_magics.client import devnet_process, preparation
from og_magics.core.runtime import runtime
from og_magics.core.secret import Secret
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]


@pytest.fixture(autouse=True)
def nothing_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has just started."""
    monkeypatch.setattr(preparation, "_prepared", None)
    monkeypatch.setattr(preparation, "_late", False)
    yield
    runtime.wait(preparation._close(), 10)


def of(running: Devnet, **changes: Any) -> Settings:
    return Settings(**{"devnet": json.dumps(running.info), "network": "devnet", **changes})


def test_the_gateway_is_chosen_and_attested_before_and_the_call_uses_it(
    llm_of: LLMOf, devnet: Devnet, signed: Callable[..., list[tuple[str, str]]]
) -> None:
    preparation.prepare(of(devnet))
    prepared = preparation._prepared
    assert prepared is not None
    assert len(prepared.attestations._known) == 1
    llm = llm_of(devnet)
    assert not Path(llm.settings.ledger).exists()

    connection = llm.prepare()

    assert connection.pool is prepared.pool
    assert connection.attestations is prepared.attestations
    assert llm.journal.pending() == [], "nothing is signed before it is asked"
    answer = llm.chat_sync("openai/gpt-5", ASK, max_tokens=5)
    assert answer.chat_output
    assert len(prepared.attestations._known) == 1, "it was asked once"
    assert len(signed(llm)) == 1
    assert llm_of(devnet).prepare().pool is not prepared.pool, "it is one LLM's"


def test_what_was_prepared_for_other_settings_is_not_used(llm_of: LLMOf, devnet: Devnet) -> None:
    preparation.prepare(of(devnet))
    prepared = preparation._prepared
    assert prepared is not None
    assert llm_of(devnet, timeout=31.0).prepare().pool is not prepared.pool
    assert preparation._prepared is None


def test_a_call_that_was_first_leaves_nothing_to_prepare(llm_of: LLMOf, devnet: Devnet) -> None:
    llm_of(devnet).prepare()
    preparation.prepare(of(devnet))
    assert preparation._prepared is None


@pytest.mark.parametrize(
    "settings",
    [
        {"devnet": ""}, {"replay": "only"}, {"prepare": False}, {"gateway_url": "https://127.0.0.1:9"},
        {"registry_rpc_url": "http://127.0.0.1:9"}, {"gateway_key": Secret("of-a-gateway")}, {"network": "nowhere"},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_prepared_started_or_raised_where_it_is_not_wanted_or_fails(
    devnet: Devnet, settings: dict[str, Any]
) -> None:
    running = devnet_process.devnet_runs()
    preparation.prepare(of(devnet, **settings))
    assert preparation._prepared is None
    assert devnet_process.devnet_runs() == running


FORKS = """
import os, sys
from og_magics.client import preparation
from og_magics.core.settings import Settings
preparation.prepare(Settings.from_env())
assert preparation._prepared is not None
child = os.fork()
if not child:
    os._exit(0 if preparation._prepared is None else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.ci
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_nothing_of_it_and_its_parent_ends_silently(
    devnet: Devnet, tmp_path: Path, bare_environment: Callable[[], dict[str, str]]
) -> None:
    told = {"OG_DEVNET": json.dumps(devnet.info), "OG_NETWORK": "devnet"}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", FORKS],
        env=bare_environment() | told, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr
    assert "ResourceWarning" not in done.stderr
    assert list(tmp_path.iterdir()) == []
