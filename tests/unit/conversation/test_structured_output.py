"""The form of an answer: what is asked for, what is accepted, and what is told when it does not fit."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, NotRequired, Optional, TypedDict

import pytest
from pydantic import BaseModel, Field

from og_magics.conversation.structured_output import (
    OutputSchema,
    SchemaMismatch,
    json_output,
    output_schema_of,
    parsed_json,
)
from og_magics.core.errors import ConfigError


class Person(BaseModel):
    """Somebody."""

    name: str
    born: Optional[datetime.date] = None  # noqa: UP045 - the old spelling is tested
    tags: list[str] = Field(default_factory=list, max_length=3)


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Inner(TypedDict):
    x: int


class Movie(TypedDict):
    title: str
    cast: NotRequired[list[Inner]]


class Node(BaseModel):
    value: int
    children: list[Node] = []


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def wire(form: OutputSchema, model: str = "openai/gpt-5") -> dict[str, Any]:
    return form.response_format(model).to_dict()


class TestWhatIsAskedFor:
    @pytest.mark.parametrize("schema", [Person, Point, Movie, Node])
    def test_every_member_is_required_and_no_other_allowed(self, schema: Any) -> None:
        asked = wire(output_schema_of(schema, {}))["json_schema"]
        objects = [asked["schema"], *asked["schema"].get("$defs", {}).values()]
        for one in (one for one in objects if "properties" in one):
            assert one["required"] == list(one["properties"])
            assert one["additionalProperties"] is False
        assert "default" not in str(asked)
        assert asked["name"] == schema.__name__

    def test_somebodys_own_schema_goes_as_it_is(self) -> None:
        loose = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"default": 1}}}
        assert wire(output_schema_of(loose, {}))["json_schema"] == {"name": "answer", "schema": loose, "strict": False}
        assert wire(output_schema_of("mine", {"mine": SCHEMA}))["json_schema"] == {
            "name": "mine",
            "schema": SCHEMA,
            "strict": True,
        }
        assert wire(output_schema_of({"name": "told", "schema": SCHEMA}, {}))["json_schema"]["name"] == "told"

    def test_free_names_are_asked_for_without_a_promise(self) -> None:
        class Free(BaseModel):
            counts: dict[str, int]

        assert wire(output_schema_of(Free, {}))["json_schema"]["strict"] is False

    def test_what_is_no_object_stands_in_one(self) -> None:
        form = output_schema_of(list[Point], {})
        assert wire(form)["json_schema"]["schema"]["properties"]["value"]["type"] == "array"
        assert form.parsed('{"value": [{"x": 1}]}') == [Point(1)]
        with pytest.raises(SchemaMismatch, match="'value'"):
            form.parsed("[]")

    def test_any_json_is_asked_of_each_provider_as_it_can(self) -> None:
        assert wire(json_output()) == {"type": "json_object"}
        assert wire(json_output(), "anthropic/claude-sonnet-4-6")["type"] == "json_schema"

    @pytest.mark.parametrize("wanted", ["nothing", "number", {"type": "no such type"}, 3, object()])
    def test_what_is_no_schema_is_refused(self, wanted: Any) -> None:
        with pytest.raises(ConfigError):
            output_schema_of(wanted, {"number": 3})


class TestWhatIsAccepted:
    @pytest.mark.parametrize(
        ("schema", "text", "value"),
        [
            (
                Person,
                '{"name": "Ada", "born": "1815-12-10", "tags": []}',
                Person(name="Ada", born=datetime.date(1815, 12, 10)),
            ),
            (Point, '```json\n{"x": 1, "y": 2.5}\n```', Point(1, 2.5)),
            (Movie, '{"title": "M", "cast": [{"x": 1}]}', {"title": "M", "cast": [{"x": 1}]}),
            (SCHEMA, ' {"n": 1} ', {"n": 1}),
            (Node, '{"value": 1, "children": [{"value": 2}]}', Node(value=1, children=[Node(value=2)])),
            (int | None, '{"value": null}', None),
        ],
    )
    def test_an_answer_becomes_an_object(self, schema: Any, text: str, value: Any) -> None:
        assert output_schema_of(schema, {}).parsed(text) == value

    @pytest.mark.parametrize(
        ("schema", "text", "told"),
        [
            (Person, "Here you are", "not JSON"),
            (Person, '{"born": 3}', "name: Field required"),
            (Point, '{"x": "one"}', "x: Input should be a valid integer"),
            (Movie, '{"title": "M", "cast": [{"x": "a"}]}', "cast.0.x: "),
            (SCHEMA, '{"n": 1, "m": 2}', "'m' was unexpected"),
            (SCHEMA, '{"n": NaN}', "not JSON"),
            (SCHEMA, "[" * 100_000, "not JSON"),
        ],
    )
    def test_what_does_not_fit_is_told_in_a_line(self, schema: Any, text: str, told: str) -> None:
        with pytest.raises(SchemaMismatch, match=told) as caught:
            output_schema_of(schema, {}).parsed(text)
        assert "https://" not in str(caught.value)

    @pytest.mark.parametrize("text", ["[1]", "```\n[1]\n```", "~~~json\n[1]\n~~~\n", "\n```json\n[1]```\n"])
    def test_json_is_found_in_a_code_fence(self, text: str) -> None:
        assert parsed_json(text) == [1]


class TestSchemasThatCannotBeUsed:
    @pytest.mark.parametrize(
        ("schema", "told"),
        [
            ({"$ref": "#"}, "refers to itself without end"),
            ({"allOf": [{"$ref": "#"}]}, "refers to itself without end"),
            ({"properties": {"a": {"$ref": "http://127.0.0.1:1/x.json"}}}, "nothing is fetched"),
            ({"items": {"$ref": "#/$defs/Missing"}}, "'#/$defs/Missing', which does not stand in it"),
        ],
    )
    def test_they_are_refused_before_anything_is_asked(self, schema: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError) as caught:
            output_schema_of("wanted", {"wanted": schema})
        assert told in caught.value.what
        assert caught.value.what.startswith("wanted cannot be used as a JSON schema")

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "object", "properties": {"kids": {"items": {"$ref": "#"}}}},
            {"$ref": "#/definitions/n", "definitions": {"n": {"type": "integer"}}},
            {"$ref": "#here", "$defs": {"n": {"$anchor": "here", "type": "integer"}}},
            {"$ref": "n.json", "$id": "http://a.test/", "$defs": {"n": {"$id": "n.json", "type": "integer"}}},
            {"properties": {"$ref": {"type": "string"}}, "examples": [{"$ref": "#/nowhere"}]},
        ],
    )
    def test_what_refers_within_itself_can(self, schema: dict[str, Any]) -> None:
        assert output_schema_of(schema, {}).schema == schema
