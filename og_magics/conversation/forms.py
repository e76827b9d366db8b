"""The form that an answer must have: JSON, or an object of a schema that stands in the notebook."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, is_typeddict

from ..errors import ConfigError
from ..progress import UNFIT
from ..types import ResponseFormat
from ..untrusted import read_json
from .schemas import modern, problems_of, strict, told, untitled, unusable

FORMATS = ("json", "md", "text", "code", "html", "math", "image")
"""As what an answer is shown."""

_FENCED = re.compile(r"\s*(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<inside>.*?)\n?[ \t]*(?P=fence)[`~]*\s*", re.S)
_NAME = re.compile(r"[^A-Za-z0-9_-]")
_VALUE = "value"
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class Unfit(ValueError):
    """An answer that is not of the form; the text says why, for the model and for the person to read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """What the answer is checked against.

    Attributes:
        name: of the schema, as a person knows it; "JSON" where any will do.
        schema: JSON schema that the model is given; None where any JSON will do.
        kind: the type that pydantic makes of it; None for a schema that came as a dict.
        wrapped: the value stands in an object, since providers want one at the root.
    """

    name: str
    schema: Mapping[str, Any] | None
    kind: Any = None
    wrapped: bool = False

    def response_format(self, model: str) -> ResponseFormat:
        """What is asked of the gateway."""
        if self.schema is None and not model.startswith("anthropic/"):
            return ResponseFormat("json_object")
        schema = dict(self.schema or _ANY_OBJECT)
        closed = strict(schema)
        if self.kind is None and closed != schema:
            closed = None  # somebody's own schema is sent as it is
        name = _NAME.sub("_", self.name)[:64] or "answer"
        return ResponseFormat("json_schema", {"name": name, "schema": closed or schema, "strict": closed is not None})

    def parsed(self, text: str) -> Any:
        """The object that a text is.

        Raises:
            Unfit: it is none.
        """
        try:
            value = parsed_json(text)
        except ValueError as error:
            raise Unfit(f"It is not JSON: {error}.") from None
        if self.kind is None:
            if self.schema is not None and (wrong := problems_of(value, self.schema)):
                raise Unfit(wrong)
            return value
        if self.wrapped:
            if not isinstance(value, dict) or set(value) != {_VALUE}:
                raise Unfit(f"It is not an object with the member {_VALUE!r}.")
            value = value[_VALUE]
        from pydantic import ValidationError

        try:
            # As JSON: there a date is a text, and a tuple a list, also where the type is strict.
            return _adapter(self.kind).validate_json(json.dumps(value))
        except ValidationError as error:
            raise Unfit(told(error.errors(include_url=False, include_input=False))) from None


def parsed_json(text: str) -> Any:
    """The JSON of a text, which may stand in a code fence.

    Raises:
        ValueError: there is none.
    """
    inside = _FENCED.fullmatch(text)
    value = read_json((inside["inside"] if inside else text).encode("utf-8", "surrogatepass"))
    json.dumps(value, allow_nan=False)  # Python reads NaN and the like, which are no JSON
    return value


def form_of(wanted: Any, names: Mapping[str, Any]) -> Form:
    """The form that a schema stands for.

    Args:
        wanted: a pydantic model, a dataclass, a TypedDict or another type; a JSON schema as a dict; or the name of one
            of these among `names`, the notebook's.

    Raises:
        ConfigError: no such name, or no schema.
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
        raise ConfigError(f"{label} has no JSON schema: {str(error).splitlines()[0]}") from None
    wrapped = schema.get("type") != "object"
    return Form(label, _wrapped(schema) if wrapped else schema, kind, wrapped)


def any_json() -> Form:
    """Any JSON."""
    return Form("JSON", None)


def repair_of(why: str) -> str:
    """What the model is told once, when its answer does not fit."""
    return f"{UNFIT} {why}\nAnswer again, with nothing but the corrected JSON."


def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _of_dict(schema: Mapping[str, Any], name: str) -> Form:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    # As OpenAI's response_format has it: the schema within.
    if isinstance(schema.get("schema"), Mapping) and "type" not in schema:
        name, schema = name or str(schema.get("name") or ""), schema["schema"]
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"{name or 'The dict'} is not a JSON schema: {error.message[:200]}") from None
    if flaw := unusable(schema):
        raise ConfigError(f"{name or 'The dict'} cannot be used as a JSON schema: {flaw}")
    return Form(name or str(schema.get("title") or "answer"), dict(schema))


def _rooted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of a type that holds itself begins with a reference; providers want an object at the root."""
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
