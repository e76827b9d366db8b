"""Structured answers and formats, in cells and in the saved file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from og_magics.devnet import Devnet

    from .conftest import Kernel

MIME = "application/vnd.og.receipt+json"
SCHEMAS = """
import dataclasses, typing
import pydantic
import og_magics as og

class Model(pydantic.BaseModel):
    name: str
    people: int = 0

@dataclasses.dataclass
class Data:
    name: str
    people: int = 0

class Typed(typing.TypedDict):
    name: str
    people: int

class Never(pydantic.BaseModel):
    name: str
    @pydantic.field_validator("name")
    @classmethod
    def refuse(cls, name):
        raise ValueError("no name is good enough")

schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
"""


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    kernel.ask(SCHEMAS)
    return kernel


class TestSchemas:
    @pytest.mark.parametrize(
        ("name", "parsed"),
        [
            ("Model", "Model(name='name', people=1)"),
            ("Data", "Data(name='name', people=1)"),
            ("Typed", "{'name': 'name', 'people': 1}"),
            ("schema", "{'name': 'name'}"),
        ],
    )
    def test_the_answer_is_an_object(self, kernel: Kernel, name: str, parsed: str) -> None:
        cell = kernel.ask(f"%%ogchat --schema {name} -o city\nA city")
        assert kernel.eval("repr(city.parsed)") == parsed
        assert cell.last["text/plain"].startswith('{\n  "name": "name"')
        assert cell.last["text/markdown"].startswith('```json\n{\n  "name"')
        assert cell.receipt["request"]["response_format"]["json_schema"]["name"] == name
        assert cell.receipt["enclave_ok"] is True

    def test_one_that_does_not_fit_is_asked_for_again_once(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og.receipts())")
        cell = kernel.ask("%%ogchat --schema Model\n[[words:4]] A city")
        assert kernel.eval("[_.parsed.name, _.json()['people'], len(_.receipts)]") == ["name", 1, 2]
        assert "was asked for again</code></summary>" in cell.last["text/markdown"]
        assert kernel.eval("len(og.receipts())") == before + 2
        assert kernel.eval("og_receipts.turn.iloc[-2:].nunique()") == 1

    def test_a_second_misfit_is_an_error_that_carries_the_answer(self, kernel: Kernel) -> None:
        cell = kernel.run("%%ogchat --schema Never\nA city")
        told = cell.error("AnswerError")
        assert "The answer does not fit Never: name: Value error, no name is good enough" in told
        assert "is paid for" in told
        assert "This answer does not have the form that was asked for.\n\n2 calls" in cell.last["text/plain"]
        assert kernel.eval(
            "[__import__('sys').last_value.answer.text, len(__import__('sys').last_value.answer.receipts)]"
        ) == ['{"name": "name"}', 2]

    def test_python_has_the_same(self, kernel: Kernel) -> None:
        kernel.ask("r = og.ask('A city', schema=Model), og.ask('cities', schema=list[Data])")
        assert kernel.eval("[repr(one.parsed) for one in r]") == [
            "Model(name='name', people=1)", "[Data(name='name', people=1)]",
        ]  # fmt: skip

    @pytest.mark.parametrize("raised", ["SystemExit(2)", "ZeroDivisionError('by zero')", "KeyboardInterrupt"])
    def test_a_validator_may_raise_anything_and_the_next_cell_asks(self, kernel: Kernel, raised: str) -> None:
        kernel.ask(
            "from pydantic import BaseModel, field_validator\n"
            "class Odd(BaseModel):\n    n: int\n    @field_validator('n')\n    @classmethod\n"
            f"    def look(cls, n):\n        raise {raised}"
        )
        told = kernel.run("%%ogchat --schema Odd\nA number").error("AnswerError")
        assert f"could not be checked against Odd, which raised {raised.partition('(')[0]}" in told
        assert kernel.ask("%ogchat hello").answer

    def test_a_mistake_is_told(self, kernel: Kernel) -> None:
        assert "There is no schema 'Nothing'" in kernel.run("%%ogchat --schema Nothing\nhello").error()
        assert "There is no format 'xml'" in kernel.run("%%ogchat -f xml\nhello").error()


class TestFormats:
    def test_json_is_asked_for_checked_and_set_out(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f json\nhello")
        assert cell.receipt["request"]["response_format"] == {"type": "json_object"}
        assert cell.last["text/plain"].startswith('{\n  "simulated": true,')
        assert kernel.eval("[_.parsed['simulated'], _.json() == _.parsed]") == [True, True]
        assert (
            kernel.ask("%%ogchat -f json -p anthropic\nhello").receipt["request"]["response_format"]["type"]
            == "json_schema"
        )

    def test_text_is_shown_as_it_is(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f text\n**hello**")
        assert set(cell.last) == {"text/plain", MIME}
        assert '"**hello**"' in cell.last["text/plain"]

    def test_code_is_put_into_a_cell_below_and_is_not_run(self, kernel: Kernel) -> None:
        kernel.ask("ran = False")
        cell = kernel.ask("%%ogchat -f code -n 300\n```python\nran = True\n```")
        (payload,) = cell.reply["payload"]
        assert (payload["source"], payload["replace"]) == ("set_next_input", False)
        assert payload["text"] in cell.answer
        assert cell.last["text/markdown"].startswith("```")
        assert kernel.eval("ran") is False

    def test_html_is_shown_in_a_frame_that_can_do_nothing(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f html\n<script>alert(1)</script><img src=http://127.0.0.1:9/x>")
        html = cell.last["text/html"]
        assert html.startswith('<iframe sandbox="" referrerpolicy="no-referrer" srcdoc="')
        assert "default-src &#x27;none&#x27;" in html
        assert "<script" not in html
        assert "<img" not in html
        assert html.count("<iframe") == 1

    def test_a_formula_is_one(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f math -n 24\nhello")
        assert cell.last["text/markdown"].startswith("Here is a direct answer")  # a sentence is none

    def test_pictures_come_first(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f image -m google/gemini-2.5-flash-image\na cat")
        kinds = {}
        for display in cell.displays:
            kinds[display["transient"]["display_id"]] = set(display["data"])
        assert list(kinds.values()) == [{"image/png", "text/plain"}, {"text/markdown", "text/plain", MIME}]

    def test_an_answer_named_later_is_shown_as_it_was(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -f json -o kept\nhello")
        again = kernel.ask("kept").of("execute_result")[0]["data"]
        assert (
            again["text/markdown"].rpartition("<details>")[0] == cell.last["text/markdown"].rpartition("<details>")[0]
        )


class TestTheSavedFile:
    CELLS = (
        "%%ogchat -f json\nhello", "%%ogchat -f text\nhello", "%%ogchat -f code\n```python\nx = 1\n```", "%%ogchat -f html\n<b>hi</b>",
        "%%ogchat -f math\nhello", "%%ogchat -f md\nhello", "%%ogchat --schema Model\na city",
    )  # fmt: skip

    @pytest.fixture(autouse=True)
    def og_magics(self, run_module: Callable[..., Any]) -> None:
        self.run_module = run_module

    def verify(self, path: Path, env: dict[str, str]) -> list[bool | None]:
        done = self.run_module("og_magics", "verify", path, "--json", env=env)
        assert "Traceback" not in done.stderr, done.stderr
        return [row["verdicts"]["enclave"]["ok"] for row in json.loads(done.stdout)]

    @pytest.mark.ci
    def test_each_format_proves_its_answer_and_finds_an_edit(
        self, execute: Callable[..., Any], environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
    ) -> None:
        notebook = execute("%load_ext og_magics", SCHEMAS, *self.CELLS)
        env, path = environment(devnet), tmp_path / "executed.ipynb"
        assert self.verify(path, env) == [True] * len(self.CELLS)
        changed = {
            "hello": "bye",
            "x = 1": "x = 2",
            "&lt;b&gt;": "&lt;i&gt;",
            "<b>": "<i>",
            '"people": 1': '"people": 2',
        }
        for cell in notebook.cells[2:]:
            for output in cell.outputs:
                for kind, content in output.get("data", {}).items():
                    if isinstance(content, str):
                        output["data"][kind] = re.sub("|".join(changed), lambda found: changed[found[0]], content)
        nbformat.write(notebook, path)
        assert self.verify(path, env) == [False] * len(self.CELLS)
