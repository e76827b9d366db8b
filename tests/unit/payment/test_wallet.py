"""Where a key comes from, and that it never shows."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from og_magics.errors import ConfigError
from og_magics.payment import Wallet, load_wallet
from og_magics.settings import Secret, Settings

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"

MALFORMED = {
    "empty": ("", "it is empty"),
    "blank": ("  ", "it is empty"),
    "short": ("0x" + KEY[:-2], "62 characters"),
    "long": (KEY + "0", "65 characters"),
    "address": (ADDRESS, "looks like an address"),
    "phrase": ("test test test test test test test test test test test junk", "seed phrase"),
    "letters": ("0x" + "g" * 64, "not hex"),
    "zero": ("0x" + "0" * 64, "not a valid"),
    "too large": ("0x" + "f" * 64, "not a valid"),
}


@pytest.mark.parametrize("key", [KEY, "0x" + KEY, f" 0x{KEY}\n", KEY.upper(), Secret(KEY)])
def test_a_key_may_be_written_in_several_ways(key: str) -> None:
    wallet = Wallet.from_key(key)
    assert wallet.address == ADDRESS
    assert KEY not in repr(wallet) + repr(vars(wallet)).lower().replace(wallet.account.key.hex(), "")


@pytest.mark.parametrize(("key", "flaw"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_key_is_told_what_is_wrong_and_never_repeated(key: str, flaw: str) -> None:
    with pytest.raises(ConfigError, match=flaw) as caught:
        Wallet.from_key(key)
    assert "OG_PRIVATE_KEY" in caught.value.remedy
    shown = "".join(traceback.format_exception(caught.value))
    assert not key.strip() or key.strip() not in shown


def test_a_secret_does_not_show() -> None:
    secret = Secret(KEY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret}",
        f"{secret}",
        repr(Settings(private_key=secret)),
    ]
    assert not any(KEY in text for text in shown)
    assert secret.reveal() == KEY


class TestKeystore:
    @pytest.fixture
    def keystore(self, tmp_path: Path) -> str:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(Account.encrypt("0x" + KEY, "right", kdf="pbkdf2", iterations=2)))
        return str(path)

    def test_a_keystore_opens_with_its_password(self, keystore: str) -> None:
        wallet = load_wallet(Settings(keystore=keystore, keystore_password=Secret("right")))
        assert wallet is not None
        assert wallet.address == ADDRESS

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"keystore_password": Secret("wrong")}, "did not open"),
            ({"keystore_password": None}, "OG_KEYSTORE_PASSWORD"),
            ({"keystore": "/nowhere/key.json"}, "cannot be read"),
        ],
    )
    def test_a_keystore_that_does_not_open_is_told(self, keystore: str, changes: dict[str, Any], words: str) -> None:
        told = {"keystore": keystore, "keystore_password": Secret("right")} | changes
        with pytest.raises(ConfigError, match=words) as caught:
            load_wallet(Settings(**told))
        assert "wrong" not in str(caught.value)

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"crypto": 5}', "\xff"])
    def test_a_file_that_is_no_keystore_is_told(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "key.json"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(ConfigError, match="did not open"):
            load_wallet(Settings(keystore=str(path), keystore_password=Secret("right")))


def test_without_a_key_there_is_no_wallet() -> None:
    assert load_wallet(Settings()) is None
