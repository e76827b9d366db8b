"""Cells as front ends and documents send them: line ends, dashes, quotation marks, and questions that are assigned."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import TransformerManager

from og_magics.magics.input_transform import ASSIGNED, AskedAssignment, AskedLine, cover, uncover
from og_magics.magics.parser import chat_parser


@pytest.fixture
def transform() -> TransformerManager:
    """IPython's own transformers, and ours among them as the extension puts them there."""
    manager = TransformerManager()
    manager.token_transformers.extend((AskedLine, AskedAssignment))
    manager.cleanup_transforms.insert(0, cover)
    manager.cleanup_transforms.append(uncover)
    return manager


def code(cell: str, transform: TransformerManager) -> str:
    return str(transform.transform_cell(cell))


def test_a_prompt_with_the_line_ends_of_windows_is_the_same_prompt(transform: TransformerManager) -> None:
    windows = code("%%ogchat -p openai\r\nhello\r\n\r\n>>> world\r\n", transform)

    assert windows == code("%%ogchat -p openai\nhello\n\n>>> world\n", transform)
    assert "\\r" not in windows


@pytest.mark.parametrize("name", ["x", "x.y", "d['a']", "x: str", "if True:\n    x", "x += 1; y"])
def test_an_assigned_question_is_asked_and_is_no_request_for_help(name: str, transform: TransformerManager) -> None:
    assert f"run_line_magic('ogchat', {ASSIGNED + '-p openai What is a hash?'!r})" in code(
        f"{name} = %ogchat -p openai What is a hash?\n", transform
    )


@pytest.mark.parametrize("magic", ["%time", "%prun -q", "%timeit -n1 -r1"])
def test_a_question_below_another_line_magic_is_asked(magic: str, transform: TransformerManager) -> None:
    assert "pinfo" not in code(f"{magic} %ogchat What is a hash?\n", transform)


def test_the_help_of_the_magic_stays(transform: TransformerManager) -> None:
    assert "pinfo" in code("%ogchat?\n", transform)


@pytest.mark.parametrize("cell", ["x = %time 5\n", "x = y % ogchat\n", "%time 5\n", "print('a = %ogchat b')\n"])
def test_other_cells_are_what_they_were(cell: str, transform: TransformerManager) -> None:
    assert code(cell, transform) == str(TransformerManager().transform_cell(cell))


@pytest.mark.parametrize("dash", [*"‐‑‒–—―−﹣－", "––", "—-"])
@pytest.mark.parametrize("flag", ["p anthropic", "model openai/gpt-5", "max-cost=1", "no-vars"])
@pytest.mark.parametrize("before", ["", "-t 0 "])
def test_a_flag_with_a_documents_dash_is_no_prompt(dash: str, flag: str, before: str) -> None:
    with pytest.raises(UsageError, match="a document's dash: type -"):
        chat_parser().parse(f"{before}{dash}{flag} hello", prompt=True)


@pytest.mark.parametrize("prompt", ["— Bonjour, dit-il.", "—Bonjour", "– p is the pressure", "−5 + 3 is?", "—"])
def test_a_prompt_that_begins_with_a_dash_stays_one(prompt: str) -> None:
    assert chat_parser().parse(prompt, prompt=True)[1] == prompt
    assert chat_parser().parse(f"-- –p {prompt}", prompt=True)[1] == f"–p {prompt}"


@pytest.mark.parametrize("quoted", ["“Be short.”", "„Kurz.“", "‘Be short.’", "«Sois bref.»"])
def test_a_value_in_a_documents_quotation_marks_is_not_cut_at_its_first_space(quoted: str) -> None:
    with pytest.raises(UsageError, match="quotation mark"):
        chat_parser().parse(f"--system {quoted} hello", prompt=True)
