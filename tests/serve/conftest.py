"""A running `og-magics serve`, in a process of its own, on the practice network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from og_magics.devnet import Devnet

from ..serving import Server, serving


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    with Devnet(settle_after=0.5, batch_after=0.3, token_delay=0.002) as devnet:
        yield devnet


@pytest.fixture(scope="module")
def server(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(devnet, tmp_path_factory.mktemp("serve")) as server:
        yield server
