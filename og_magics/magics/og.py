"""%og: settings, wallet, network and receipts of a notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, no_var_expand

from ..core import log
from ..core.amounts import format_opg, parse_opg
from ..core.errors import ConfigError
from ..core.models import nearest, resolve_provider
from ..core.networks import NETWORKS, Network, described, network_by_name
from ..core.options import OPTIONS, SETTINGS
from ..core.status import is_open
from .base import NotebookMagics
from .budget import budget
from .devnet import devnet
from .environment import doctor, environment
from .explain import explain, fix
from .og_parsers import FILES, log_parser, network_parser, receipts_parser, use_parser, verb_parser, verify_parser
from .receipts import ReceiptsVariable, imported
from .threads import threads
from .tools import tools

if TYPE_CHECKING:
    from .chat import ChatMagics

_HELP = """\
%%ogchat [flags]        ask; the cell is the prompt       %%ogchat? lists the flags
%ogchat [flags] prompt  the same in one line
%%ogcompare -m A -m B   ask several models at once, side by side; -p names a provider's model
%%ogmany [flags] FRAME  ask for each row of a DataFrame: {column} in the cell is the row's value
%og                     network, model and mode in use, calls and what they cost
%og use [flags]         set defaults: USE
%og explain [flags]     ask why the last cell that failed did; it is sent with its error
%og fix [flags]         ask for a corrected cell, which is put below and not run
%og models [provider]   the models, with prices
%og receipts [--wait S] the receipts as a DataFrame (also in og_receipts); --wait until settled;
                        --csv, --json, --parquet FILE writes them, --import FILE shows such a file
%og verify [--offline]  check every proof of every receipt, on chain too; --pcr HASH pins the enclave's code
%og wallet              address, OPG (the token that pays), money for fees (gas), and how much may be paid
%og budget [flags]      what may be spent, what is left; --call, --notebook, --day, --wallet OPG set it, and
                        --approve-above OPG above what cost you are asked
%og approve [OPG]       allow payments of so much OPG in all (5); needed once a wallet
%og panel               a control panel: all of this by widgets
%og cell                put the cell that asks what the panel asked last below this one
%og tools               the functions that @og.tool registered, for --tools
%og threads [VERB]      the conversations: list, show, fork, rename, reset, delete, export; %og threads help has more
%og network [NAME]      show or choose: NETWORKS; devnet is the practice network, on this machine;
                        --model FILE: there a model of this machine answers
