"""Where a key comes from, and that it never shows."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from og_magics.core.errors import ConfigError, PaymentRefused
from og_magics.core.settings import Secret, Settings
from og_magics.payment import Wallet, load_wallet
from og_magics.payment.wallet import address_in_keystore

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
    assert secret.reveal() == Secret(secret).reveal() == KEY


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


def frames_of(error: BaseException) -> str:
    """Everything that a traceback with local variables could show of an error."""
    shown = [str(error)]
    seen: BaseException | None = error
    while seen is not None:
        at = seen.__traceback__
        while at is not None:
            if "test_" not in at.tb_frame.f_code.co_filename:
                shown.append(repr(at.tb_frame.f_locals))
            at = at.tb_next
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "".join(shown)


class TestSigning:
    DOMAIN: dict[str, Any] = {"name": "Permit2", "chainId": 1, "verifyingContract": ADDRESS}  # noqa: RUF012 - never changed - read only
    TYPES = {"Transfer": [{"name": "to", "type": "address"}, {"name": "amount", "type": "uint256"}]}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize(
        "message", [{"to": "nobody", "amount": 1}, {"to": ADDRESS, "amount": -1}, {"to": ADDRESS, "amount": 2**256}, {}]
    )
    def test_what_cannot_be_signed_is_told_without_the_key(self, message: dict[str, Any]) -> None:
        with pytest.raises(PaymentRefused, match="cannot be signed") as caught:
            Wallet.from_key(KEY).sign(self.DOMAIN, self.TYPES, message)
        assert KEY not in frames_of(caught.value)

    def test_an_interrupt_while_signing_shows_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wallet = Wallet.from_key(KEY)

        def interrupted(private_key: Any, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("eth_account.account.sign_message_hash", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            wallet.sign(self.DOMAIN, self.TYPES, {"to": ADDRESS, "amount": 1})
        at = caught.value.__traceback__
        while at is not None:
            assert "eth_account" not in at.tb_frame.f_code.co_filename
            at = at.tb_next

    @pytest.mark.parametrize("key", [key for key, _ in MALFORMED.values() if key.strip()])
    def test_no_frame_of_a_refused_key_holds_it(self, key: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Wallet.from_key(Secret(key))
        assert key.removeprefix("0x") not in frames_of(caught.value)


class TestItsKeyIsNotHad:
    def test_by_a_copy_or_a_pickle(self) -> None:
        wallet = Wallet.from_key(KEY)
        assert copy.copy(wallet) is copy.deepcopy(wallet) is wallet
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(wallet)

    def test_by_the_text_of_anything_that_it_is_in(self) -> None:
        wallet = Wallet.from_key(KEY)
        for value in (wallet, wallet.account, vars(wallet), [wallet]):
            assert KEY not in f"{value!r} {value} {json.dumps(value, default=str)}".lower()

    def test_a_keystore_says_whose_key_it_has(self, tmp_path: Path) -> None:
        path = tmp_path / "keystore.json"
        path.write_text(json.dumps(Account.encrypt(KEY, "right", kdf="pbkdf2", iterations=1)))
        assert address_in_keystore(str(path)).lower() == Wallet.from_key(KEY).address.lower()
        for text in ("", "[]", "not JSON", '{"address": 7}'):
            path.write_text(text)
            assert address_in_keystore(str(path)) in ("", "0x7")
        assert address_in_keystore("") == address_in_keystore(str(tmp_path / "none")) == ""
