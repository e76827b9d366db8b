"""The table of options: each is declared once, here, and every surface is made from it.

A row says an option's name, type and default, and: its flags, its environment variables, on which surfaces it can be
set, by which widget of the panel, where it goes in the request's body, and what it is. From the rows come the flags of
the magics and of `%og use`, `%config Og`, the environment, the keywords of `og.ask`, the panel, completion, and the
reference pages. To add an option, add a row.

`SettingsTable` holds the options that a notebook keeps; those with `call` can be set for one call too. `CallTable`
holds the options of one call alone.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .amounts import OPG
from .errors import ConfigError
from .models import DEFAULTS, TEE_LLM
from .option import Option, Secret, option
from .types import x402SettlementMode


# A table is read in rows.
# fmt: off
@dataclass(frozen=True, slots=True)
class SettingsTable:
    """The options that a notebook keeps."""

    # Of each call.
    model: str = option(
        TEE_LLM.GPT_5.value, "a model: gpt-5, openai/gpt-5, or any provider/model", flags="-m --model", env="OG_MODEL",
        call=True, compare=True, use=True, config=True, widget="choice", completes="model", always=True,
    )
    settlement: x402SettlementMode = option(
        x402SettlementMode.BATCH_HASHED, "private, batch or individual: what of the call goes on chain",
        flags="-s --settlement", metavar="MODE", env="OG_SETTLEMENT", call=True, compare=True, use=True, config=True,
        widget="choice", choices=tuple(mode.value for mode in x402SettlementMode), always=True,
    )
    temperature: float = option(
        0.0, "temperature, 0 to 2", flags="-t --temperature", metavar="TEMP", call=True, compare=True, use=True,
        config=True, widget="slider", label="Temperature", hint="0 is the most predictable, 2 the most varied",
        body="temperature", minimum=0, maximum=2, step=0.1, always=True,
    )
    max_tokens: int = option(
        1000, "tokens of an answer, at most", flags="-n --max-tokens", metavar="N", call=True, compare=True, use=True,
        config=True, widget="integer", label="Max tokens", hint="Of an answer, at most", body="max_tokens", minimum=1,
        always=True,
    )
    system: str = option(
        "", "a system prompt, in quotes", flags="--system", metavar="TEXT", call=True, compare=True, use=True,
        config=True, widget="textarea", label="System", hint="System prompt: sent before each prompt", tells=True,
    )
    thread: str = option(
        "", "go on with the conversation of this name, or begin it", flags="--thread", metavar="NAME",
        off="--no-thread", call=True, use=True, widget="text", label="Thread", completes="thread",
        hint="The conversation that questions go on with, kept in the ledger; empty for none", tells=True,
    )
    thread_tokens: int = option(
        8000, "what a call in a thread sends at most, about; earlier turns that do not fit are left out",
        flags="--thread-tokens", metavar="N", use=True, minimum=1,
    )
    tools: str = option(
        "", "functions that the model may call: names with commas, or all that @og.tool registered; none for none",
        flags="--tools", metavar="F,G", call=True, use=True, widget="functions", label="Tools", completes="functions",
        hint="Functions that the model may call: those that @og.tool registered", tells=True,
    )
    stream: bool = option(
        True, "show the answer as it comes", flags="--stream", call=True, compare=True, use=True, config=True,
        widget="checkbox", label="Stream", hint="Show answers as they come", body="stream",
    )
    web_search: bool = option(
        False, "let the model search the web; each search is paid for, and has a receipt", flags="--web-search",
        call=True, use=True, config=True, widget="checkbox", label="Web search",
        hint="Let the model search the web; each search is paid for, and has a receipt",
    )
    replay: str = option(
        "off", "auto: a recorded answer where there is one; only: never pay; off: always ask", flags="--replay",
        metavar="WHEN", env="OG_REPLAY", call=True, compare=True, use=True, config=True,
        choices=("auto", "only", "off"), strict=True,
    )
    replay_from: str = option(
        "", "notebooks whose answers may be shown too, with commas; of others only this notebook's own are",
        flags="--replay-from", metavar="FILES", env="OG_REPLAY_FROM", call=True, compare=True, use=True, config=True,
        tells=True,
    )
    pace: str = option(
        "instant", "show a recorded answer at once (instant), or as it came (recorded)", flags="--pace",
        metavar="PACE", env="OG_REPLAY_PACE", call=True, compare=True, use=True, config=True,
        choices=("instant", "recorded"), strict=True,
    )
    # The wallet and the network.
    private_key: Secret | None = option(None, "hex key of the wallet that pays", env="OG_PRIVATE_KEY", reconnects=True)
    keystore: str = option("", "path of an encrypted key file", env="OG_KEYSTORE", reconnects=True)
    keystore_password: Secret | None = option(None, "password of that file", env="OG_KEYSTORE_PASSWORD")
    network: str = option(
        "", "devnet, base (real money) or base-sepolia (abandoned); empty for devnet, with a key or without",
        env="OG_NETWORK",
        reconnects=True,
    )
    rpc_url: str = option(
        "", "RPC of the payment chain, in place of the network's own", env="OG_RPC_URL", reconnects=True,
        private_url=True,
    )
    base_rpc_url: str = option(
        "", "RPC of Base, and of no other network; OG_RPC_URL outdoes it", env="BASE_MAINNET_RPC", reconnects=True,
        private_url=True,
    )
    registry_rpc_url: str = option(
        "", "RPC of the chain with the registry of enclaves", env="OG_REGISTRY_RPC_URL", reconnects=True,
        private_url=True,
    )
    registry_address: str = option("", "address of that registry", env="OG_TEE_REGISTRY_ADDRESS", reconnects=True)
    opg_token: str = option("", "address of the OPG token", env="OG_TOKEN_ADDRESS", reconnects=True)
    explorer: str = option("", "base URL of pages that show payments", env="OG_EXPLORER_URL", reconnects=True)
    blob_url: str = option(
        "", "URL of the blobs of individual settlements", env="OG_BLOB_URL", reconnects=True, private_url=True,
    )
    settlement_relay: str = option(
        "", "contract that emits data settlements", env="OG_SETTLEMENT_RELAY", reconnects=True,
    )
    gateway_url: str = option(
        "",
        "a gateway instead of one from the registry; or a plain OpenAI-compatible server, unpaid and unproven",
        flags="--gateway", metavar="URL", off="--no-gateway", env="OG_GATEWAY_URL", use=True, config=True,
        reconnects=True, tells=True, private_url=True,
    )
    gateway_key: Secret | None = option(
        None, "key for the server at gateway_url, sent to no other: an API key, or yours of `og-magics serve`",
        env="OG_GATEWAY_KEY", reconnects=True,
    )
    gateway_verify: bool = option(
        True, "check the certificate of a gateway that is given by URL", env="OG_GATEWAY_VERIFY", reconnects=True,
    )
    devnet: str = option(
        "", "the JSON line of a running devnet, or the path of a file with it", env="OG_DEVNET", reconnects=True,
    )
    ledger: str = option(
        "", "the receipts' file, or postgresql://... of a shared one; empty for .og/NOTEBOOK.db beside the notebook",
        env="OG_LEDGER", reconnects=True,
    )
    # Limits, and how calls behave.
    max_authorization: int = option(
        10 * OPG, "a gateway that asks for more in one authorization is refused; it takes what calls cost",
        env="OG_MAX_AUTHORIZATION", unit="OPG", limit=True,
    )
    max_deadline: int = option(900, "seconds; a gateway that asks for a longer deadline is refused", minimum=1)
    budget_notebook: int | None = option(
        None, "what this notebook may have authorized or paid in all; the network's default where it is not set",
        env="OG_BUDGET_NOTEBOOK", unit="OPG", limit=True,
    )
    budget_day: int | None = option(
        None, "the same for all notebooks of the wallet, in 24 hours; the network's default where it is not set",
        env="OG_BUDGET_DAY", unit="OPG", limit=True,
    )
    budget_wallet: int | None = option(
        None, "the same for all notebooks of the wallet, in all; no limit where it is not set", env="OG_BUDGET_WALLET",
        unit="OPG", limit=True,
    )
    approve_above: int | None = option(
        None, "what a cell or a batch may cost without a question; above it a yes is needed. Not set, nobody is asked",
        env="OG_APPROVE_ABOVE", unit="OPG", limit=True,
    )
    max_fee: int = option(
        OPG // 1000, "what one transaction, the approval, may cost in fees: nodes say what gas costs", env="OG_MAX_FEE",
        unit="ETH",
    )
    payees: tuple[str, ...] = option(
        (), "addresses that may be paid besides the registry's and the one known for the network", env="OG_PAYEES",
    )
    attest: str = option(
        "mark",
        "the hardware's attestation of a gateway: mark what has none, require one before anything is sent, or off",
        env="OG_ATTEST", choices=("off", "mark", "require"), strict=True,
    )
    pcr: tuple[str, ...] = option(
        (), "measurements of code, in hex with commas; a gateway that attests none of them is sent nothing",
        env="OG_PCR", digits=(64, 96),
    )
    timeout: float = option(
        120.0, "seconds without a byte from the gateway after which a call fails", env="OG_TIMEOUT", minimum=0,
        reconnects=True,
    )
    call_timeout: float = option(
        1800.0, "seconds for a whole answer", env="OG_CALL_TIMEOUT", minimum=1, reconnects=True,
    )
    max_answer: int = option(
        64, "MiB of one answer, at most; of a text, less where max_tokens says so", env="OG_MAX_ANSWER", minimum=1,
        reconnects=True,
    )
    max_calls: int = option(
        32, "functions that one answer may have called, at most", env="OG_MAX_CALLS", minimum=1,
    )
    retries: int = option(
        3, "repetitions of a call that failed before an answer had begun, with the same payment", env="OG_RETRIES",
        minimum=0,
    )
    prices: str = option(
        "", "path of a JSON file with prices of your own, in place of the catalogue's", env="OG_PRICES",
        reconnects=True,
    )
    prepare: bool = option(
        True, "read the list of gateways, and check one of them, while the first prompt is typed", env="OG_PREPARE"
    )
    watch: bool = option(True, "look for settlements in the background", env="OG_WATCH")
    confirmations: int | None = option(
        None, "blocks after which a settlement is final; the network's default where it is not set",
        env="OG_CONFIRMATIONS", minimum=0,
    )


@dataclass(frozen=True, slots=True)
class CallTable:
    """The options of one call alone."""

    provider: str | None = option(
        None, f"{', '.join(DEFAULTS)}: its default model, without -m", flags="-p --provider", call=True, compare=True,
        use=True, completes="provider",
    )
    max_cost: int | None = option(
        None, "refuse to pay if the call could cost more; a session's whole cap counts", flags="--max-cost",
        metavar="OPG", call=True, compare=True, unit="OPG",
    )
    aspect_ratio: str | None = option(
        None, "of an image model's pictures, like 16:9", flags="--aspect-ratio", metavar="W:H", call=True, compare=True,
        body="aspect_ratio", choices=("1:1", "16:9", "9:16", "4:3", "3:4", "auto"),
    )
    resolution: str | None = option(
        None, "of an image model's pictures, where it has a choice", flags="--resolution", metavar="SIZE", call=True,
        compare=True, body="resolution", choices=("1.5K", "2K"),
    )
    images: Any = option(
        None, "pictures that go along, for an image model to start from: files or variables, with commas",
        flags="--image", metavar="FILES", call=True, tells=True,
    )
    context: str | None = option(
        None, "send earlier cells along: last, a number of the last ones, all or errors", flags="--context",
        metavar="WHICH", call=True, compare=True, choices=("last", "all", "errors"), tells=True,
    )
    rounds: int | None = option(
        None, "calls to the model at most, where functions are called (5)", flags="--rounds", metavar="N", call=True,
    )
    tools_confirm: bool = option(False, "ask before each function is called", flags="--tools-confirm", call=True)
    tools_show: bool = option(
        False, "call no function: .tool_calls has what the model asks for", flags="--tools-show", call=True,
    )
    tool_timeout: float | None = option(
        None, "seconds that a function may take (60)", flags="--tool-timeout", metavar="S", call=True,
    )
    schema: Any = option(
        None, "what the answer must be: a pydantic model, dataclass, TypedDict or JSON schema", flags="--schema",
        metavar="NAME", call=True, completes="schema", tells=True,
    )
    format: str | None = option(
        None, "how the answer is shown: json, md, text, code, html, math or image", flags="-f --format",
        metavar="FORMAT", call=True, choices=("json", "md", "text", "code", "html", "math", "image"),
    )
# fmt: on


def _rows(table: type) -> dict[str, Option]:
    return {
        one.name: Option(name=one.name, type=str(one.type), **one.metadata["option"])
        for one in dataclasses.fields(table)
    }


SETTINGS = _rows(SettingsTable)
"""The options that a notebook keeps, by name."""
OPTIONS = SETTINGS | _rows(CallTable)
"""All options, by name."""
CALL = {name: one for name, one in OPTIONS.items() if one.call}
"""The options of one call: keywords of `og.ask`, flags of `%%ogchat`."""
BODY = {one.body: one for one in OPTIONS.values() if one.body}
"""The options that go into the request's body, by their key there."""
ENVIRONMENT = {variable: name for name, one in SETTINGS.items() for variable in one.env}
"""The environment variables, and the option that each sets."""
LIMITS = tuple(name for name, one in SETTINGS.items() if one.limit)
"""The options that hold for every LLM of the process once the notebook has set them."""


def known(name: str, among: Iterable[str]) -> str:
    """Return an option's name.

    Raises:
        ConfigError: there is none of that name; the error names the one that was probably meant.
    """
    names = list(among)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        remedy = f"Did you mean {close[0]}?" if close else f"There are {', '.join(names)}."
        raise ConfigError(f"There is no option {name!r}.", remedy=remedy)
    return name
