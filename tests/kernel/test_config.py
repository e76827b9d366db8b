"""`%config Og`: the same settings as `%og use`, by IPython's own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Kernel


def test_what_config_sets_is_in_use(kernel: Kernel) -> None:
    kernel.ask("%config Og.model = 'claude-sonnet-4-6'")
    kernel.ask("%config Og.settlement = 'PRIVATE'")
    told = kernel.ask("%og").text
    assert "anthropic/claude-sonnet-4-6" in told
    assert "private" in told
    asked = kernel.ask("%%ogchat\nhello")
    assert (asked.receipt["model"], asked.receipt["settlement"]) == ("anthropic/claude-sonnet-4-6", "private")


def test_config_shows_what_use_has_set(kernel: Kernel) -> None:
    kernel.ask("%og use -m x-ai/grok-4 -t 0.5")
    assert kernel.eval("get_ipython().run_line_magic('config', 'Og.model')") == "x-ai/grok-4"
    told = kernel.ask("%config Og").text
    assert "x-ai/grok-4" in told
    assert "Current: 0.5" in told


def test_a_later_config_of_another_setting_leaves_the_rest_as_it_is(kernel: Kernel) -> None:
    kernel.ask("%config Og.model = 'openai/gpt-5-mini'")
    kernel.ask("%og use -m x-ai/grok-4")
    kernel.ask("%config Og.temperature = 1")
    told = kernel.ask("%og").text
    assert "x-ai/grok-4" in told
    assert "temperature 1.0" in told


def test_a_value_that_makes_no_sense_is_refused_and_changes_nothing(kernel: Kernel) -> None:
    for line, reason in [
        ("Og.settlement = 'nope'", "no settlement mode 'nope'"),
        ("Og.temperature = 9", "0 to 2"),
        ("Og.max_tokens = 'many'", "max_tokens is 'many'. Give a whole number"),
        ("Og.stream = 'perhaps'", "stream is 'perhaps'. Give True or False"),
        ("Og.model = 'gpt-55'", "no model 'gpt-55'"),
        ("Og.modle = 'gpt-5'", "no setting 'modle'"),
    ]:
        assert reason in kernel.ask(f"%config {line}").text  # IPython tells errors of %config, and goes on
    assert kernel.eval("get_ipython().run_line_magic('config', 'Og.temperature')") == 0.0


def test_unloading_takes_it_out_of_config(kernel: Kernel) -> None:
    assert "Og" in kernel.ask("%config").text.split()
    try:
        kernel.ask("%unload_ext og_magics")
        assert "Og" not in kernel.ask("%config").text.split()
    finally:
        assert "no settlement mode" in kernel.ask("%config Og.settlement = 'nope'\n%load_ext og_magics").text
