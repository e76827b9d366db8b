"""%og: what is set, what is there, what was paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ..amounts import format_opg, parse_opg
from ..catalogue import resolve_provider
from ..errors import ConfigError
from ..networks import BASE, DEVNET, NAMES
from ..types import x402SettlementMode
from .arguments import Parser, add_call_flags, number
from .budget import budget
from .receipts import ReceiptsVariable, imported, notebook

if TYPE_CHECKING:
    from ..app import App

_FILES = ("csv", "json", "parquet")

_HELP = """\
%%ogchat [flags]        ask; the cell is the prompt       %%ogchat? lists the flags
%ogchat [flags] prompt  the same in one line
%og                     network, model and mode in use, calls and what they cost
%og use [flags]         set defaults: -m -p -s -t -n --system, --[no-]stream, --[no-]web-search, --nest-asyncio
%og models [provider]   the models, with prices
%og receipts [--wait S] the receipts as a DataFrame (also in og_receipts); --wait until settled;
                        --csv, --json, --parquet FILE writes them, --import FILE shows such a file
%og verify [--offline]  check every proof of every receipt, on chain too; --pcr HASH pins the enclave's code
%og wallet              address, OPG, gas, and what Permit2 may move
%og budget [flags]      what may be spent and what is left: --call, --notebook, --day OPG set it
%og approve [OPG]       let Permit2 move so much OPG (5), which payments need once
%og network [NAME]      show or choose: devnet (local, free), base-sepolia (test tokens), base (real money)
%og help                this"""


@magics_class
class OgMagics(Magics):
    """The magic with verbs."""

    def __init__(self, shell: Any, variable: ReceiptsVariable) -> None:
        super().__init__(shell)
        self._shell = shell
        self._variable = variable

    @property
    def _app(self) -> App:
        return notebook()

    @no_var_expand
    @line_magic
    def og(self, line: str) -> Any:
        """Settings, wallet, network and receipts of this notebook. `%og help` lists the verbs."""
        verb, _, rest = line.strip().partition(" ")
        verbs: dict[str, Callable[[str], Any]] = {
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
            "help": self._help,
        }
        if verb not in verbs:
            raise UsageError(f"%og has no verb {verb!r}. Use one of {', '.join(v for v in verbs if v)}.")
        try:
            return verbs[verb](rest.strip())
        except ConfigError as error:
            raise UsageError(str(error)) from None

    def _status(self, rest: str) -> None:
        _parser("", "").parse(rest, prompt=False)
        settings = self._app.settings
        receipts = self._app.ledger.receipts()
        paid = sum(r.cost or 0 for r in receipts)
        waiting = sum(r.status in ("authorized", "served") for r in receipts)
        network = settings.network_name()
        lines = [
            f"network     {network}{_tail(network)}",
            f"model       {settings.model}",
            f"settlement  {settings.settlement.name}",
            f"parameters  temperature {settings.temperature}, at most {settings.max_tokens} tokens"
            + ("" if settings.stream else ", not streamed")
            + (", with web search" if settings.web_search else ""),
            f"receipts    {len(receipts)} in {self._app.ledger.path.name}, {waiting} to be settled, "
            f"{format_opg(paid)} OPG paid",
        ]
        if settings.system:
            lines.insert(4, f"system      {settings.system[:60]!r}")
        print("\n".join(lines))

    def _use(self, rest: str) -> None:
        parser = _parser("use", "Set defaults for all cells.")
        add_call_flags(parser)
        parser.add_argument("--stream", action="store_true", default=None)
        parser.add_argument("--no-stream", dest="stream", action="store_false")
        parser.add_argument("--nest-asyncio", action="store_true")
        flags, _ = parser.parse(rest, prompt=False)
        if flags.nest_asyncio:
            nest_asyncio()
        changes: dict[str, Any] = {
            "temperature": flags.temperature,
            "max_tokens": flags.max_tokens,
            "system": flags.system,
            "stream": flags.stream,
            "web_search": flags.web_search,
        }
        if flags.model or flags.provider:
            changes["model"] = self._app.choose_model(flags.model, flags.provider)
        if flags.settlement:
            changes["settlement"] = x402SettlementMode.parse(flags.settlement)
        self._app.use(**changes)
        self._status("")

    def _models(self, rest: str) -> Any:
        from ..app import models

        frame = models()
        return frame[frame["provider"] == resolve_provider(rest)].reset_index(drop=True) if rest else frame

    def _receipts(self, rest: str) -> Any:
        parser = _parser("receipts", "The receipts.")
        parser.add_argument("--wait", type=number, metavar="SECONDS")
        for kind in _FILES:
            parser.add_argument(f"--{kind}", metavar="FILE")
        parser.add_argument("--import", dest="imported", metavar="FILE")
        flags, _ = parser.parse(rest, prompt=False)
        files = {kind: getattr(flags, kind) for kind in _FILES if getattr(flags, kind) is not None}
        for kind, file in files.items():
            if not file.lower().endswith(f".{kind}"):
                parser.error(f"--{kind} {file}: the file's name must end in .{kind}")
        if flags.imported is not None:
            if files or flags.wait is not None:
                parser.error("--import reads a file; it takes no other flag")
            return imported(flags.imported)
        if flags.wait is not None:
            left = self._app.llm.settle(flags.wait)
            if left:
                print(f"{left} payments are not settled yet.")
        if files:
            from ..ledger import export_receipts

            receipts = self._app.ledger.receipts()
            for file in files.values():
                print(f"{len(receipts)} receipts written to {export_receipts(receipts, file)}")
        return self._variable.refresh()

    def _verify(self, rest: str) -> Any:
        from ..app import verify
        from ..display import proofs_bundle, shown_as
        from ..verification import COLUMNS, told

        parser = _parser("verify", "The proofs of the receipts.")
        parser.add_argument("--offline", action="store_true")
        parser.add_argument("--pcr", metavar="HASH", default="")
        flags, _ = parser.parse(rest, prompt=False)
        if flags.offline and flags.pcr:
            parser.error("--pcr asks the registry, which --offline does not")
        frame = verify(online=not flags.offline, expected_pcr=flags.pcr)
        for problem in frame.attrs["problems"]:
            print(f"The ledger: {problem}")
        print(told(frame))
        about = {r.receipt_id: f"cell {r.cell or '?'}, {r.model}, {r.settlement}" for r in self._app.ledger.receipts()}
        self._variable.refresh()  # what holds is "verified" now
        return shown_as(frame, lambda: proofs_bundle(frame, COLUMNS, about))

    def _wallet(self, rest: str) -> None:
        _parser("wallet", "The wallet.").parse(rest, prompt=False)
        account = self._app.account()
        network = account.network
        lines = [
            f"network    {network.name} (chain {network.chain_id}){_tail(network.name)}",
            f"address    {account.address}",
            f"OPG        {format_opg(account.opg)}",
            f"gas        {format_opg(account.gas)} ETH",
            f"allowance  {_allowance(account.allowance)} may be moved by Permit2",
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
        if rest:
            if rest not in NAMES:
                raise UsageError(f"There is no network {rest!r}. Choose one of {', '.join(NAMES)}.")
            before = self._app.settings.network
            self._app.use(network=rest)
            if rest != DEVNET:
                try:
                    _ = self._app.llm  # a missing or malformed key is told now, not at the first call
                except ConfigError:
                    self._app.use(network=before)
                    raise
        name = self._app.settings.network_name()
        print(f"network  {name}{_tail(name)}")

    def _help(self, rest: str) -> None:
        print(_HELP)


def nest_asyncio() -> None:
    """Let `asyncio.run()` work inside a cell, as a script expects it. Asked for, never done behind the user's back."""
    import nest_asyncio2

    nest_asyncio2.apply()


def _parser(verb: str, description: str) -> Parser:
    return Parser(f"%og {verb}".strip(), description)


def _allowance(units: int) -> str:
    return "any amount of OPG" if units >= 2**255 else f"{format_opg(units)} OPG"


def _tail(network: str) -> str:
    if network == DEVNET:
        return "  local and free: payments and models are simulated"
    return "  REAL MONEY" if network == BASE.name else "  test tokens"
