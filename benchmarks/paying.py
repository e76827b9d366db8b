"""Payments: twenty chats at once, one authorization, and what writing it down costs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx

from og_magics import LLM, Settings
from og_magics.core.networks import devnet
from og_magics.core.receipt import Authorization
from og_magics.ledger import Ledger
from og_magics.payment.authorize import Authorizer, decode_challenge
from og_magics.payment.policy import Policy
from og_magics.payment.wallet import Wallet

from .network import MODEL, PATH, BareReader, question
from .official import chats_at_once
from .report import Row, median_ms

CHATS = 20
_COINCURVE = "eth_keys.backends.CoinCurveECCBackend"
_PURE = "eth_keys.backends.NativeECCBackend"
_PROMPT = "[[words:100]]"
_WORDS = 100


def concurrent(info: dict[str, Any], told: str, folder: str, *, rounds: int, official: str | None) -> list[Row]:
    """Rows on chats at once; `told` is the devnet's own line, `official` an interpreter with the official SDK."""
    ledger = Ledger(Path(folder) / "concurrent.db")
    llm = LLM(settings=Settings(network="devnet", devnet=told), journal=ledger)
    reader = BareReader(info)
    ours, bare = [], []
    with asyncio.Runner() as runner, ledger:
        client = reader.asynchronous()
        cold = runner.run(_chat(llm))
        authorizations = len(ledger.pending())  # nothing has been settled or has expired yet
        runner.run(_post(client))
        for _ in range(rounds):
            ours.append(runner.run(_chat(llm)))
            bare.append(runner.run(_post(client)))
        runner.run(client.aclose())
        runner.run(llm.close())
    reader.close()
    open_session = Row(f"{CHATS} chats at once, session open", median_ms(ours), "ms", median_ms(bare), "bare httpx")
    first, signed = f"the first {CHATS} chats of an LLM, at once", f"authorizations signed for these {CHATS}"
    if official is None:
        return [open_session, Row(first, cold * 1000), Row(signed, authorizations, "", value_goal=1)]
    other = chats_at_once(
        official, info, folder, chats=CHATS, model=f"openai/{MODEL}", prompt=_PROMPT, max_tokens=_WORDS
    )
    return [
        open_session,
        Row(first, cold * 1000, "ms", other.wall * 1000, "official SDK"),
        Row(signed, authorizations, "", other.signed, "official SDK", value_goal=1),
    ]


def signing(info: dict[str, Any], folder: str, *, rounds: int) -> list[Row]:
    """Rows on one authorization: signed, signed and written down, and signed without coincurve."""
    reader = BareReader(info)
    reader.close()
    network = devnet(info)
    policy = Policy(network.caip2, network.opg_token, frozenset({str(info["pay_to"])}), 10**18, 900)
    wallet = Wallet.from_key(info["accounts"][0]["private_key"])
    with Ledger(Path(folder) / "signing.db") as ledger:
        authorizers = {
            "alone": Authorizer(wallet, _NoJournal(), time.time),
            "written": Authorizer(wallet, ledger, time.time),
            "slow": Authorizer(wallet, _NoJournal(), time.time),
        }
        times: dict[str, list[float]] = {name: [] for name in authorizers}
        for _ in range(rounds + 1):
            for name, authorizer in authorizers.items():
                # Read by eth_keys at each signature.
                os.environ["ECC_BACKEND_CLASS"] = _PURE if name == "slow" else _COINCURVE
                began = time.perf_counter()
                required = decode_challenge(reader.challenge)
                offer = policy.choose(required.accepts)
                authorizer.authorize(required, offer, policy, gateway="", path=PATH, reason="benchmark")
                times[name].append(time.perf_counter() - began)
    alone, written, slowly = (median_ms(times[name][1:]) for name in ("alone", "written", "slow"))
    return [
        Row("an authorization, signed and written to disk", written, "ms", alone, "signed alone"),
        Row("an authorization, signed with coincurve", alone, "ms", slowly, "in pure Python"),
    ]


class _NoJournal(Ledger):
    """Writes no authorization down."""

    def __init__(self) -> None:
        super().__init__("unused.db")

    def authorize(self, authorization: Authorization, check: Any = None, wallet: Any = None) -> None:
        pass


async def _chat(llm: LLM) -> float:
    messages = [{"role": "user", "content": _PROMPT}]
    began = time.perf_counter()
    await asyncio.gather(*(llm.chat(f"openai/{MODEL}", messages, max_tokens=_WORDS) for _ in range(CHATS)))
    return time.perf_counter() - began


async def _post(client: httpx.AsyncClient) -> float:
    body = question(_PROMPT, _WORDS, stream=False)
    began = time.perf_counter()
    for response in await asyncio.gather(*(client.post(PATH, json=body) for _ in range(CHATS))):
        response.raise_for_status()
    return time.perf_counter() - began
