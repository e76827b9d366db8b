"""Provider, model, settlement mode and parameters: views of the notebook's settings, and ways to change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ..catalogue import DEFAULTS, PRICES, TEE_LLM
from ..conversation import registered
from ..settings import Settings
from ..types import x402SettlementMode
from .desk import Desk
from .parts import line, problem

_PROVIDERS = (
    ("OpenAI", "openai"), ("Anthropic", "anthropic"), ("Google", "google"), ("xAI", "x-ai"), ("ByteDance", "bytedance"),
    ("Nous", "nous"), ("Z.ai", "zai"),
)  # fmt: skip

MODES = {
    x402SettlementMode.PRIVATE: (
        "Private",
        "Only the payment goes on chain, so nobody can read or recognize the call: for what must stay with you.",
    ),
    x402SettlementMode.BATCH_HASHED: (
        "Batch",
        "The root of a tree of hashes of many calls goes on chain; nobody can read it, and whoever holds the call can "
        "prove that it was there: for everyday work.",
    ),
    x402SettlementMode.INDIVIDUAL_FULL: (
        "Individual",
        "The call's hashes go on chain and its whole input and output into a public blob that everyone can read: for "
        "results that others shall check.",
    ),
}
"""What goes on chain, who can read it, and what it is for."""


class Choice:
    """Provider, model and settlement mode."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.provider = widgets.ToggleButtons(
            options=_PROVIDERS, value=None, description="Provider",
            tooltips=[f"Its default is {DEFAULTS[name].partition('/')[2]}" for _, name in _PROVIDERS],
        )  # fmt: skip
        self.model = widgets.Dropdown(
            options=[], description="Model", tooltip="The provider's models, with USD for a million tokens in and out"
        )
        self.other = widgets.Text(
            description="or type", placeholder="provider/model", continuous_update=False,
            tooltip="Any other model, as provider/model; Enter chooses it",
        )  # fmt: skip
        self.mode = widgets.ToggleButtons(
            options=[(name, mode) for mode, (name, _) in MODES.items()], value=None, description="Settlement",
            tooltips=[told for _, told in MODES.values()],
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
        desk, (provider, _, _) = self._desk, settings.model.partition("/")
        desk.put(self.provider, value=provider if provider in DEFAULTS else None)
        known = [model.value for model in TEE_LLM if model.value.startswith(provider + "/")]
        models = known if settings.model in known else [settings.model, *known]
        desk.put(self.model, options=tuple((f"{name.partition('/')[2]}   {price(name)}", name) for name in models))
        desk.put(self.model, value=settings.model)
        desk.put(self.mode, value=settings.settlement)
        desk.put(self.about, value=line(MODES[settings.settlement][1]))

    def _provider(self, change: Any) -> None:
        if change["new"] and not self._desk.painting:
            app, provider = self._desk.app, change["new"]
            self._use(lambda: {"model": app.choose_model(None, provider)})

    def _model(self, change: Any) -> None:
        if change["new"] and not self._desk.painting:
            self._use(lambda: {"model": change["new"]})

    def _other(self, change: Any) -> None:
        if change["new"].strip() and not self._desk.painting:
            self._use(lambda: {"model": self._desk.app.choose_model(change["new"], None)})

    def _mode(self, change: Any) -> None:
        if change["new"] and not self._desk.painting:
            self._use(lambda: {"settlement": change["new"]})

    def _use(self, changes: Callable[[], dict[str, Any]]) -> None:
        use(self._desk, changes, self.failed, lambda: self._desk.put(self.other, value=""))


class Parameters:
    """Temperature, length, system prompt, and how answers come."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.failed = widgets.HTML()
        self.fields: dict[str, Any] = {
            "temperature": widgets.FloatSlider(
                description="Temperature", min=0, max=2, step=0.1, continuous_update=False,
                tooltip="0 is the most predictable, 2 the most varied",
            ),
            "max_tokens": widgets.BoundedIntText(
                description="Max tokens", min=1, max=1_000_000, value=1, tooltip="Of an answer, at most"
            ),
            "system": widgets.Textarea(
                description="System", placeholder="No system prompt", rows=3, continuous_update=False,
                tooltip="System prompt: sent before each prompt",
            ),
            "thread": widgets.Text(
                description="Thread", placeholder="No thread: each question stands alone", continuous_update=False,
                tooltip="The conversation that questions go on with, kept in the ledger; empty for none",
            ),
            "tools": widgets.SelectMultiple(
                description="Tools", rows=3, tooltip="Functions that the model may call: those that @og.tool registered"
            ),
            "stream": widgets.Checkbox(description="Stream", indent=False, tooltip="Show answers as they come"),
            "web_search": widgets.Checkbox(
                description="Web search", indent=False, tooltip="Let the model search the web; its provider bills that"
            ),
        }  # fmt: skip
        for name, widget in self.fields.items():
            widget.add_class(f"og-{name.replace('_', '-')}")
            widget.observe(self._changed(name), "value")
        checks = widgets.HBox([self.fields["stream"], self.fields["web_search"]])
        checks.add_class("og-row")
        first = [self.fields[name] for name in ("temperature", "max_tokens", "system", "thread", "tools")]
        note = widgets.HTML(line("These hold for every cell and panel of the notebook, as %og use does."))
        self.box = widgets.VBox([*first, checks, note, self.failed])

    def settings_are(self, settings: Settings) -> None:
        """Show these."""
        for name, widget in self.fields.items():
            if name != "tools":
                self._desk.put(widget, value=getattr(settings, name))
        known, tools = sorted(registered()), self.fields["tools"]
        chosen = tuple(known) if settings.tools == "all" else tuple(filter(None, settings.tools.split(",")))
        self._desk.put(tools, options=tuple(sorted({*known, *chosen})))
        self._desk.put(tools, value=chosen)
        self._desk.put(tools, disabled=not tools.options)

    def _changed(self, name: str) -> Callable[[Any], None]:
        def changed(change: Any) -> None:
            if not self._desk.painting:
                new = ",".join(change["new"]) if name == "tools" else change["new"]
                use(self._desk, lambda: {name: new}, self.failed)

        return changed


def use(
    desk: Desk, changes: Callable[[], dict[str, Any]], failed: Any, done: Callable[[], None] = lambda: None
) -> None:
    """Change settings, in the queue; what is wrong with them is shown in `failed`."""

    def work() -> None:
        desk.app.use(**changes())
        desk.put(failed, value="")
        done()

    desk.later(work, lambda error: desk.put(failed, value=problem(error)))


def price(model: str) -> str:
    """USD for a million tokens."""
    known = PRICES.get(model)
    return "price not known" if known is None else f"${known.input} in, ${known.output} out per M tokens"
