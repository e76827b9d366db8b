"""What a tab offers, and where it keeps out of the way."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict

import pandas as pd
import pytest

from og_magics.core.models import DEFAULTS, offered
from og_magics.magics.completion import Completion
from og_magics.magics.og import OgMagics, help_text
from og_magics.magics.og_parsers import PARSERS, PROMPTED
from og_magics.magics.parser import chat_parser, compare_parser
from og_magics.magics.threads import threads_parsers

VERBS = ("", "use", "models", "threads", "receipts", "verify", "network", "budget")


@dataclasses.dataclass
class City:
    name: str


class Town(TypedDict):
    name: str


def weather(city: str) -> str:
    return city


NAMES: dict[str, Any] = {
    "City": City,
    "Town": Town,
    "weather": weather,
    "form": {"type": "function", "function": {"name": "form"}},
    "schema": {"type": "object", "properties": {}},
    "count": 3,
    "country": "x",
    "frame": pd.DataFrame({"amount": [1]}),
    "math": math,
}


@pytest.fixture
def completion() -> Completion:
    return Completion(SimpleNamespace(), lambda: NAMES, lambda: VERBS)


def tab(completion: Completion, text: str) -> list[str]:
    """What is offered at the end of a text, or at the mark | in it."""
    before = text.partition("|")[0]
    text = text.replace("|", "")
    line = before.count("\n")
    offer = completion.offer(text, line, len(before) - before.rfind("\n") - 1)
    return [] if offer is None else list(offer.texts)


class TestFlags:
    @pytest.mark.parametrize(
        ("start", "parser"),
        [("%%ogchat", chat_parser), ("%ogchat", chat_parser), ("%%ogcompare", compare_parser)]
        + [(f"%og {verb}", parser) for verb, parser in PARSERS.items()],
    )
    def test_all_that_the_parser_reads_are_offered(self, completion: Completion, start: str, parser: Any) -> None:
        known = set(parser()._option_string_actions)
        assert set(tab(completion, f"{start} ")) == set(tab(completion, f"{start} -")) == known

    def test_only_those_that_begin_so(self, completion: Completion) -> None:
        assert tab(completion, "%%ogchat --th") == ["--thread"]
        assert tab(completion, "%og use --thread-") == ["--thread-tokens"]
        assert tab(completion, "%og threads fork a b --") == ["--at"]

    def test_not_those_that_are_given_but_for_those_that_may_be_repeated(self, completion: Completion) -> None:
        assert "--model" not in tab(completion, "%%ogchat -m gpt-5 --")
        assert "--model" in tab(completion, "%%ogcompare -m gpt-5 --")

    def test_in_the_middle_of_a_line_and_below_other_magics(self, completion: Completion) -> None:
        assert tab(completion, "%%ogchat --th| -m gpt-5\nprompt") == ["--thread"]
        assert tab(completion, "%%time\n%%ogchat --th|\nprompt") == ["--thread"]
        assert tab(completion, "x = 1\n%og use --nest\ny") == []
        assert tab(completion, "x = 1\n%og use --nest|\ny") == ["--nest-asyncio"]
        assert tab(completion, "frame = %og thr") == ["threads"]


class TestValues:
    def test_models_by_their_bare_names_and_their_whole_ones(self, completion: Completion) -> None:
        assert tab(completion, "%%ogchat -m ") == offered()
        assert tab(completion, "%%ogchat -m claude-o")[:2] == ["claude-opus-4-5", "claude-opus-4-6"]
        assert tab(completion, "%%ogcompare -m gpt-5 -m zai/") == ["zai/glm-5.2", "zai/glm-image"]
        assert tab(completion, "%%ogchat --model=zai/") == ["zai/glm-5.2", "zai/glm-image"]

    @pytest.mark.parametrize(
        ("text", "offered"),
        [
            ("%%ogchat -p ", list(DEFAULTS)),
            ("%%ogcompare -p an", ["anthropic"]),
            ("%og use -s i", ["individual"]),
            ("%og models x", ["x-ai"]),
            ("%og network base", ["base", "base-sepolia"]),
            ("%og us", ["use"]),
            ("%og ", list(VERBS[1:])),
            ("%og threads re", ["rename", "reset"]),
            ("%%ogchat --context l", ["last"]),
            ("%%ogchat --replay ", ["auto", "only", "off"]),
            ("%og use --pace i", ["instant"]),
            ("%%ogchat --schema ", ["City", "Town", "schema"]),
            ("%%ogchat --tools w", ["weather"]),
            ("%%ogchat --tools weather,f", ["form"]),
            ("%%ogchat -o cou", ["count", "country"]),
        ],
    )
    def test_what_can_stand_behind_a_flag(self, completion: Completion, text: str, offered: list[str]) -> None:
        assert tab(completion, text) == offered

    def test_files_also_in_folders_and_with_spaces(
        self, completion: Completion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a file.csv").touch()
        (tmp_path / "old.csv").touch()
        monkeypatch.chdir(tmp_path)
        assert tab(completion, "%og receipts --csv o") == ["old.csv", "out/"]
        assert tab(completion, "%og receipts --import out/a") == ['"out/a file.csv"']
        assert tab(completion, "%og receipts --import 'out/a f") == ["'out/a file.csv'"]
        assert tab(completion, "%og threads export t ol") == ["old.csv"]

    def test_where_only_a_person_knows_nothing_is_offered(self, completion: Completion) -> None:
        for text in ("%%ogchat -t ", "%%ogchat -n 1", "%%ogchat --system ", "%og receipts --wait "):
            assert tab(completion, text) == []


class TestPrompts:
    def test_variables_stand_in_braces(self, completion: Completion) -> None:
        for start in ("%%ogchat\nWhat is {", "%%ogcompare -m a\nx {{", "%ogchat what {", "%ogchat -n 5 what {"):
            assert tab(completion, f"{start}cou") == ["count", "country"]
        assert tab(completion, "%%ogchat\n{") == ["form", "schema", "count", "country", "frame"]
        assert tab(completion, "%%ogchat\n{frame.amo") == ["amount"]

    def test_all_else_in_a_prompt_is_left_alone(self, completion: Completion) -> None:
        for text in ("cou", "-", "{count} ", "{nothing.x", "%og us", "%%ogchat -", "{count[", "{ cou"):
            assert tab(completion, f"%%ogchat\n{text}") == []


class TestElsewhere:
    @pytest.mark.parametrize(
        "text",
        ["", "%%ogch", "%%ogchat", "%og", "%ogx -", "import o", "x = 5 % og", "print('%og use -')", "%%time\nx\n%%ogchat -",
         "%%ogchatter -", "%og nope -", "%og threads nope x", "%%ogchat --nope x -", "%%ogchat word -", "%%ogchat 'open"],
    )  # fmt: skip
    def test_python_is_left_to_ipython(self, completion: Completion, text: str) -> None:
        assert tab(completion, text) == []

    def test_names_that_raise_do_not_break_the_line(self) -> None:
        def names() -> dict[str, Any]:
            raise RuntimeError("never seen")

        assert tab(Completion(SimpleNamespace(), names, lambda: VERBS), "%%ogchat -o x") == []


class TestTheHelp:
    def test_every_verb_and_each_of_its_flags_is_in_it(self) -> None:
        shown = help_text()
        verbs = OgMagics.verbs(SimpleNamespace(**dict.fromkeys(_methods(), None)))
        for verb in verbs:
            assert not verb or verb == "status" or f"%og {verb}" in shown, verb
        for verb, parser in PARSERS.items():
            if verb not in PROMPTED:
                told = shown.partition(f"%og {verb}")[2].partition("\n%")[0]
                for action in parser()._actions:
                    both = f"--[no-]{action.option_strings[-1].removeprefix('--').removeprefix('no-')}"
                    assert any(name in told for name in (*action.option_strings, both)), (verb, both)
        for verb in threads_parsers():
            assert verb in shown.partition("%og threads")[2].partition("\n%")[0]


def _methods() -> list[str]:
    return [name for name in vars(OgMagics) if name.startswith("_") and not name.startswith("__")] + ["_chat", "_shell"]
