"""The Wallet tab: network, balance, allowance and budgets; approval, and the choice of another network."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from ..core.amounts import format_opg, parse_opg
from ..core.errors import ConfigError
from ..core.networks import NETWORKS, described, with_real_money
from ..core.settings import Settings
from ..display.sanitize import safe_link
from ..session.health import WalletStatus
from .html import badge, facts, line, meter, problem
from .worker import PanelWorker

_ANY = 2**255
"""Least allowance that is shown as unlimited."""


class Wallet:
    """The section of the wallet. It never shows the private key."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self.account: WalletStatus | None = None
        self.network = widgets.Dropdown(
            options=[(f"{name} ({one.label})", name) for name, one in NETWORKS.items()],
            value=None, description="Network",
            tooltip="The network on which calls are paid; real money asks once more",
        )  # fmt: skip
        self.real = widgets.Button(description="Use real money", button_style="danger", tooltip="Switch to base")
        self.real.layout.display = "none"
        self.status = widgets.HTML(line("Reading the wallet…", "og-status"))
        self.amount = widgets.Text(
            "5",
            description="OPG",
            tooltip="The most OPG that payments may take out of this wallet in all (the contract Permit2 moves them)",
        )
        self.approve = widgets.Button(
            description="Approve",
            tooltip="Allow payments of this much OPG in all. Needed once; the transaction costs a network fee (gas)",
        )
        self.refresh = widgets.Button(
            description="Refresh", icon="refresh", tooltip="Read balance and allowance from the chain again"
        )
        self.outcome = widgets.HTML()
        row = widgets.HBox([self.amount, self.approve, self.refresh])
        chosen = widgets.HBox([self.network, self.real])
        for widget, name in (
            (self.network, "og-network"), (self.real, "og-real"), (self.status, "og-account"),
            (self.amount, "og-amount"), (self.approve, "og-approve"), (self.refresh, "og-refresh"),
            (self.outcome, "og-outcome"), (row, "og-row"), (chosen, "og-row"),
        ):  # fmt: skip
            widget.add_class(name)
        self.box = widgets.VBox([chosen, self.status, row, self.outcome])
        self.network.observe(self._network, "value")
        self.real.on_click(lambda _: self._switch(with_real_money().name))
        self.approve.on_click(lambda _: self._approve())
        self.refresh.on_click(lambda _: self.read())

    def settings_are(self, settings: Settings) -> None:
        """Show the network in use, unless the choice of real money waits for its confirmation."""
        if self.real.layout.display == "none":
            self._worker.put(self.network, value=settings.network_name())

    def read(self) -> None:
        """Read the account again on a thread of its own."""
        self._worker.put(self.refresh, disabled=True)

        def work() -> None:
            try:
                self.account = self._worker.app.account()
                self._worker.put(self.status, value=_account(self.account))
                self._worker.wake()
            finally:
                self._worker.put(self.refresh, disabled=False)

        self._worker.aside(work, lambda error: self._worker.put(self.status, value=problem(error)))

    def budget_left(self) -> str:
        """Return what is left of the budget that ends first, as HTML; "" where none is known."""
        left = [budget for budget in (self.account.budgets if self.account else ()) if budget.left is not None]
        if not left:
            return ""
        least = min(left, key=lambda budget: budget.left or 0)
        return f'<span class="og-left">{format_opg(least.left or 0)} OPG left (budget, {escape(least.name)})</span>'

    def _network(self, change: Any) -> None:
        if self._worker.painting or not change["new"]:
            return
        needs_consent = described(change["new"]).real_money
        self._worker.put(self.real.layout, display="" if needs_consent else "none")
        self._worker.put(
            self.outcome,
            value=line(f"On {change['new']}, calls are paid with real money.", "og-what og-loud")
            if needs_consent
            else "",
        )
        if not needs_consent:
            self._switch(change["new"])

    def _switch(self, name: str) -> None:
        worker, app = self._worker, self._worker.app
        worker.put(self.real.layout, display="none")

        def work() -> None:
            before = app.settings.network
            app.update_settings(network=name)
            if not described(name).local:
                try:
                    _ = app.llm  # raises now, not at the first call, if the key is missing or malformed
                except ConfigError:
                    app.update_settings(network=before)
                    raise
            worker.put(self.outcome, value="")
            worker.put(self.status, value=line("Reading the wallet…", "og-status"))
            self.read()

        worker.later(work, lambda error: worker.put(self.outcome, value=problem(error)))

    def _approve(self) -> None:
        worker = self._worker
        worker.put(self.approve, disabled=True)
        amount = self.amount.value

        def work() -> None:
            try:
                units = parse_opg(amount)
                worker.put(self.outcome, value=line("Approving…", "og-status"))
                result, transaction = worker.app.approve(units)
                if result.tx_hash is None:
                    outcome = line(f"Nothing to do: {_allowance(result.allowance_before)} may be moved already.")
                else:
                    moved = _allowance(result.allowance_after)
                    outcome = line(f"Approved: {moved} may be moved.") + _transaction(transaction)
                worker.put(self.outcome, value=outcome)
                self.read()
            finally:
                worker.put(self.approve, disabled=False)

        worker.aside(work, lambda error: worker.put(self.outcome, value=problem(error)))


def network_badge(name: str) -> str:
    """Return the network's name as a badge, red where calls cost real money."""
    network = described(name)
    return badge(f"{name} · {network.label}", "bad" if network.real_money else "plain")


def _account(account: WalletStatus) -> str:
    network = account.network
    short = account.allowance < account.needed
    allowance = escape(_allowance(account.allowance)) + (
        f" {badge('approve it below', 'open')}" if short else " may be paid"
    )
    opg = f"{format_opg(account.opg)} OPG"
    if network.faucet and safe_link(network.faucet):
        opg += f' · <a href="{escape(network.faucet)}" target="_blank" rel="noopener noreferrer">get test tokens</a>'
    rows = [
        ("Network", f"{network_badge(network.name)} chain {network.chain_id}"),
        ("Address", f'<code class="og-copy" tabindex="0" title="A click selects it">{escape(account.address)}</code>'),
        ("OPG", opg),
        ("For fees (gas)", f"{format_opg(account.gas)} ETH"),
        ("Allowed in all", allowance),
    ]
    for budget in account.budgets:
        used = f"{format_opg(budget.used)} OPG used"
        if budget.limit is None or budget.left is None:
            rows.append((f"Budget, {budget.name}", f"{used}, no limit"))
            continue
        share = budget.used / budget.limit if budget.limit else 1.0
        label = f"{format_opg(budget.left)} of {format_opg(budget.limit)} OPG left"
        rows.append((f"Budget, {budget.name}", f"{escape(label)}{meter(share, f'used of the budget: {label}')}"))
    loud = line("Every call on this network costs real money.", "og-loud") if network.real_money else ""
    return loud + facts(rows)


def _allowance(units: int) -> str:
    return "any amount of OPG" if units >= _ANY else f"{format_opg(units)} OPG"


def _transaction(address: str) -> str:
    url = safe_link(address)
    if url:
        return f'<p><a href="{escape(url)}" target="_blank" rel="noopener noreferrer">the transaction</a></p>'
    return f'<p>Transaction <code class="og-copy">{escape(address)}</code></p>'
