"""A wallet's own key is found in whatever text is about to be sent."""

from __future__ import annotations

import pytest

from og_magics.private import holds_this_key

KEY = "c0ffee" + "5e" * 29


@pytest.mark.parametrize("key", [KEY, f"0x{KEY}", KEY.upper(), f" 0X{KEY} "])
@pytest.mark.parametrize("text", [KEY, f"Is 0x{KEY} a good one?", f"[{KEY.upper()}]", f"a{KEY}b"])
def test_it_is_found_however_it_is_written(text: str, key: str) -> None:
    assert holds_this_key(text, key)


@pytest.mark.parametrize("text", ["", "c0ffee", f"0x{'7d' * 32}", KEY[:-1]])
def test_another_text_does_not_hold_it(text: str) -> None:
    assert not holds_this_key(text, KEY)


@pytest.mark.parametrize("key", ["", "0x", "c0ffee"])
def test_what_is_no_key_is_in_no_text(key: str) -> None:
    assert not holds_this_key(f"c0ffee and 0x{KEY}", key)
