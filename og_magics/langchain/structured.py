"""Structured output: what is asked of the model, and what its answer is read with."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_function
from langchain_core.utils.pydantic import is_basemodel_subclass

from ..conversation.structured_output import OutputSchema
from ..core.errors import ConfigError

METHODS = ("json_schema", "function_calling", "json_mode")


def check_method(method: str, schema: Any) -> None:
    """Raise ConfigError for a method that there is not, or that needs a schema and has none."""
    if method not in METHODS:
        raise ConfigError(f"There is no method {method!r}.", remedy=f"Use one of {', '.join(METHODS)}.")
    if schema is None and method != "json_mode":
        raise ConfigError(f"The method {method} needs a schema.", remedy="Give one, or use json_mode.")


def schema_format(schema: Any, model: str, *, strict: bool | None) -> dict[str, Any]:
    """Return the `response_format` of a schema: strict where it has such a form, unless `strict` says otherwise."""
    function = _function(schema)
    kind = None if isinstance(schema, dict) else schema
    form = OutputSchema(function["name"], function.get("parameters") or {}, kind).response_format(model).to_dict()
    if strict is False:
        form["json_schema"] |= {"schema": function.get("parameters") or {}, "strict": False}
    elif strict is True and not form["json_schema"]["strict"]:
        form["json_schema"] |= {"strict": True}
    return form


def schema_options(schema: Any, method: str, *, strict: bool | None) -> dict[str, Any]:
    """Return what traces are given of a schema; it is not sent."""
    if schema is None:
        return {}
    return {"kwargs": {"method": method, "strict": strict}, "schema": convert_to_json_schema(titled(schema))}


def text_parser(schema: Any) -> BaseOutputParser[Any]:
    """Return the parser of an answer that is JSON."""
    if _is_model(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def call_parser(schema: Any) -> BaseOutputParser[Any]:
    """Return the parser of an answer that is a function call."""
    if _is_model(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=_function(schema)["name"], first_tool_only=True)


def parsed_by(model: Runnable[Any, Any], parser: Runnable[Any, Any], *, include_raw: bool) -> Runnable[Any, Any]:
    """Return the model with its parser behind it; with `include_raw`, message and error stand beside what was read."""
    if not include_raw:
        return model | parser
    good = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    bad = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap({"raw": model}) | good.with_fallbacks([bad], exception_key="parsing_error")


def _function(schema: Any) -> dict[str, Any]:
    function: dict[str, Any] = convert_to_openai_function(titled(schema))
    return function


def titled(schema: Any) -> Any:
    """Return a JSON schema with a title, which is what LangChain calls it by."""
    if isinstance(schema, dict) and not {"title", "name", "function"} & schema.keys():
        return {"title": "answer", **schema}
    return schema


def _is_model(schema: Any) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)
