"""Example values satisfy the schemas that they are made from, by the word of an independent validator."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from og_magics.devnet.model.schema import example

RECURSIVE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children"],
        }
    },
    "$ref": "#/$defs/node",
}

SCHEMAS: list[Any] = [
    {"type": "string", "minLength": 30},
    {"type": "string", "maxLength": 2},
    {"type": "string", "pattern": "^0x[a-fA-F0-9]{40}$"},
    {"type": "string", "pattern": "^[A-Z]{3}$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "uuid"},
    {"enum": ["red", "green"]},
    {"const": 7},
    {"type": "integer", "minimum": 18, "maximum": 99},
    {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "minimum": 10, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.5, "multipleOf": 0.25},
    {"type": ["string", "null"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
    {"type": "object", "minProperties": 2},
    {"properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"properties": {"a": {"type": "null"}}}, {"required": ["a", "b"]}], "type": "object"},
    RECURSIVE,
    {},
    True,
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=repr)
def test_an_example_is_valid(schema: Any) -> None:
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(example(schema))


_leaf = st.one_of(
    st.builds(
        lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
        st.integers(-99, 99),
        st.integers(0, 50),
    ),
    st.builds(
        lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span},
        st.integers(0, 20),
        st.integers(0, 20),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "number"}, {"type": ["null", "integer"]}]),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text("abcdef", min_size=1, max_size=3)
    properties = st.dictionaries(names, inner, max_size=4)
    return st.one_of(
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda p: {"type": "object", "properties": p, "required": sorted(p)[::2]}, properties),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    )


@given(st.recursive(_leaf, _nested, max_leaves=12))
def test_an_example_of_any_nested_schema_is_valid_and_the_same_each_time(schema: Any) -> None:
    value = example(schema)
    Draft202012Validator(schema).validate(value)
    assert example(schema) == value


def test_a_description_with_an_example_is_followed() -> None:
    described = {"type": "string", "description": "Token ticker symbol, e.g. ETH, BTC."}
    assert example({"type": "object", "properties": {"symbol": described}}) == {"symbol": "ETH"}


def test_a_string_without_a_rule_is_the_name_of_its_member() -> None:
    assert example({"type": "object", "properties": {"city": {"type": "string"}}}) == {"city": "city"}
