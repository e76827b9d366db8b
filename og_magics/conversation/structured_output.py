"""Answers as JSON, or as objects of a schema that the notebook defines."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, is_typeddict

from ..core.errors import ConfigError
from ..core.progress import UNFIT
from ..core.types import ResponseFormat
from ..core.untrusted_json import read_json
from .json_schema import errors_summary, modern, problems_of, strict, untitled, unusable

FORMATS = ("json", "md", "text", "code", "html", "math", "image")
"""Formats in which an answer can be displayed."""

_FENCED = re.compile(r"\s*(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<inside>.*?)\n?[ \t]*(?P=fence)[`~]*\s*", re.S)
_NAME = re.compile(r"[^A-Za-z0-9_-]")
_VALUE = "value"
_ANOTHER_SCHEMA = "Correct it, or ask without --schema."
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class SchemaMismatch(ValueError):
    """An answer that does not match the schema; the message is for the model and the user."""


@dataclasses.dataclass(frozen=True, slots=True)
class OutputSchema:
    """The schema that an answer must match.

    Attributes:
        name: name of the schema; "JSON" if any JSON is accepted.
        schema: JSON schema that is sent to the model; None if any JSON is accepted.
        kind: type of the parsed object; None for a schema given as a dict.
        wrapped: True if the value is a member of an object, since providers want an object at the root.
    """

    name: str
    schema: Mapping[str, Any] | None
    kind: Any = None
    wrapped: bool = False

    def response_format(self, model: str) -> ResponseFormat:
        """Return the `response_format` of the request."""
        if self.schema is None and not model.startswith("anthropic/"):
            return ResponseFormat("json_object")
        schema = dict(self.schema or _ANY_OBJECT)
        closed = strict(schema)
        if self.kind is None and closed != schema:
            closed = None  # a schema that the user wrote is sent as it is
        name = _NAME.sub("_", self.name)[:64] or "answer"
        return ResponseFormat("json_schema", {"name": name, "schema": closed or schema, "strict": closed is not None})

    def parsed(self, text: str) -> Any:
        """Parse an answer.

        Raises:
            SchemaMismatch: the answer is not JSON, or does not match the schema.
        """
        try:
            value = parsed_json(text)
        except ValueError as error:
            raise SchemaMismatch(f"It is not JSON: {error}.") from None
        if self.kind is None:
            if self.schema is not None and (wrong := problems_of(value, self.schema)):
                raise SchemaMismatch(wrong)
            return value
        if self.wrapped:
            if not isinstance(value, dict) or set(value) != {_VALUE}:
                raise SchemaMismatch(f"It is not an object with the member {_VALUE!r}.")
            value = value[_VALUE]
        from pydantic import ValidationError

        try:
            # Validated as JSON, where even a strict type takes a text for a date and a list for a tuple.
            return _adapter(self.kind).validate_json(json.dumps(value))
        except ValidationError as error:
            raise SchemaMismatch(errors_summary(error.errors(include_url=False, include_input=False))) from None


def parsed_json(text: str) -> Any:
    """Parse a text as JSON; a code fence around it is removed.

    Raises:
        ValueError: the text is not JSON.
    """
    inside = _FENCED.fullmatch(text)
    value = read_json((inside["inside"] if inside else text).encode("utf-8", "surrogatepass"))
    json.dumps(value, allow_nan=False)  # Python also reads NaN and Infinity, which JSON does not have
    return value


def output_schema_of(wanted: Any, names: Mapping[str, Any]) -> OutputSchema:
    """Return the output schema of a type, a JSON schema or a name.

    Args:
        wanted: a pydantic model, a dataclass, a TypedDict or another type; a JSON schema as a dict; or the name of one
            of these among `names`, the notebook's.

    Raises:
        ConfigError: there is no such name, or it is not a schema.
    """
    name = ""
    if isinstance(wanted, str):
        name = wanted.strip()
        if name not in names:
            raise ConfigError(
                f"There is no schema {name!r} in the notebook.",
                remedy="Define a pydantic model, a dataclass, a TypedDict or a JSON schema of that name first.",
            )
        wanted = names[name]
    if isinstance(wanted, Mapping):
        return _of_dict(wanted, name)
    if not (isinstance(wanted, type) or is_typeddict(wanted) or hasattr(wanted, "__origin__") or _is_union(wanted)):
        raise ConfigError(
            f"{name or repr(wanted)[:60]} is not a schema.",
            remedy="Give a pydantic model, a dataclass, a TypedDict or a JSON schema as a dict.",
        )
    from pydantic.errors import PydanticUserError

    kind = modern(wanted)
    label = name or str(getattr(wanted, "__name__", "answer"))
    try:
        schema = _rooted(untitled(_adapter(kind).json_schema()))
    except (PydanticUserError, NameError, TypeError) as error:
        raise ConfigError(f"{label} has no JSON schema: {str(error).splitlines()[0]}", remedy=_ANOTHER_SCHEMA) from None
    wrapped = schema.get("type") != "object"
    return OutputSchema(label, _wrapped(schema) if wrapped else schema, kind, wrapped)


def json_output() -> OutputSchema:
    """Return the schema that accepts any JSON."""
    return OutputSchema("JSON", None)


def repair_of(why: str) -> str:
    """Return the message that asks the model for one corrected answer."""
    return f"{UNFIT} {why}\nAnswer again, with nothing but the corrected JSON."


def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _of_dict(schema: Mapping[str, Any], name: str) -> OutputSchema:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    # OpenAI's response_format: the schema is a member.
    if isinstance(schema.get("schema"), Mapping) and "type" not in schema:
        name, schema = name or str(schema.get("name") or ""), schema["schema"]
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise ConfigError(
            f"{name or 'The dict'} is not a JSON schema: {error.message[:200]}", remedy=_ANOTHER_SCHEMA
        ) from None
    if flaw := unusable(schema):
        raise ConfigError(f"{name or 'The dict'} cannot be used as a JSON schema: {flaw}", remedy=_ANOTHER_SCHEMA)
    return OutputSchema(name or str(schema.get("title") or "answer"), dict(schema))


def _rooted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a reference at the root, as a recursive type has one: providers want an object there."""
    inner = schema.get("$defs", {}).get(str(schema.get("$ref", "")).rpartition("/")[2])
    return {**inner, "$defs": schema["$defs"]} if inner else dict(schema)


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: part for name, part in schema.items() if name != "$defs"}
    outer: dict[str, Any] = {
        "type": "object",
        "properties": {_VALUE: inner},
        "required": [_VALUE],
        "additionalProperties": False,
    }
    return outer | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def _is_union(wanted: Any) -> bool:
    return type(wanted).__name__ in ("UnionType", "Union")
