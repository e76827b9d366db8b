"""No server can take the memory, the time or the threads of who asks it."""

from __future__ import annotations

import pytest

from ...limits import ATTACKS, MOST, meet

HERE = ("comments without end", "an answer of far more than max_tokens")
"""Attacks that are met outside of CI too."""


@pytest.mark.ci
@pytest.mark.parametrize(
    "attack", [pytest.param(name, marks=[] if name in HERE else pytest.mark.ci) for name in ATTACKS]
)
def test_an_attack_ends_and_costs_little(attack: str) -> None:
    cost = meet(attack)
    assert cost.memory <= MOST, cost.line
    assert cost.threads < 64
    assert cost.seconds < 100
    if attack not in ("3,000 function calls", "events after the end without end"):
        assert "Nothing was paid" in cost.read
    else:
        assert cost.read == "done"
