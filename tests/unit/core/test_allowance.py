"""What the environment allows is the most that a notebook can spend."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from og_magics.core import allowance, environment, networks
from og_magics.core.amounts import OPG
from og_magics.core.errors import ConfigError
from og_magics.core.networks import described
from og_magics.core.settings import Settings, limit_all, limited


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return _start(monkeypatch, OG_REPLAY="only", OG_NETWORK="devnet", OG_BUDGET_DAY="2", OG_MAX_AUTHORIZATION="0.5")


def _start(monkeypatch: pytest.MonkeyPatch, **env: str) -> pytest.MonkeyPatch:
    """Make the process one that was started with this environment."""
    read = functools.cache(lambda: allowance.read_environment(env))
    monkeypatch.setattr(allowance, "allowed", read)
    return monkeypatch


@pytest.mark.usefixtures("started")
class TestLimits:
    def test_a_budget_may_be_lowered_and_not_raised(self) -> None:
        devnet = described("devnet")
        assert Settings(budget_day=1 * OPG).budgets(devnet)[1] == 1 * OPG
        assert Settings(budget_day=9 * OPG).budgets(devnet)[1] == 2 * OPG
        allowance.check({"budget_day": 1 * OPG})
        with pytest.raises(ConfigError, match=r"OG_BUDGET_DAY is 2 OPG .*lower it, and not raise it"):
            allowance.check({"budget_day": 3 * OPG})

    def test_what_the_environment_does_not_limit_is_free(self) -> None:
        assert Settings(budget_notebook=99 * OPG).budgets(described("devnet"))[0] == 99 * OPG
        allowance.check({"budget_notebook": 99 * OPG, "replay": None, "budget_day": None})

    def test_one_authorization(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("og_magics.core.settings._limits", {})
        limit_all({"max_authorization": 9 * OPG})
        assert limited(Settings()).max_authorization == OPG // 2

    def test_attestation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [limited(Settings(attest=word)).attest for word in ("off", "mark", "require")] == [
            "off",
            "mark",
            "require",
        ]
        one, two = "0x" + "11" * 32, "0x" + "22" * 32
        assert limited(Settings(pcr=(one,))).pcr == (one,)
        _start(monkeypatch, OG_ATTEST="require", OG_PCR=f"{one},{two}")
        assert limited(Settings(attest="off")).attest == "require"
        assert limited(Settings()).pcr == (one, two)
        assert limited(Settings(pcr=(two,))).pcr == (two,)
        assert limited(Settings(pcr=("33" * 32,))).pcr == (one, two)

    def test_replay(self) -> None:
        assert allowance.never_pays()
        allowance.check({"replay": "only"})
        for word in ("auto", "off"):
            with pytest.raises(ConfigError, match=r"OG_REPLAY is only .*nothing in it may pay"):
                allowance.check({"replay": word})

    @pytest.mark.parametrize("name", networks.NETWORKS)
    def test_a_network_with_real_money(self, name: str) -> None:
        if networks.network_by_name(name).real_money:
            with pytest.raises(ConfigError, match="OG_NETWORK is devnet"):
                Settings(network=name).network_name()
        else:
            assert Settings(network=name).network_name() == name


def test_a_cell_that_changes_the_environment_changes_nothing() -> None:
    program = """
import os
import og_magics as og
os.environ |= {"OG_REPLAY": "off", "OG_BUDGET_DAY": "50"}
from og_magics.core import allowance
from og_magics.core.networks import described
from og_magics.core.settings import Settings
print(allowance.never_pays(), Settings.from_env().budgets(described("devnet"))[1])
"""
    env = dict(os.environ) | {"OG_REPLAY": "only", "OG_BUDGET_DAY": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(2 * OPG)]


def test_with_real_money_chosen_a_notebook_may_practise(monkeypatch: pytest.MonkeyPatch) -> None:
    _start(monkeypatch, OG_NETWORK="base")
    assert Settings(network="devnet").network_name() == "devnet"


class TestWhereBudgetsAreKept:
    def test_a_cell_that_moves_the_users_folders_moves_no_budget(
        self, state_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moved = {"HOME": "/moved", "XDG_STATE_HOME": "/moved", "OG_STATE_DIR": "/moved"}
        for name, value in moved.items():
            monkeypatch.setenv(name, value)
        assert environment.state_folder() == state_folder
        assert moved.items() <= os.environ.items(), "all else finds them as the cell set them"

    def test_the_environment_of_the_process_may_choose_the_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "AT_IMPORT", {**environment.AT_IMPORT, "OG_STATE_DIR": "~/kept"})
        assert environment.state_folder() == Path.home() / "kept"
