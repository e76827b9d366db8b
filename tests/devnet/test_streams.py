"""Odd streams of providers, joined and signed by the gateway's rules: no text is lost, no honest signature is false."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.streams import GATEWAYS, STREAMS, answers


@pytest.mark.ci
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_what_a_provider_sent_is_read_and_its_signature_holds(gateway: str, report: Callable[[str], None]) -> None:
    found = list(answers(gateway))
    assert len(found) == 2 * len(STREAMS)
    assert {(one.name, one.way): one.fault for one in found if one.fault} == {}
    signed = sum(one.holds is True for one in found)
    assert signed == sum(not one.error for one in found) >= 80
    report(f"{gateway}: {len(found)} odd streams, {signed} signatures hold, 0 honest answers called false")
    # The check can fail.
    good = next(one for one in found if one.name == "bom")
    assert replace(good, holds=False).fault == "an honest signature is called false"
    assert replace(good, text="hi").fault == "its text is lost"
