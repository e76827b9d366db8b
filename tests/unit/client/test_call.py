"""A call that is interrupted while its receipt is being written."""

from __future__ import annotations

import asyncio

import pytest

from og_magics.client.call import CallRunner
from og_magics.client.gateway_pool import GatewayPool
from og_magics.core.networks import NO_PAYMENT
from og_magics.core.settings import Settings
from og_magics.ledger import Ledger
from tests.postgres import Server
from tests.unit.ledger.conftest import Make, by_hand


def _wait_for_a_writer(ledger: Ledger) -> None:
    while not ledger._file._line._is_led:  # type: ignore[attr-defined]
        pass


@pytest.mark.ci
async def test_one_that_is_interrupted_while_a_server_writes_its_receipt_says_so_there(postgres: Server) -> None:
    make = Make()
    with Ledger(postgres.url()) as ledger:
        ledger.receipts()  # its tables are made
        runner = CallRunner(NO_PAYMENT, GatewayPool(NO_PAYMENT, timeout=1), None, ledger, None, Settings)
        with by_hand(ledger) as hand:
            hand.execute("BEGIN IMMEDIATE")  # all who write wait for it
            asking = asyncio.create_task(runner._opened(make.question()))
            await asyncio.to_thread(_wait_for_a_writer, ledger)
            asking.cancel()
            await asyncio.sleep(0.3)  # what notes the interrupt has begun, on another thread
            hand.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [(one.status, one.error) for one in ledger.receipts()] == [("failed", "interrupted")]
        assert ledger.audit().ok
