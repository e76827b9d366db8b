"""`%config Og.model = "..."`: the notebook's settings as IPython shows and changes those of its own parts."""

from __future__ import annotations

import sys
from typing import Any

from traitlets import TraitError, TraitType
from traitlets.config import Config, Configurable

from ..errors import ConfigError
from ..settings import CHOICES, choice
from ..types import x402SettlementMode
from .receipts import notebook


class _Setting(TraitType[Any, Any]):
    """A setting: read from the notebook, and set there, so that there is only one."""

    def __init__(self, about: str) -> None:
        super().__init__(help=about)
        self.tag(config=True)

    def get(self, obj: Any, cls: Any = None) -> Any:
        value = getattr(notebook().settings, str(self.name))
        return value.value if isinstance(value, x402SettlementMode) else value

    def set(self, obj: Any, value: Any) -> None:
        app, name = notebook(), str(self.name)
        try:
            if name == "model":
                value = app.choose_model(str(value), None)
            elif name == "settlement":
                value = x402SettlementMode.parse(value)
            elif name in CHOICES:
                value = choice(name, str(value))
            elif not isinstance(value, type(getattr(app.settings, name))):
                value = _number(value, type(getattr(app.settings, name)))
            app.use(**{name: value})
        except ConfigError as error:
            raise TraitError(str(error)) from None


class Og(Configurable):
    """Settings of og_magics. `%og use` and the panel change the same ones."""

    model = _Setting("a model: gpt-5, openai/gpt-5, or any provider/model")
    settlement = _Setting("private, batch or individual: what of a call goes on chain")
    temperature = _Setting("0 to 2")
    max_tokens = _Setting("of an answer, at most")
    system = _Setting("a system prompt")
    stream = _Setting("show answers as they come")
    replay = _Setting("auto: a recorded answer where there is one; only: never pay; off: always ask")
    pace = _Setting("a recorded answer at once (instant), or as it came (recorded)")
    web_search = _Setting("let models search the web; their providers bill that")

    def update_config(self, config: Config) -> None:
        """Set what this says, and that alone: what was said before may have been changed elsewhere since."""
        for name, value in config.get(type(self).__name__, {}).items():
            if not self.has_trait(name):
                raise TraitError(
                    f"Og has no setting {name!r}. It has {', '.join(sorted(self.trait_names(config=True)))}."
                )
            setattr(self, name, value)


def settings_of(shell: Any) -> Og:
    """The settings as an object for `shell.configurables`; what the shell's configuration says of them is set.

    What makes no sense there is told, and keeps nobody from loading: a `%config` that was refused stays in it.
    """
    settings = Og()
    for name, value in shell.config.get(Og.__name__, {}).items():
        try:
            settings.update_config(Config({Og.__name__: {name: value}}))
        except TraitError as error:
            print(f"Og.{name} in the configuration: {error}", file=sys.stderr)
    return settings


def _number(value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(f"{value!r} is no {kind.__name__}.")
