"""`%config Og.model = "..."`: the notebook's settings as IPython shows and changes those of its own parts."""

from __future__ import annotations

import sys
from typing import Any

from traitlets import TraitError, TraitType
from traitlets.config import Config, Configurable

from ..core.errors import ConfigError
from ..core.option import Option
from ..core.options import SETTINGS
from ..core.types import x402SettlementMode
from .receipts import notebook


class _Setting(TraitType[Any, Any]):
    """A trait that reads its setting from the notebook and sets it there, so that there is only one."""

    def __init__(self, option: Option) -> None:
        super().__init__(help=option.help)
        self.tag(config=True)
        self._option = option

    def get(self, obj: Any, cls: Any = None) -> Any:
        value = getattr(notebook().settings, self._option.name)
        return value.value if isinstance(value, x402SettlementMode) else value

    def set(self, obj: Any, value: Any) -> None:
        name, session = self._option.name, notebook()
        try:
            converted = session.choose_model(str(value), None) if name == "model" else self._option.convert(value)
            session.update_settings(**{name: converted})
        except ConfigError as error:
            raise TraitError(str(error)) from None


class _Configurable(Configurable):
    def update_config(self, config: Config) -> None:
        """Set what this configuration names, and that alone: the rest may have been changed elsewhere since."""
        for name, value in config.get(type(self).__name__, {}).items():
            if not self.has_trait(name):
                raise TraitError(
                    f"Og has no setting {name!r}. It has {', '.join(sorted(self.trait_names(config=True)))}."
                )
            setattr(self, name, value)


_DOC = "Settings of og_magics. `%og use` and the panel change the same ones."
_metaclass: Any = type(_Configurable)
Og: Any = _metaclass(
    "Og",
    (_Configurable,),
    {"__doc__": _DOC, "__module__": __name__}
    | {name: _Setting(option) for name, option in SETTINGS.items() if option.config},
)
"""The class that `%config Og` shows, with a trait for each option of the table that has one."""


def settings_of(shell: Any) -> Any:
    """Return the settings as an object for `shell.configurables`; what the shell's configuration says of them is set.

    A setting there that makes no sense is reported, and keeps nobody from loading: a `%config` that was refused stays
    in it.
    """
    settings = Og()
    for name, value in shell.config.get(Og.__name__, {}).items():
        try:
            settings.update_config(Config({Og.__name__: {name: value}}))
        except TraitError as error:
            print(f"Og.{name} in the configuration: {error}", file=sys.stderr)
    return settings
