"""The audit of prompts that hold variables, context, tool rounds and repairs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.cli.typed import _asked
from og_magics.conversation.structured_output import repair_of

from .conftest import answered

if TYPE_CHECKING:
    from og_magics.core.receipt import Receipt

    from .conftest import Verifier

CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "42"}


def accused(verify: Verifier, receipt: Receipt, source: str, messages: list[dict[str, Any]] | None = None) -> bool:
    """Whether the audit says that the cell's prompt is another one."""
    if messages is not None:
        receipt = replace(receipt, request={**receipt.request, "messages": messages})
    content = verify.notebook(receipt)
    content["cells"][0]["source"] = source
    return "The cell's prompt is another one" in verify(content).reason()


class TestVariables:
    @pytest.mark.parametrize(
        "typed", ["What is a {thing}?", "{who} is a receipt{mark}", "What is {x[0].y} receipt?", "{all}"]
    )
    def test_the_text_around_them_is_what_must_match(self, verify: Verifier, receipt: Receipt, typed: str) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] = f"%%ogchat\n{typed}"
        assert verify(content).status == 0

    @pytest.mark.parametrize(
        "typed", ["Who is a {thing}?", "What is a {thing}!", "What {x} is a receipt?", "What is a {x y}"]
    )
    def test_a_changed_prompt_fails_all_the_same(self, verify: Verifier, receipt: Receipt, typed: str) -> None:
        assert accused(verify, receipt, f"%%ogchat\n{typed}")

    def test_where_they_were_turned_off_braces_are_braces(self, verify: Verifier, receipt: Receipt) -> None:
        assert accused(verify, receipt, "%%ogchat -n 5 --no-vars\nWhat is a {thing}?")
        assert not accused(verify, receipt, "%%ogchat -n 5 --no-vars\nWhat is a receipt?")


class TestWhatStandsAroundThePrompt:
    def asked(self, *around: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": "context"}, {"role": "user", "content": "the prompt"}, *around]

    def test_context_before_it_and_rounds_behind_it(self, verify: Verifier, receipt: Receipt) -> None:
        reply = {"role": "assistant", "content": "bad"}
        repair = {"role": "user", "content": repair_of("It is no JSON.")}
        for around in (
            [],
            [CALL, RESULT],
            [CALL, RESULT, RESULT, CALL, RESULT],
            [reply, repair],
            [CALL, RESULT, reply, repair],
        ):
            assert not accused(verify, receipt, "%%ogchat\nthe prompt", self.asked(*around))
            assert accused(verify, receipt, "%%ogchat\nanother prompt", self.asked(*around))
            assert accused(verify, receipt, "%%ogchat\ncontext", self.asked(*around))

    def test_an_earlier_turn_of_a_thread_is_not_the_prompt(self, verify: Verifier, receipt: Receipt) -> None:
        earlier = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "answer"}]
        assert accused(verify, receipt, "%%ogchat\nfirst", [*earlier, {"role": "user", "content": "second"}])
        assert not accused(verify, receipt, "%%ogchat\nsecond", [*earlier, {"role": "user", "content": "second"}])

    @pytest.mark.parametrize(
        "messages", [[], [CALL], [{"role": "assistant", "content": "x"}], [{"role": "user", "content": [1]}]]
    )
    def test_a_request_without_a_prompt_is_another_one(
        self, verify: Verifier, receipt: Receipt, messages: list[dict[str, Any]]
    ) -> None:
        assert accused(verify, receipt, "%%ogchat\nx", messages)


def test_the_prompt_beside_pictures_is_the_text_among_them():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "Draw it."}
    assert _asked([{"role": "user", "content": [text, picture]}]) == "Draw it."
    assert _asked([{"role": "user", "content": [text, text, picture]}]) is None
    assert _asked([{"role": "user", "content": [picture, "Draw it."]}]) is None


class TestLineEnds:
    def test_a_cell_saved_with_those_of_windows_is_the_same_cell(self, verify: Verifier, receipt: Receipt) -> None:
        sent = [{"role": "user", "content": "one\ntwo"}]
        assert not accused(verify, receipt, "%%ogchat\r\none\r\ntwo\r\n", sent)
        assert accused(verify, receipt, "%%ogchat\r\none\r\nthree\r\n", sent)

    def test_a_prompt_that_an_earlier_release_sent_with_them_is_not_another_one(
        self, verify: Verifier, receipt: Receipt
    ) -> None:
        assert not accused(verify, receipt, "%%ogchat\r\none\r\ntwo\r\n", [{"role": "user", "content": "one\r\ntwo\r"}])


PROMPT = "What is a receipt?"


class TestWhatStandsAroundTheMagic:
    @pytest.mark.parametrize(
        "above", ["%%time\n", "\n\n", "# checked\n", "%%capture out\n# note\n", "checked = True\n", "'''a\nb'''\n"]
    )
    def test_nothing_above_it_hides_another_prompt(self, verify: Verifier, receipt: Receipt, above: str) -> None:
        assert not accused(verify, receipt, f"{above}%%ogchat -p openai\n{PROMPT}")
        assert accused(verify, receipt, f"{above}%%ogchat -p openai\nWhat is a cat?")

    def test_nor_does_the_name_of_its_result(self, verify: Verifier, receipt: Receipt) -> None:
        assert not accused(verify, receipt, f"answer = %ogchat {PROMPT}")
        assert accused(verify, receipt, "answer = %ogchat What is a cat?")

    @pytest.mark.parametrize(
        "source",
        [
            f"run('''\n%%ogchat\n{PROMPT}\n''')",
            "run('''\n%%ogchat\nWhat is a cat?\n''')",
            "answer",
            "display(answer)",
            "report()",
            "og.ask(prompt)",
            "%run other.ipynb",
            "print(og.ask('a'))",
        ],
    )
    def test_what_code_asks_is_not_read_in_it(self, verify: Verifier, receipt: Receipt, source: str) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] = source
        found = verify(content)
        assert (found.status, found.ok()) == (0, [True])

    @pytest.mark.parametrize(
        "source", ["", "  \n", "# %%ogchat\n# What?", "print('42')", "42", "'''\n%%ogchat\nWhat?'''"]
    )
    def test_a_cell_that_asks_nothing_has_no_answer(self, verify: Verifier, receipt: Receipt, source: str) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] = source
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "asks nothing" in found.reason()


class TestWhatIsStruckOutOrEmbedded:
    def shown(self, verify: Verifier, receipt: Receipt, old: str, new: str) -> Any:
        content = verify.notebook(receipt)
        data = content["cells"][0]["outputs"][0]["data"]
        assert old in data["text/markdown"]
        data["text/markdown"] = data["text/markdown"].replace(old, new)
        return verify(content)

    @pytest.mark.parametrize("new", ["<s>answer</s>", "<del>answer</del>", "~~answer~~"])
    def test_a_word_that_was_struck_out_is_another_answer(self, verify: Verifier, receipt: Receipt, new: str) -> None:
        assert self.shown(verify, receipt, "answer", new).ok() == [False]

    def test_what_the_model_struck_out_is_its_answer(self, verify: Verifier, enclave: Any) -> None:
        receipt = answered(enclave, PROMPT, "It is ~~a bill~~ a proof.")
        assert verify(verify.notebook(receipt)).ok() == [True]
        assert self.shown(verify, receipt, "~~a bill~~", "a bill").ok() == [False]

    def test_an_embedded_page_is_no_part_of_an_answer(self, verify: Verifier, receipt: Receipt) -> None:
        found = self.shown(verify, receipt, "answer", 'answer<iframe srcdoc="42"></iframe>')
        assert "embeds a page" in found.reason()
