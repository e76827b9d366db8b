"""Keys, seed phrases, passwords and tokens are found by what they are, and taken out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_account.hdaccount.mnemonic import Mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st

from og_magics.core import redaction
from og_magics.core.redaction import holds_secret, holds_this_key, key_in, private_in, redacted

KEY = "c0ffee" + "5e" * 29


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setattr(redaction, "_addresses", set())
    return redaction.note_address


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


SEED = "legal winner thank year wave sausage worth useful legal winner thank yellow"
OWN = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
HASH = "0x" + "1f" * 32


class TestWhatItIs:
    @pytest.mark.parametrize("text", [OWN, f"0x{OWN}", f"x = '0x{OWN.upper()}'", f"{HASH}\n{OWN}\n"])
    def test_a_key_of_a_known_address_needs_no_name(self, text: str, address: Callable[[str], None]) -> None:
        assert key_in(text) == ""
        address(ADDRESS)
        assert key_in(text) == "a private key"
        assert OWN not in redacted(text).lower()

    def test_a_key_beside_its_address_is_one(self) -> None:
        assert key_in(f"{ADDRESS} {OWN}") == "a private key"
        assert key_in(f"{ADDRESS} {HASH}") == ""

    def test_numbers_that_are_no_keys_are_none(self, address: Callable[[str], None]) -> None:
        address(ADDRESS)
        assert key_in(f"{'0' * 64} {'f' * 64} {HASH}") == ""

    @pytest.mark.parametrize(
        "text",
        [
            SEED,
            f"my words: {SEED.upper()}.",
            str(SEED.split()),
            "\n".join(f"{place}. {word}" for place, word in enumerate(SEED.split(), 1)),
            f"zoo {SEED} zoo",
            "abandon " * 23 + "art",
            "ábaco " * 11 + "abierto",
        ],
    )
    def test_a_seed_phrase_is_found_by_its_words(self, text: str) -> None:
        assert key_in(text) == "a seed phrase"
        assert "winner" not in redacted(text).lower()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            SEED.replace("yellow", "zoo"),
            " ".join(SEED.split()[:11]),
            SEED.replace("sausage", "of"),
            "The quick brown fox jumps over the lazy dog, and then again, and once more until it is tired of that.",
        ],
    )
    def test_other_words_are_none(self, text: str) -> None:
        assert key_in(text) == ""

    @settings(deadline=None)  # the first one reads the lists
    @given(st.binary(min_size=16, max_size=16))
    def test_each_phrase_of_the_list_is_found(self, entropy: bytes) -> None:
        assert key_in(Mnemonic().to_mnemonic(entropy)) == "a seed phrase"

    @pytest.mark.parametrize(
        "text",
        [
            'Account.decrypt(keystore, "hunter2hunter2")',
            "Account.decrypt(json.loads(open('UTC--x').read()), 'hunter2hunter2')",
            'os.environ["OG_KEYSTORE_PASSWORD"] = "hunter2hunter2"',
            "%env OG_KEYSTORE_PASSWORD=hunter2hunter2",
            "%env OG_KEYSTORE_PASSWORD hunter2hunter2",
            'Settings(keystore="~/key.json", keystore_password="hunter2hunter2")',
            'path = "keystore.json"\npw = passphrase = "hunter2hunter2"',
        ],
    )
    def test_a_password_beside_a_keystore_is_found(self, text: str) -> None:
        assert key_in(text) == "a keystore's password"
        assert "hunter2" not in redacted(text)

    @pytest.mark.parametrize(
        "text",
        [
            'password = getpass("Password of the keystore: ")',
            'os.environ["OG_KEYSTORE_PASSWORD"]',
            'Account.decrypt(keystore, os.environ["OG_KEYSTORE_PASSWORD"])',
            'Account.decrypt(keystore, getpass("password: "))',
            "%env OG_KEYSTORE_PASSWORD=$PASSWORD",
            'password = "not of a key"',
        ],
    )
    def test_a_password_that_is_read_is_none(self, text: str) -> None:
        assert key_in(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "https://hunter2hunter2@gateway.example/v1",
        "wss://me:hunter2hunter2@node.example",
        "https://node.example/v3/0hunter2hunter2hunter2",
        "https://node.example/rpc?apikey=hunter2hunter2&x=1",
        "{'X-Upto-Session': 'hunter2hunter2'}",
    ],
)
def test_what_is_in_a_url_or_a_header_is_removed(text: str) -> None:
    assert "hunter2hunter2" not in redacted(text)
    assert private_in(text)
    assert holds_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        f"https://basescan.org/tx/{HASH}",
        "https://github.com/a/b/blob/0123456789abcdef0123456789abcdef01234567/x.py",
        "https://host.example/v1/chat/completions?limit=100",
        "mail me@host.example",
    ],
)
def test_other_urls_stay(text: str) -> None:
    assert redacted(text) == text
