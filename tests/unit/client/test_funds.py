"""What a wallet holds on another chain is no reason to refuse a call."""

from __future__ import annotations

import asyncio

from og_magics.client.funds import Funds

from .conftest import FakeChain, Lies, signed


def test_an_empty_wallet_on_another_chain_refuses_nothing(fake_chain: FakeChain) -> None:
    fake_chain.lies = Lies(another=1)
    funds = Funds(fake_chain.network(), signed(1).payer)
    asyncio.run(funds.check(10**17, by_permit2=True))
    assert asyncio.run(funds.explain("permit2_insufficient_balance", 10**17)) is None
    assert set(fake_chain.asked) == {"eth_chainId", "eth_getBlockByNumber"}, "its balance was not even read"
