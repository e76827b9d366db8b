"""The panel's wallet: which network, what is there, what may be spent; approving, and choosing another network."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from ..amounts import format_opg, parse_opg
from ..app.standing import Account
from ..display.safe import safe_link
from ..errors import ConfigError
from ..networks import BASE, BASE_SEPOLIA, DEVNET, NAMES
from ..settings import Settings
from .desk import Desk
from .parts import badge, facts, line, meter, problem

_TOLD = {DEVNET: "local and free", BASE_SEPOLIA.name: "test tokens", BASE.name: "REAL MONEY"}
_ANY = 2**255
"""An allowance that no amount uses up."""


class Wallet:
    """The section of the wallet. Never the key."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.account: Account | None = None
        self.network = widgets.Dropdown(
            options=[(f"{name} ({_TOLD[name]})", name) for name in NAMES], value=None, description="Network",
            tooltip="Where calls are paid; base takes real money, and asks again",
        )  # fmt: skip
        self.real = widgets.Button(description="Use real money", button_style="danger", tooltip="Switch to base")
        self.real.layout.display = "none"
        self.told = widgets.HTML(line("Reading the wallet…", "og-status"))
        self.amount = widgets.Text("5", description="OPG", tooltip="How much OPG Permit2 may move in all")
        self.approve = widgets.Button(
            description="Approve", tooltip="Let Permit2 move so much OPG: a transaction that payments need once"
        )
        self.refresh = widgets.Button(description="Refresh", icon="refresh", tooltip="Read the chain again")
        self.outcome = widgets.HTML()
        row = widgets.HBox([self.amount, self.approve, self.refresh])
        chosen = widgets.HBox([self.network, self.real])
        for widget, name in (
            (self.network, "og-network"), (self.real, "og-real"), (self.told, "og-account"),
            (self.amount, "og-amount"), (self.approve, "og-approve"), (self.refresh, "og-refresh"),
            (self.outcome, "og-outcome"), (row, "og-row"), (chosen, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([chosen, self.told, row, self.outcome])
        self.network.observe(self._network, "value")
        self.real.on_click(lambda _: self._switch(BASE.name))
        self.approve.on_click(lambda _: self._approve())
        self.refresh.on_click(lambda _: self.read())

    def settings_are(self, settings: Settings) -> None:
        """Show the network in use, unless a person is about to choose real money."""
        if self.real.layout.display == "none":
            self._desk.put(self.network, value=settings.network_name())

    def read(self) -> None:
        """Read the account again, aside."""
        self._desk.put(self.refresh, disabled=True)

        def work() -> None:
            try:
                self.account = self._desk.app.account()
                self._desk.put(self.told, value=_account(self.account))
                self._desk.wake()
            finally:
                self._desk.put(self.refresh, disabled=False)

        self._desk.aside(work, lambda error: self._desk.put(self.told, value=problem(error)))

    def _network(self, change: Any) -> None:
        if self._desk.painting or not change["new"]:
            return
        asks = change["new"] == BASE.name
        self._desk.put(self.real.layout, display="" if asks else "none")
        self._desk.put(
            self.outcome, value=line("On base, calls are paid with real money.", "og-what og-loud") if asks else ""
        )
        if not asks:
            self._switch(change["new"])

    def _switch(self, name: str) -> None:
        desk, app = self._desk, self._desk.app
        desk.put(self.real.layout, display="none")

        def work() -> None:
            before = app.settings.network
            app.use(network=name)
            if name != DEVNET:
                try:
                    _ = app.llm  # a missing or malformed key is told now, not at the first call
                except ConfigError:
                    app.use(network=before)
                    raise
            desk.put(self.outcome, value="")
            desk.put(self.told, value=line("Reading the wallet…", "og-status"))
            self.read()

        desk.later(work, lambda error: desk.put(self.outcome, value=problem(error)))

    def _approve(self) -> None:
        desk = self._desk
        desk.put(self.approve, disabled=True)
        amount = self.amount.value

        def work() -> None:
            try:
                units = parse_opg(amount)
                desk.put(self.outcome, value=line("Approving…", "og-status"))
                result, where = desk.app.approve(units)
                if result.tx_hash is None:
                    told = line(f"Nothing to do: {_allowance(result.allowance_before)} may be moved already.")
                else:
                    told = line(f"Approved: {_allowance(result.allowance_after)} may be moved.") + _transaction(where)
                desk.put(self.outcome, value=told)
                self.read()
            finally:
                desk.put(self.approve, disabled=False)

        desk.aside(work, lambda error: desk.put(self.outcome, value=problem(error)))


def network_badge(name: str) -> str:
    """The network's name, loud where it takes real money."""
    kind = "bad" if name == BASE.name else "plain"
    return badge(f"{name} · {_TOLD.get(name, '')}", kind)


def _account(account: Account) -> str:
    network = account.network
    short = account.allowance < account.needed
    allowance = escape(_allowance(account.allowance)) + (
        f" {badge('approve it below', 'open')}" if short else " may be moved by Permit2"
    )
    opg = f"{format_opg(account.opg)} OPG"
    if network.faucet and safe_link(network.faucet):
        opg += f' · <a href="{escape(network.faucet)}" target="_blank" rel="noopener noreferrer">get test tokens</a>'
    rows = [
        ("Network", f"{network_badge(network.name)} chain {network.chain_id}"),
        ("Address", f'<code class="og-copy" tabindex="0" title="A click selects it">{escape(account.address)}</code>'),
        ("OPG", opg),
        ("Gas", f"{format_opg(account.gas)} ETH"),
        ("Allowance", allowance),
    ]
    for budget in account.budgets:
        used = f"{format_opg(budget.used)} OPG used"
        if budget.limit is None or budget.left is None:
            rows.append((f"Budget, {budget.name}", f"{used}, no limit"))
            continue
        share = budget.used / budget.limit if budget.limit else 1.0
        told = f"{format_opg(budget.left)} of {format_opg(budget.limit)} OPG left"
        rows.append((f"Budget, {budget.name}", f"{escape(told)}{meter(share, f'used of the budget: {told}')}"))
    loud = line("Real money: every call here is paid for with it.", "og-loud") if network.real_money else ""
    return loud + facts(rows)


def _allowance(units: int) -> str:
    return "any amount of OPG" if units >= _ANY else f"{format_opg(units)} OPG"


def _transaction(where: str) -> str:
    url = safe_link(where)
    if url:
        return f'<p><a href="{escape(url)}" target="_blank" rel="noopener noreferrer">the transaction</a></p>'
    return f'<p>Transaction <code class="og-copy">{escape(where)}</code></p>'
