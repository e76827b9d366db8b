"""What a stranger's receipts say of times makes nobody read a whole chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from og_magics.chain import data
from og_magics.core.errors import ChainError
from og_magics.core.networks import BASE


def test_more_ranges_of_blocks_than_an_audit_reads_are_refused_before_any_is_read(node: Any) -> None:
    network = replace(BASE, registry_rpc_url=node.url, settlement_relay="0x" + "11" * 20)
    with pytest.raises(ChainError, match="20,000 ranges of blocks"):
        data._of_blocks(network, [(0, 20_000 * data.RANGE - 1)])
    assert node.requests == []


def test_a_node_that_takes_a_few_blocks_at_once_is_not_asked_for_all_of_them(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = replace(BASE, registry_rpc_url=node.url, settlement_relay="0x" + "11" * 20)
    monkeypatch.setitem(data._ranges, node.url, 10)  # as it was found to take
    with pytest.raises(ChainError, match="100,001 ranges of blocks"):
        data._of_blocks(network, [(0, 100 * data.RANGE)])
    assert node.requests == []
