"""Provider, model, settlement mode and parameters: views of the notebook's settings, and ways to change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ..conversation import registered
from ..core.models import DEFAULTS, OwnPrices, known_model, offered
from ..core.option import Option
from ..core.options import SETTINGS
from ..core.settings import Settings
from ..core.settlement_modes import MODES
from .html import line, problem
from .worker import PanelWorker

_PROVIDERS = (
    ("OpenAI", "openai"), ("Anthropic", "anthropic"), ("Google", "google"), ("xAI", "x-ai"), ("ByteDance", "bytedance"),
    ("Nous", "nous"), ("Tencent", "tencent"), ("Z.ai", "zai"),
)  # fmt: skip


class Choice:
    """Provider, model and settlement mode."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self.provider = widgets.ToggleButtons(
            options=_PROVIDERS, value=None, description="Provider",
            tooltips=[f"Its default is {DEFAULTS[name].partition('/')[2]}" for _, name in _PROVIDERS],
        )  # fmt: skip
        self.model = widgets.Dropdown(
            options=[], description="Model", tooltip="The provider's models, with USD for a million tokens in and out"
        )
        self._found = {f"{name}   {price(name, worker.app.prices)}": name for name in offered()}
        self.other = widgets.Combobox(
            description="or find", placeholder="any model", continuous_update=False, ensure_option=False,
            options=tuple(self._found), tooltip="Type a part of its name or price, or any other provider/model; Enter",
        )  # fmt: skip
        self.mode = widgets.ToggleButtons(
            options=[(one.label, mode) for mode, one in MODES.items()], value=None, description="Settlement",
            tooltips=[one.about for one in MODES.values()],
        )  # fmt: skip
        self.about = widgets.HTML()
        self.failed = widgets.HTML()
        models = widgets.HBox([self.model, self.other])
        for widget, name in (
            (self.provider, "og-provider"), (self.model, "og-model"), (self.other, "og-other"), (self.mode, "og-mode"),
            (self.about, "og-about"), (models, "og-row"), (self.failed, "og-settings-problem"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([self.provider, models, self.mode, self.about, self.failed])
        self.provider.observe(self._provider, "value")
        self.model.observe(self._model, "value")
        self.other.observe(self._other, "value")
        self.mode.observe(self._mode, "value")

    def settings_are(self, settings: Settings) -> None:
        """Show these."""
        worker, (provider, _, _) = self._worker, settings.model.partition("/")
        worker.put(self.provider, value=provider if provider in DEFAULTS else None)
        known = [model for model in offered() if model.startswith(provider + "/")]
        models = known if settings.model in known else [settings.model, *known]
        worker.put(
            self.model,
            options=tuple((f"{name.partition('/')[2]}   {price(name, worker.app.prices)}", name) for name in models),
        )
        worker.put(self.model, value=settings.model)
        worker.put(self.mode, value=settings.settlement)
        worker.put(self.about, value=line(MODES[settings.settlement].about))

    def _provider(self, change: Any) -> None:
        if change["new"] and not self._worker.painting:
            app, provider = self._worker.app, change["new"]
            self._use(lambda: {"model": app.choose_model(None, provider)})

    def _model(self, change: Any) -> None:
        if change["new"] and not self._worker.painting:
            self._use(lambda: {"model": change["new"]})

    def _other(self, change: Any) -> None:
        if change["new"].strip() and not self._worker.painting:
            found = self._found.get(change["new"], change["new"])
            self._use(lambda: {"model": self._worker.app.choose_model(found, None)})

    def _mode(self, change: Any) -> None:
        if change["new"] and not self._worker.painting:
            self._use(lambda: {"settlement": change["new"]})

    def _use(self, changes: Callable[[], dict[str, Any]]) -> None:
        use(self._worker, changes, self.failed, lambda: self._worker.put(self.other, value=""))


def _number(option: Option) -> Any:
    return widgets.BoundedFloatText(
        min=option.minimum, max=option.maximum, step=option.step, value=option.default, continuous_update=False
    )


def _integer(option: Option) -> Any:
    most = 1_000_000 if option.maximum is None else int(option.maximum)
    return widgets.BoundedIntText(min=int(option.minimum or 0), max=most, value=option.default)


_KINDS: dict[str, Callable[[Option], Any]] = {
    "slider": _number,  # the front end's slider has no name for a screen reader
    "integer": _integer,
    "text": lambda option: widgets.Text(continuous_update=False, placeholder=f"No {option.label.lower()}"),
    "textarea": lambda option: widgets.Textarea(
        continuous_update=False, rows=3, placeholder=f"No {option.label.lower()} prompt"
    ),
    "checkbox": lambda option: widgets.Checkbox(indent=False),
    "functions": lambda option: widgets.SelectMultiple(rows=3),
}
"""The widget of each kind that the table of options names."""


def _widget_of(option: Option) -> Any:
    widget = _KINDS[option.widget](option)
    widget.description, widget.tooltip = option.label, option.hint
    return widget


class Parameters:
    """Temperature, length, system prompt, and how answers come."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self.failed = widgets.HTML()
        self.fields = {name: _widget_of(option) for name, option in SETTINGS.items() if option.widget in _KINDS}
        for name, widget in self.fields.items():
            widget.add_class(f"og-{name.replace('_', '-')}")
            widget.observe(self._changed(name), "value")
        checks = widgets.HBox([one for one in self.fields.values() if isinstance(one, widgets.Checkbox)])
        checks.add_class("og-row")
        first = [one for one in self.fields.values() if not isinstance(one, widgets.Checkbox)]
        note = widgets.HTML(line("These hold for every cell and panel of the notebook, as %og use does."))
        self.box = widgets.VBox([*first, checks, note, self.failed])

    def settings_are(self, settings: Settings) -> None:
        """Show these."""
        for name, widget in self.fields.items():
            if name != "tools":
                self._worker.put(widget, value=getattr(settings, name))
        known, tools = sorted(registered()), self.fields["tools"]
        chosen = tuple(known) if settings.tools == "all" else tuple(filter(None, settings.tools.split(",")))
        self._worker.put(tools, options=tuple(sorted({*known, *chosen})))
        self._worker.put(tools, value=chosen)
        self._worker.put(tools, disabled=not tools.options)

    def _changed(self, name: str) -> Callable[[Any], None]:
        def changed(change: Any) -> None:
            if not self._worker.painting:
                new = ",".join(change["new"]) if name == "tools" else change["new"]
                use(self._worker, lambda: {name: new}, self.failed)

        return changed


def use(
    worker: PanelWorker, changes: Callable[[], dict[str, Any]], failed: Any, done: Callable[[], None] = lambda: None
) -> None:
    """Change settings, in the queue; what is wrong with them is shown in `failed`."""

    def work() -> None:
        worker.app.update_settings(**changes())
        worker.put(failed, value="")
        done()

    worker.later(work, lambda error: worker.put(failed, value=problem(error)))


def price(model: str, own: OwnPrices) -> str:
    """Return USD for a million tokens or an image, and a word for a model that is retired."""
    known = known_model(model, own)
    if known is None or known.price is None:
        return "no list price" if known is None else known.status
    cost, drawn = known.price, known.price.image_tokens
    tokens = f"${cost.input} in, ${cost.output} out per M tokens" + (f", images ${drawn}" if drawn else "")
    shown = f"${cost.image} per image" if cost.flat else tokens
    return shown if known.served else f"{shown}; {known.status}"
