"""Functions as tools: what a model is told of them, and what it may send."""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import BaseModel, Field

import og_magics as og
from og_magics.conversation import tools
from og_magics.conversation.tools import BadArguments, registered, tool_of, toolbox
from og_magics.core.errors import ConfigError


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


class Movie(TypedDict):
    title: str


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_registry", {})


def parameters(function: Any) -> dict[str, Any]:
    return dict(tool_of(function).parameters)


class TestSchemas:
    def test_types_and_defaults_become_a_json_schema(self) -> None:
        def price(symbol: str, days: int = 1, exact: bool = False, weights: list[float] = []) -> float:  # noqa: B006 - users write it
            """Get a price."""
            return 0.0

        assert tool_of(price).schema == {
            "type": "function",
            "function": {
                "name": "price",
                "description": "Get a price.",
                "parameters": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "symbol": {"type": "string"},
                        "days": {"type": "integer", "default": 1},
                        "exact": {"type": "boolean", "default": False},
                        "weights": {"type": "array", "items": {"type": "number"}, "default": []},
                    },
                    "required": ["symbol"],
                },
            },
        }

    def test_choices_are_named(self) -> None:
        def paint(color: Color, size: Literal["s", "l"], note: Optional[str] = None) -> None: ...  # noqa: UP045 - the old spelling is tested

        schema = parameters(paint)
        assert schema["$defs"]["Color"]["enum"] == ["red", "blue"]
        assert schema["properties"]["size"]["enum"] == ["s", "l"]
        assert {"type": "null"} in schema["properties"]["note"]["anyOf"]

    def test_values_within_values_are_described(self) -> None:
        def draw(points: list[Point], by: Person, movie: Movie) -> None: ...

        definitions = parameters(draw)["$defs"]
        assert definitions["Point"]["required"] == ["x"]
        assert definitions["Person"]["properties"]["age"] == {"type": "integer", "minimum": 0}
        assert definitions["Movie"]["properties"] == {"title": {"type": "string"}}

    @pytest.mark.parametrize(
        "docstring",
        [
            "Send it.\n\nArgs:\n    to (str): the person,\n        by name\n    amount: how much\n\nReturns:\n    text",
            "Send it.\n\nParameters\n----------\nto : str\n    the person,\n    by name\namount\n    how much\n\nReturns\n-------\nstr",
            "Send it.\n\n:param str to: the person,\n    by name\n:param amount: how much\n:returns: text",
        ],
        ids=["google", "numpy", "rest"],
    )
    def test_each_argument_is_described_as_the_docstring_does(self, docstring: str) -> None:
        def send(to: str, amount: int) -> str:
            return ""

        send.__doc__ = docstring
        made = tool_of(send)
        assert made.description == "Send it."
        told = {name: one["description"] for name, one in made.parameters["properties"].items()}
        assert told == {"to": "the person, by name", "amount": "how much"}

    @pytest.mark.parametrize(
        "docstring",
        [
            "Move both,\nat once.\n\nArgs:\n    x, y: metres\n    *more: ignored",
            "Move both,\nat once.\n\nParameters\n----------\nx, y : int\n    metres\n*more\n    ignored",
        ],
        ids=["google", "numpy"],
    )
    def test_arguments_that_are_described_together_are_each_described(self, docstring: str) -> None:
        def move(x: int, y: int, *more: int) -> None: ...

        move.__doc__ = docstring
        made = tool_of(move)
        assert made.description == "Move both, at once."
        assert {name: one["description"] for name, one in made.parameters["properties"].items()} == {
            "x": "metres", "y": "metres",
        }  # fmt: skip

    def test_a_docstring_without_sections_is_all_description(self) -> None:
        def count() -> None:
            """Count.

            Note: this is no section, and
            neither is this: a colon.

            - one
            - two
            """

        assert tool_of(count).description == (
            "Count.\n\nNote: this is no section, and neither is this: a colon.\n\n- one\n- two"
        )

    def test_an_argument_may_have_any_name(self) -> None:
        def odd(json: str, copy: int, _private: int = 1, model_config: str = "", self: str = "") -> tuple[Any, ...]:
            return json, copy, _private, model_config, self

        made = tool_of(odd)
        positional, named = made.bound('{"json": "a", "copy": 2, "_private": 3, "model_config": "b", "self": "c"}')
        assert odd(*positional, **named) == ("a", 2, 3, "b", "c")

    def test_an_annotated_description_is_taken(self) -> None:
        def ask(what: Annotated[str, Field(description="the question", max_length=5)]) -> None: ...

        assert parameters(ask)["properties"]["what"] == {
            "type": "string", "description": "the question", "maxLength": 5,
        }  # fmt: skip

    def test_a_function_without_arguments_is_a_tool_too(self) -> None:
        def now() -> str:
            return "now"

        assert parameters(now)["properties"] == {}
        assert tool_of(now).bound("") == ((), {})

    def test_a_part_of_a_function_and_a_method_are_tools(self) -> None:
        def power(base: int, exponent: int) -> int:
            return int(base**exponent)

        class Counter:
            def count(self, up_to: int) -> int:
                return up_to

        assert tool_of(functools.partial(power, exponent=2)).name == "power"
        assert tool_of(Counter().count).bound('{"up_to": 3}') == ((), {"up_to": 3})

    def test_what_no_schema_describes_is_refused(self) -> None:
        def run(code: type(iter([]))) -> None: ...

        with pytest.raises(ConfigError, match=r"run\(\) cannot be a tool"):
            tool_of(run)
        with pytest.raises(ConfigError, match="cannot be a tool: no signature found"):
            tool_of(functools.partial(int, base=2))

    def test_a_function_in_c_may_be_one(self) -> None:
        assert og.tool(len) is len
        assert "len" in registered()

    def test_one_tool_needs_no_list(self) -> None:
        assert list(toolbox(len, {})) == ["len"]
        with pytest.raises(ConfigError, match="5 is not a function"):
            toolbox(5, {})

    def test_a_name_that_models_cannot_call_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="cannot be called"):
            tool_of(lambda x: x)


