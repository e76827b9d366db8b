"""The paying wallet: where its key comes from, and the little that it does with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ConfigError
from ..settings import Secret, Settings
from ..untrusted import recursion_limit_kept

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

KEYRING_SERVICE = "og_magics"
"""Under which `keyring set og_magics private_key` keeps a key."""

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_REMEDY = "Set OG_PRIVATE_KEY to 0x and 64 hex digits; with no key at all, the local devnet is used and costs nothing."


class Signed(NamedTuple):
    """An EIP-712 signature and the digest that it signs."""

    digest: bytes
    signature: bytes


class Wallet:
    """Signs typed data and transactions. The key stays inside: it is in no repr and no error."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @classmethod
    def from_key(cls, key: str) -> Wallet:
        """The wallet of a private key in hex.

        Raises:
            ConfigError: not a private key. The message never repeats it.
        """
        text = (key.reveal() if isinstance(key, Secret) else str(key)).strip()
        if not _KEY.fullmatch(text):
            raise ConfigError(f"The private key is malformed ({_flaw(text)}).", remedy=_REMEDY)
        with recursion_limit_kept():
            from eth_account import Account

        try:
            return cls(Account.from_key(text if text.startswith("0x") else "0x" + text))
        except Exception:  # noqa: BLE001 - the library's message may hold the key: nothing of it is passed on
            raise ConfigError("The private key is not a valid secp256k1 key.", remedy=_REMEDY) from None

    @property
    def address(self) -> str:
        """Checksummed."""
        return str(self._account.address)

    @property
    def account(self) -> LocalAccount:
        """What signs transactions."""
        return self._account

    def sign(self, domain: Mapping[str, Any], types: Mapping[str, Sequence[Any]], message: Mapping[str, Any]) -> Signed:
        """Sign EIP-712 typed data; `types` are lists of {name, type}."""
        signed = self._account.sign_typed_data(
            domain_data=dict(domain),
            message_types={name: list(fields) for name, fields in types.items()},
            message_data=dict(message),
        )
        return Signed(bytes(signed.message_hash), bytes(signed.signature))

    def __repr__(self) -> str:
        return f"<Wallet {self.address}>"


def load_wallet(settings: Settings) -> Wallet | None:
    """The wallet that the settings name: a key, else a keystore, else the system's keyring; None when there is none.

    Raises:
        ConfigError: there is one and it cannot be read.
    """
    if settings.private_key:
        return Wallet.from_key(settings.private_key)
    if settings.keystore:
        return _from_keystore(settings)
    key = _from_keyring() if settings.network not in ("", "devnet") else None
    return Wallet.from_key(key) if key else None


def _from_keystore(settings: Settings) -> Wallet:
    path = Path(settings.keystore).expanduser()
    if settings.keystore_password is None:
        raise ConfigError(f"The keystore {path} needs a password.", remedy="Set OG_KEYSTORE_PASSWORD.")
    with recursion_limit_kept():
        from eth_account import Account

    try:
        key = Account.decrypt(json.loads(path.read_text()), settings.keystore_password.reveal())
    except OSError as error:
        raise ConfigError(f"The keystore {path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, LookupError, AttributeError):  # a wrong password, or a file of another kind
        raise ConfigError(
            f"The keystore {path} did not open.", remedy="Check the file and OG_KEYSTORE_PASSWORD."
        ) from None
    return Wallet.from_key(bytes(key).hex())


def _from_keyring() -> str | None:
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]  # optional: the user's own choice
    except ImportError:
        return None
    try:
        return keyring.get_password(KEYRING_SERVICE, "private_key")  # type: ignore[no-any-return, unused-ignore]  # optional package
    except keyring.errors.KeyringError:
        return None  # a machine with no keyring service has no key in it


def _flaw(text: str) -> str:
    if not text:
        return "it is empty"
    digits = text.removeprefix("0x")
    if len(digits) == 40:
        return "it looks like an address, which cannot sign"
    if len(text.split()) >= 12:
        return "it looks like a seed phrase; derive the key of one account from it"
    if len(digits) != 64:
        return f"it has {len(digits)} characters instead of 64"
    return "it holds characters that are not hex digits"