%og devnet [--file F]   where the practice network is; --file F writes it down, for OG_DEVNET of others
%og env [--lock FILE]   what this notebook runs with: shown, kept in the output, and all packages in a lock file
%og log [-n N]          the last steps of calls, with ids and times; --level debug shows new ones as they come
%og doctor [--offline]  whether everything is there that a call needs, with a remedy for what is not
%og help                this"""


@magics_class
class OgMagics(NotebookMagics):
    """The `%og` magic and its verbs."""

    def __init__(self, shell: Any, variable: ReceiptsVariable, chat: ChatMagics) -> None:
        super().__init__(shell, variable)
        self._chat = chat

    @no_var_expand
    @line_magic
    def og(self, line: str) -> Any:
        """Show or change settings, wallet, network and receipts of this notebook. `%og help` lists the verbs."""
        asked = line.strip()
        verb, _, rest = asked.removesuffix(";").strip().partition(" ")
        verbs = self.verbs()
        if verb not in verbs:
            close = nearest(verb, filter(None, verbs))
            hint = f"Did you mean {close}? " if close else ""
            raise UsageError(f"%og has no verb {verb!r}. {hint}Use one of {', '.join(v for v in verbs if v)}.")
        try:
            value = verbs[verb](rest.strip())
        except ConfigError as error:
            raise UsageError(str(error)) from None
        return None if asked.endswith(";") else value

    def verbs(self) -> dict[str, Callable[[str], Any]]:
        """Return the function of each verb, which takes the rest of the line."""
        return {
            "": self._status,
            "status": self._status,
            "use": self._use,
            "models": self._models,
            "receipts": self._receipts,
            "verify": self._verify,
            "wallet": self._wallet,
            "budget": lambda rest: print(budget(self._app, rest)),
            "approve": self._approve,
            "network": self._network,
            "devnet": lambda rest: print(devnet(self._app, rest)),
            "panel": self._panel,
            "cell": self._cell,
            "threads": lambda rest: threads(self._app, rest),
            "tools": lambda rest: print(tools(rest)),
            "explain": lambda rest: explain(self._chat, rest),
            "fix": lambda rest: fix(self._chat, self._shell, rest),
            "log": self._log,
            "env": lambda rest: environment(self._app, rest),
            "doctor": lambda rest: doctor(self._app, rest),
            "help": self._help,
        }

    def _status(self, rest: str) -> None:
        verb_parser("", "").parse(rest, prompt=False)
        settings = self._app.settings
        receipts = self._app.records.receipts()
        paid = sum(r.cost or 0 for r in receipts)
        waiting = sum(is_open(r.status) for r in receipts)
        network = settings.network_name()
        lines = [
            f"network     {network}{_tail(network)}",
            f"model       {settings.model}",
            f"settlement  {settings.settlement.value}",
            f"parameters  temperature {settings.temperature}, at most {settings.max_tokens} tokens"
            + ("" if settings.stream else ", not streamed")
            + ("" if settings.replay == "off" else f", replay {settings.replay}")
            + (", with web search" if settings.web_search else ""),
            f"receipts    {len(receipts)} in {self._app.ledger.name}, {waiting} to be settled, "
            f"{format_opg(paid)} OPG paid",
        ]
        if settings.tools:
            lines.insert(4, f"tools       {settings.tools}")
        if settings.thread:
            lines.insert(4, f"thread      {settings.thread}")
        if settings.system:
            lines.insert(4, f"system      {settings.system[:60]!r}")
        print("\n".join(lines))

    def _use(self, rest: str) -> None:
        flags, _ = use_parser().parse(rest, prompt=False)
        if flags.nest_asyncio:
            nest_asyncio()
        changes: dict[str, Any] = {name: getattr(flags, name) for name, one in SETTINGS.items() if one.use}
        if changes["tools"] == "none":
            changes["tools"] = ""
        if flags.model or flags.provider:
            changes["model"] = self._app.choose_model(flags.model, flags.provider)
        self._app.update_settings(**changes)
        self._status("")

    def _models(self, rest: str) -> Any:
        from ..session import models

        frame = models()
        return frame[frame["provider"] == resolve_provider(rest)].reset_index(drop=True) if rest else frame

    def _receipts(self, rest: str) -> Any:
        parser = receipts_parser()
        flags, _ = parser.parse(rest, prompt=False)
        files = {kind: getattr(flags, kind) for kind in FILES if getattr(flags, kind) is not None}
        for kind, file in files.items():
            if not file.lower().endswith(f".{kind}"):
                parser.error(f"--{kind} {file}: the file's name must end in .{kind}")
        if flags.imported is not None:
            if files or flags.wait is not None:
                parser.error("--import reads a file; it takes no other flag")
            return imported(flags.imported)
        if flags.wait is not None:
            from ..session.open_payments import open_payments, open_payments_note

            if note := open_payments_note(open_payments(self._app, flags.wait)):
                print(note)
        if files:
            from ..ledger import export_receipts

            receipts = self._app.records.receipts()
            for file in files.values():
                print(f"{len(receipts)} receipts written to {export_receipts(receipts, file)}")
        return self._variable.refresh()

    def _verify(self, rest: str) -> Any:
        from ..display import proofs_bundle, shown_as
        from ..session import verify
        from ..verification.verifier import COLUMNS, proofs_summary

        parser = verify_parser()
        flags, _ = parser.parse(rest, prompt=False)
        if flags.offline and flags.pcr:
            parser.error("--pcr asks the registry, which --offline does not")
        frame = verify(online=not flags.offline, expected_pcr=flags.pcr)
        for problem in frame.attrs["problems"]:
            print(f"The ledger: {problem}")
        print(proofs_summary(frame))
        about = {r.receipt_id: f"cell {r.cell or '?'}, {r.model}, {r.settlement}" for r in self._app.records.receipts()}
        self._variable.refresh()  # what holds is "verified" now
        return shown_as(frame, lambda: proofs_bundle(frame, COLUMNS, about))

    def _wallet(self, rest: str) -> None:
        verb_parser("wallet", "The wallet.").parse(rest, prompt=False)
        account = self._app.account()
        network = account.network
        lines = [
            f"network    {network.name} (chain {network.chain_id}){_tail(network.name)}",
            f"address    {account.address}",
            f"OPG        {format_opg(account.opg)}",
            f"gas        {format_opg(account.gas)} ETH, for the network's fees",
            f"allowance  {_allowance(account.allowance)} may be paid in all, through the payment contract (Permit2)",
        ]
        if account.allowance < account.needed:
            lines.append("           approve once with %og approve")
        if network.faucet and not account.opg:
            lines.append(f"faucet     {network.faucet}")
        print("\n".join(lines))

    def _approve(self, rest: str) -> None:
        result, transaction = self._app.approve(parse_opg(rest or 5))
        if result.tx_hash is None:
            print(f"Nothing to do: {_allowance(result.allowance_before)} may be moved already.")
        else:
            print(f"Approved: {_allowance(result.allowance_after)} may be moved. Transaction {transaction}")

    def _network(self, rest: str) -> None:
        named = "" if rest.startswith("-") else rest.partition(" ")[0]
        flags, _ = network_parser().parse(rest.removeprefix(named), prompt=False)
        if flags.model:
            self._use_model(flags.model, network_by_name(named or self._app.settings.network_name()))
        if named:
            chosen = network_by_name(named)
            before = self._app.settings.network
            self._app.update_settings(network=named)
            if not chosen.local:
                try:
                    _ = self._app.llm  # a missing or malformed key is reported now, not at the first call
                except ConfigError:
                    self._app.update_settings(network=before)
                    raise
        name = self._app.settings.network_name()
        print(f"network  {name}{_tail(name)}")
        if note := self._app.settings.unused_key_note():
            print(note)

    def _use_model(self, model: str, network: Network) -> None:
        from ..client.devnet_process import use_local_model

        if not network.local or self._app.settings.devnet:
            raise ConfigError(
                "A model on this machine answers on a practice network that this notebook starts.",
                remedy="Unset OG_DEVNET and use %og network devnet --model FILE, or `og-magics devnet --model FILE`.",
            )
        use_local_model(model)

    def _panel(self, rest: str) -> Any:
        from ..widgets import panel

        verb_parser("panel", "A control panel.").parse(rest, prompt=False)
        return panel()

    def _cell(self, rest: str) -> None:
        from ..widgets import last_cell

        verb_parser("cell", "The cell that asks what the panel asked last.").parse(rest, prompt=False)
        source = last_cell()
        if source is None:
            raise UsageError("No panel has asked anything yet. %og panel shows one.")
        self._shell.set_next_input(source)

    def _log(self, rest: str) -> None:
        flags, _ = log_parser().parse(rest, prompt=False)
        if flags.level is not None:
            log.show(flags.level)
        print("\n".join(log.recent(flags.lines)) or "No call was made in this kernel.")

    def _help(self, rest: str) -> None:
        print(help_text())


def help_text() -> str:
    """Return the verbs and what each does; the flags of %og use are those of the table of options."""
    flags = []
    for one in OPTIONS.values():
        if one.use:
            both = f"--[no-]{one.flags[-1].removeprefix('--')}" if one.switches else one.flags[0]
            flags.append(both)
    listed = textwrap.fill(", ".join([*flags, "--nest-asyncio"]), 120 - 24, break_on_hyphens=False).replace(
        "\n", "\n" + " " * 24
    )
    offered = ", ".join(f"{one.name} ({one.label})" for one in NETWORKS.values())
    return _HELP.replace("NETWORKS", offered).replace("USE\n", f"{listed}\n")


def nest_asyncio() -> None:
    """Let `asyncio.run()` work inside a cell, as a script expects it. Asked for, never done behind the user's back."""
    import nest_asyncio2

    nest_asyncio2.apply()


def _allowance(units: int) -> str:
    return "any amount of OPG" if units >= 2**255 else f"{format_opg(units)} OPG"


def _tail(network: str) -> str:
    from ..client.devnet_process import local_model

    chosen = described(network)
    model = local_model() if chosen.local else ""
    return f"  {chosen.label}: payments are play money, {model} answers" if model else f"  {chosen.about}"