class TestArguments:
    def test_they_come_as_the_types_say(self) -> None:
        def draw(at: Point, color: Color, by: Person | None = None) -> None: ...

        _, named = tool_of(draw).bound('{"at": {"x": 1}, "color": "blue", "by": {"name": "Ada", "age": 3}}')
        assert named == {"at": Point(1), "color": Color.BLUE, "by": Person(name="Ada", age=3)}

    def test_those_that_come_first_only_are_passed_so(self) -> None:
        def divide(a: float, b: float, /, *, digits: int = 2) -> float:
            return round(a / b, digits)

        positional, named = tool_of(divide).bound('{"a": 1, "b": 3}')
        assert divide(*positional, **named) == 0.33

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ("{", "not JSON"),
            ("[1]", "not a JSON object"),
            ("{}", "a: "),
            ('{"a": "many"}', "a: Input should be a valid integer"),
            ('{"a": 1, "c": 2}', "c: Extra inputs"),
        ],
    )
    def test_bad_ones_are_told_in_a_line_for_the_model(self, arguments: str, told: str) -> None:
        def take(a: int) -> None: ...

        with pytest.raises(BadArguments, match=told) as caught:
            tool_of(take).bound(arguments)
        assert "https://" not in str(caught.value)
        assert "\n" not in str(caught.value)


class TestTheDecorator:
    def test_the_function_can_be_called_as_before_and_is_known_by_name(self) -> None:
        @og.tool
        def double(x: int) -> int:
            return 2 * x

        assert double(4) == 8
        assert list(registered()) == ["double"]

    def test_it_takes_a_name_a_description_a_limit_and_marks(self) -> None:
        @og.tool(name="erase", description="Erase it.", writes=True, timeout=2.5)
        def remove(path: str) -> None:
            """Not this."""

        made = registered()["erase"]
        assert (made.description, made.writes, made.spends, made.guarded, made.timeout) == (
            "Erase it.",
            True,
            False,
            True,
            2.5,
        )
        assert toolbox([remove], {}) == {"erase": made}

    def test_a_cell_that_is_run_again_replaces_it(self) -> None:
        for told in ("old", "new"):

            @og.tool
            def same(x: int) -> int:
                return x

            same.__doc__ = told
            og.tool(same)
        assert registered()["same"].description == "new"


class TestToolboxes:
    def test_names_are_those_of_the_notebook_and_then_registered_ones(self) -> None:
        @og.tool
        def far(x: int) -> int:
            return x

        def near(x: int) -> int:
            return x

        assert list(toolbox("near, far", {"near": near})) == ["near", "far"]
        assert list(toolbox("all", {})) == ["far"]

    def test_openai_dicts_are_taken_as_they_are(self) -> None:
        form = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["x"]}}}
        made = toolbox("forms", {"forms": [form]})["f"]
        assert (made.schema, made.function) == (form, None)

        def f(**values: Any) -> Any:
            return values

        made = toolbox([form], {"f": f})["f"]
        assert made.function is f
        assert made.bound('{"x": 1}') == ((), {"x": 1})
        with pytest.raises(BadArguments, match="'x' is a required property"):
            made.bound("{}")

    def test_a_form_of_a_guarded_function_is_guarded(self) -> None:
        @og.tool(spends=True)
        def pay(amount: int) -> None: ...

        assert toolbox([{"type": "function", "function": {"name": "pay"}}], {"pay": pay})["pay"].guarded

    @pytest.mark.parametrize("wanted", ["nothing", [3], [{"type": "function"}], [], "text"])
    def test_what_is_no_tool_is_refused(self, wanted: Any) -> None:
        with pytest.raises(ConfigError):
            toolbox(wanted, {"text": "a text"})

    def test_two_of_one_name_are_refused(self) -> None:
        def make() -> Any:
            def f(x: int) -> int:
                return x

            return f

        with pytest.raises(ConfigError, match="Two different tools are called 'f'"):
            toolbox([make(), make()], {})

    def test_a_signature_reads_well(self) -> None:
        def price(symbol: str, days: int = 1, kind: Literal["a", "b"] = "a", at: Point | None = None) -> None: ...

        assert tool_of(price).signature == (
            'price(symbol: string, days: integer = 1, kind: "a" | "b" = "a", at: Point | null = null)'
        )
