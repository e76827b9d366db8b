"""Functions that a model may call: `@tool`, the schema of a function, and the tools of one request.

The result of a function goes to the model as text. A web page or a file that a tool reads can hold instructions, and a
model may follow them. Functions that write or spend are therefore marked, and the user confirms each of their calls.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ..core.errors import ConfigError
from ..core.fork import new_lock
from ..core.untrusted_json import read_json
from .json_schema import errors_summary, modern, problems_of, untitled

F = TypeVar("F", bound=Callable[..., Any])

ALL = "all"
"""The name that stands for every registered tool."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MARK = "og_tool"


class BadArguments(ValueError):
    """Arguments that the function does not take; the message is for the model."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function with the description that the model gets.

    Attributes:
        name: name by which the model calls it.
        description: text for the model.
        parameters: JSON schema of the arguments, an object.
        function: plain or async function; None if calls can only be shown.
        writes, spends: it changes or costs something, so the user confirms each call.
        timeout: seconds that a call may take; None for the limit of the request.
        form: tool in OpenAI's format as the user gave it; None if it is built from the above.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any] | None = None
    writes: bool = False
    spends: bool = False
    timeout: float | None = None
    form: Mapping[str, Any] | None = None

    @property
    def guarded(self) -> bool:
        """True if the user must confirm each call."""
        return self.writes or self.spends

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in OpenAI's format."""
        if self.form is not None:
            return dict(self.form)
        function: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}

    @property
    def signature(self) -> str:
        """A signature for display: "price(symbol: string, days: integer = 1)"."""
        required = set(self.parameters.get("required", ()))
        parts = []
        for name, schema in self.parameters.get("properties", {}).items():
            default = f" = {json.dumps(schema['default'], default=str)}" if "default" in schema else ""
            optional = "?" if name not in required and not default else ""
            parts.append(f"{name}{optional}: {_kind(schema)}{default}")
        return f"{self.name}({', '.join(parts)})"

    def bound(self, arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert the model's arguments, a JSON text, to positional and keyword arguments.

        Raises:
            BadArguments: not JSON, not an object, or not what the function takes.
        """
        try:
            values = read_json((arguments or "{}").encode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise BadArguments(f"The arguments are not JSON: {error}") from None
        if not isinstance(values, dict):
            raise BadArguments("The arguments are not a JSON object.")
        if self.form is not None or self.function is None:
            if wrong := problems_of(values, self.parameters):
                raise BadArguments(wrong)
            return (), values
        return _model_of(self.function).bound(values)


class _Model:
    """The arguments of a function as a pydantic model. Its fields are numbered: an argument may have any name."""

    def __init__(self, function: Callable[..., Any], about: Mapping[str, str]) -> None:
        from pydantic import ConfigDict, Field, PydanticUserError, create_model
        from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

        label = getattr(function, "__name__", "tool")
        try:
            self._parameters = [
                parameter
                for parameter in inspect.signature(function).parameters.values()
                if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            ]
            hints = typing.get_type_hints(_annotated(function), include_extras=True)
            fields: dict[str, Any] = {}
            for place, parameter in enumerate(self._parameters):
                default = ... if parameter.default is parameter.empty else parameter.default
                details: dict[str, Any] = {"description": about[parameter.name]} if parameter.name in about else {}
                field = Field(default, alias=parameter.name, **details)
                fields[f"p{place}"] = (modern(hints.get(parameter.name, Any)), field)
            config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
            self._model = create_model(label, __config__=config, **fields)
            self.schema: dict[str, Any] = untitled(self._model.model_json_schema(by_alias=True))
        except (
            NameError,
            TypeError,
            ValueError,  # of inspect: a function in C may have no signature
            PydanticUserError,
            PydanticUndefinedAnnotation,
            PydanticSchemaGenerationError,
        ) as error:
            raise ConfigError(
                f"{label}() cannot be a tool: {str(error).splitlines()[0].rstrip('.')}.",
                remedy="Annotate its arguments with types that JSON can hold: str, int, list, Literal, a dataclass ...",
            ) from None
        self.schema.pop("description", None)
        self.schema.setdefault("properties", {})

    def bound(self, values: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        from pydantic import ValidationError

        try:
            model = self._model.model_validate(values)
        except ValidationError as error:
            raise BadArguments(errors_summary(error.errors(include_url=False, include_input=False))) from None
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for place, parameter in enumerate(self._parameters):
            value = getattr(model, f"p{place}")
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            else:
                named[parameter.name] = value
        return tuple(positional), named


@functools.lru_cache(maxsize=256)
def _model_of(function: Callable[..., Any]) -> _Model:
    return _Model(function, read_docstring(inspect.getdoc(function))[1])


def read_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return a docstring's description, each paragraph on one line, and the description of each argument by name.

    Google, NumPy and Sphinx styles are read. A docstring that is none of these is all description.
    """
    from docstring_parser import ParseError, parse

    text = inspect.cleandoc(docstring or "")
    try:
        parsed = parse(text)
    except ParseError:
        return _one_line_each(text), {}
    arguments = {
        name.strip().lstrip("*"): " ".join((param.description or "").split())
        for param in parsed.params
        for name in param.arg_name.split(",")
    }
    return _one_line_each(parsed.description or ""), arguments


def _one_line_each(text: str) -> str:
    """Join the lines of each paragraph; list items keep lines of their own."""
    return re.sub(r"(?<=\S)[ \t]*\n(?=[^\n\-*])", " ", text.strip())


def _annotated(function: Any) -> Any:
    """Return the object with the annotations: the function, that of a partial, or an object's `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(item, default=str) for item in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_kind(item) for item in schema["anyOf"])
    if schema.get("type") == "array" and isinstance(schema.get("items"), Mapping):
        return f"array of {_kind(schema['items'])}"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("type", "any"))


_lock = new_lock()
_registry: dict[str, Tool] = {}


def registered() -> dict[str, Tool]:
    """Return the tools of this process by name."""
    with _lock:
        return dict(_registry)


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    writes: bool = False,
    spends: bool = False,
    timeout: float | None = None,
) -> Callable[[F], F]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    writes: bool = False,
    spends: bool = False,
    timeout: float | None = None,
) -> Any:
    """Register a function as a tool that models may call (`--tools`). It can still be called as before.

    Its schema comes from its type hints and its docstring. A later function of the same name takes its place.

    Its result is sent to the model, and instructions in that text can change what the model calls next.

    Args:
        name, description: other than the function's own, and the start of its docstring.
        writes, spends: it changes or costs something. You are then asked before each call.
        timeout: seconds that a call may take.

    Raises:
        ConfigError: arguments whose types no JSON schema describes, or a name that models cannot call.
    """

    def register(function: F) -> F:
        new = tool_of(
            function, name=name, description=description, writes=writes, spends=spends, timeout=timeout, fresh=True
        )
        with _lock:
            _registry[new.name] = new
        with contextlib.suppress(AttributeError, TypeError):  # a function in C, or a bound method, takes no mark
            setattr(function, _MARK, new)
        return function

    return register if function is None else register(function)


def tool_of(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    writes: bool = False,
    spends: bool = False,
    timeout: float | None = None,
    fresh: bool = False,
) -> Tool:
    """Return the tool of a function: the registered one, unless `fresh` asks for a new one.

    Raises:
        ConfigError: the function cannot be a tool; see `tool`.
    """
    marked = getattr(function, _MARK, None)
    if isinstance(marked, Tool) and not fresh:
        return marked
    if not callable(function):
        raise ConfigError(
            f"{function!r} is not a function, so it cannot be a tool.", remedy="Decorate a function, or pass one."
        )
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ConfigError(f"timeout must be a positive number of seconds, got {timeout}.")
    called = name or str(getattr(_annotated(function), "__name__", ""))
    if not _NAME.fullmatch(called):
        raise ConfigError(
            f"A tool cannot be called {called!r}.", remedy="Give it a name of letters, digits, _ and -, up to 64."
        )
    about = read_docstring(inspect.getdoc(function))[0] if description is None else description
    return Tool(called, about, _model_of(function).schema, function, writes, spends, timeout)


def toolbox(wanted: Any, names: Mapping[str, Any]) -> dict[str, Tool]:
    """Return the tools of a request by name.

    Args:
        wanted: "f,g", "all", a function, or a sequence of names, functions, OpenAI-format dicts and lists of those.
        names: variables of the notebook; a name that is not there is looked up among the registered tools.

    Raises:
        ConfigError: there is no such tool, two share a name, or an item is not a tool.
    """
    found: dict[str, Tool] = {}
    if not isinstance(wanted, Iterable):
        wanted = [wanted]
    for item in _flat(wanted.split(",") if isinstance(wanted, str) else wanted):
        for new in _tools_of(item, names):
            if found.setdefault(new.name, new) is not new and found[new.name] != new:
                raise ConfigError(f"Two different tools are called {new.name!r}.", remedy="Leave one of them out.")
    if not found:
        raise ConfigError("There is no tool.", remedy="Make one with @og.tool, or name a function of the notebook.")
    return found


def _flat(wanted: Iterable[Any]) -> Iterable[Any]:
    for item in wanted:
        if isinstance(item, Sequence) and not isinstance(item, str):
            yield from _flat(item)
        else:
            yield item


def _tools_of(item: Any, names: Mapping[str, Any]) -> list[Tool]:
    if isinstance(item, Tool):
        return [item]
    if isinstance(item, Mapping):
        return [_of_form(item, names)]
    if not isinstance(item, str):
        return [tool_of(item)]
    name = item.strip()
    if name == ALL and ALL not in names:
        return list(registered().values())
    if name in names:
        return list(toolbox([names[name]], names).values()) if not isinstance(names[name], str) else _registered(name)
    return _registered(name)


def _registered(name: str) -> list[Tool]:
    known = registered()
    if name not in known:
        raise ConfigError(
            f"There is no tool {name!r}.",
            remedy="Name a function of the notebook, or make one with @og.tool; %og tools lists those.",
        )
    return [known[name]]


def _of_form(form: Mapping[str, Any], names: Mapping[str, Any]) -> Tool:
    """Return a tool given in OpenAI's format; it calls the notebook's function of that name, if there is one."""
    about = form.get("function")
    if not isinstance(about, Mapping) or not isinstance(about.get("name"), str) or not _NAME.fullmatch(about["name"]):
        raise ConfigError(
            f"This is not a tool: {str(form)[:80]}",
            remedy='Give {"type": "function", "function": {"name": ..., "parameters": {...}}}.',
        )
    function = names.get(about["name"])
    marked = getattr(function, _MARK, None)
    marked = marked if isinstance(marked, Tool) else registered().get(about["name"])
    if not callable(function):
        function = marked.function if marked else None
    return Tool(
        about["name"],
        str(about.get("description") or ""),
        about.get("parameters") or {"type": "object", "properties": {}},
        function,
        writes=bool(marked and marked.writes),
        spends=bool(marked and marked.spends),
        timeout=marked.timeout if marked else None,
        form=form,
    )
