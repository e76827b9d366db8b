"""The cell that asks what the panel asks."""

from __future__ import annotations

import ast

from hypothesis import example, given
from hypothesis import strategies as st

from og_magics.core.settings import Settings
from og_magics.core.types import x402SettlementMode
from og_magics.magics.parser import chat_parser
from og_magics.widgets.panel_request import cell_of


def read(cell: str) -> tuple[object, str]:
    """What `%%ogchat` makes of a cell: its flags and its prompt."""
    if cell.startswith("%%ogchat "):
        line, _, prompt = cell.removeprefix("%%ogchat ").partition("\n")
    else:
        call = ast.parse(cell).body[0].value
        name, line, prompt = (ast.literal_eval(argument) for argument in call.args)
        assert name == "ogchat"
    return chat_parser().parse(line, prompt=False)[0], prompt


@given(
    prompt=st.text(min_size=1).filter(str.strip),
    system=st.text(),
    temperature=st.sampled_from([0.0, 0.7, 2.0]),
    max_tokens=st.integers(1, 10**6),
    mode=st.sampled_from(list(x402SettlementMode)),
    stream=st.booleans(),
    web_search=st.booleans(),
)
@example("{x} ", "two\nlines", 0.0, 1, x402SettlementMode.PRIVATE, True, False)
@example("\nbegins empty", "-dash 'quote\"", 0.0, 1, x402SettlementMode.PRIVATE, False, True)
def test_a_cell_says_all_that_the_panel_asks(prompt, system, temperature, max_tokens, mode, stream, web_search):
    settings = Settings(
        model="acme/x", system=system, temperature=temperature, max_tokens=max_tokens, settlement=mode, stream=stream,
        web_search=web_search,
    )  # fmt: skip
    flags, asked = read(cell_of(settings, prompt))
    assert asked == prompt
    assert (flags.model, flags.settlement.value, flags.temperature, flags.max_tokens) == (
        "acme/x", mode.value, temperature, max_tokens,
    )  # fmt: skip
    assert (flags.system or "") == system
    assert (flags.stream is False) == (not stream)
    assert bool(flags.web_search) == web_search
    assert flags.no_vars or "{" not in prompt


def test_a_cell_is_short_where_nothing_special_is_asked():
    assert cell_of(Settings(), "Hello") == "%%ogchat -m openai/gpt-5 -s batch -t 0 -n 1000\nHello"
