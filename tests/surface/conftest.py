"""A devnet for the tests of the official SDK's names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from og_magics.devnet import Devnet


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet(settle_after=0.5, batch_after=0.3, token_delay=0.001) as devnet:
        yield devnet
