"""The options of one call: what the flags of a cell and the keywords of `og.ask` have in common."""

from __future__ import annotations

from typing import Any

from ..core.options import CALL, SETTINGS, known


class Options:
    """The options of one call: an attribute for each option of a call, as `core/options.py` names and explains them.

    An option that the notebook keeps a setting for is None where the settings decide; the others have their default.

    Raises:
        ConfigError: no option of that name.
    """

    __slots__ = ("_values",)

    def __init__(self, **given: Any) -> None:
        for name in given:
            known(name, CALL)
        defaults = {name: None if name in SETTINGS else one.default for name, one in CALL.items()}
        self._values = defaults | given

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"Options has no {name!r}")
        return self._values[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # a schema or a tool among them may be unhashable

    def __repr__(self) -> str:
        given = {name: value for name, value in self._values.items() if value not in (None, False)}
        return f"Options({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def replace(self, **changes: Any) -> Options:
        """Return these options with some replaced."""
        return Options(**(self._values | changes))

    def settings(self) -> dict[str, Any]:
        """Return those that the notebook keeps settings for, by name; None where the settings decide."""
        return {name: value for name, value in self._values.items() if name in SETTINGS}
