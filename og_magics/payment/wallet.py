"""The paying wallet: where its key comes from, and the little that it does with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from ..core.errors import ConfigError, PaymentRefused
from ..core.networks import described
from ..core.redaction import note_address
from ..core.settings import Secret, Settings

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

KEYRING_SERVICE = "og_magics"
"""Under which `keyring set og_magics private_key` keeps a key."""

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_REMEDY = (
    "Set OG_PRIVATE_KEY to 0x and 64 hex digits; with no key at all, the practice network is used and costs nothing."
)


class Signed(NamedTuple):
    """An EIP-712 signature and the digest that it signs."""

    digest: bytes
    signature: bytes


class Wallet:
    """Signs typed data and transactions. The key stays inside: it is in no repr and no error."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        note_address(str(account.address))

    @classmethod
    def from_key(cls, key: str) -> Wallet:
        """Return the wallet of a private key in hex.

        Raises:
            ConfigError: not a private key. The message never repeats it.
        """
        # From here on no frame that an error passes through has the text in a local variable.
        key = Secret(key)
        flaw = _flaw(key)
        if flaw:
            raise ConfigError(f"The private key is malformed ({flaw}).", remedy=_REMEDY)
        account = _account(key)
        if account is None:
            raise ConfigError("The private key is not a valid secp256k1 key.", remedy=_REMEDY)
        return cls(account)

    @property
    def address(self) -> str:
        """The checksummed address."""
        return str(self._account.address)

    @property
    def account(self) -> LocalAccount:
        """The account that signs transactions."""
        return self._account

    def sign(self, domain: Mapping[str, Any], types: Mapping[str, Sequence[Any]], message: Mapping[str, Any]) -> Signed:
        """Sign EIP-712 typed data; `types` are lists of {name, type}.

        No failure and no interrupt brings a frame along in which the key is a local variable.

        Raises:
            PaymentRefused: the data cannot be signed.
        """
        try:
            signed = self._account.sign_typed_data(
                domain_data=dict(domain),
                message_types={name: list(fields) for name, fields in types.items()},
                message_data=dict(message),
            )
            return Signed(bytes(signed.message_hash), bytes(signed.signature))
        except Exception as error:  # noqa: BLE001 - untrusted details: an address that is none, a domain without a name
            kind = type(error).__name__
        except (KeyboardInterrupt, SystemExit) as stop:
            raise stop.with_traceback(None) from None
        raise PaymentRefused(
            f"The payment that the gateway asks for cannot be signed ({kind}).",
            money="Nothing was signed, sent or paid.",
            remedy="Its offer is malformed; use another gateway.",
        )

    def __repr__(self) -> str:
        return f"<Wallet {self.address}>"

    def __copy__(self) -> Wallet:
        return self

    def __deepcopy__(self, memo: Any) -> Wallet:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A wallet is not pickled. Give the other process its own key, by its environment.")


def load_wallet(settings: Settings) -> Wallet | None:
    """Return the wallet that the settings name: a key, else a keystore, else the system's keyring; None without any.

    Raises:
        ConfigError: there is one and it cannot be read.
    """
    if settings.private_key:
        return Wallet.from_key(settings.private_key)
    if settings.keystore:
        return _from_keystore(settings)
    if not settings.network or described(settings.network).local:
        return None  # the devnet gives a key away: that of the keyring is for networks that were named
    key = _from_keyring()
    return Wallet.from_key(key) if key else None


def address_in_keystore(keystore: str) -> str:
    """Return the address that a keystore says it holds the key of; "" where it says none, or cannot be read."""
    try:
        said = str(json.loads(Path(keystore).expanduser().read_text()).get("address", "")) if keystore else ""
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return "0x" + said.removeprefix("0x")[-40:] if said else ""


def _from_keystore(settings: Settings) -> Wallet:
    path = Path(settings.keystore).expanduser()
    if settings.keystore_password is None:
        raise ConfigError(f"The keystore {path} needs a password.", remedy="Set OG_KEYSTORE_PASSWORD.")
    try:
        key = _decrypted(path.read_text(), settings.keystore_password)
    except OSError as error:
        raise ConfigError(f"The keystore {path} cannot be read: {error.strerror}.", remedy="Check the path.") from None
    except ValueError:  # bytes that are no text
        key = None
    if key is None:
        raise ConfigError(f"The keystore {path} did not open.", remedy="Check the file and OG_KEYSTORE_PASSWORD.")
    return Wallet.from_key(key)


def _decrypted(keystore: str, password: Secret) -> Secret | None:
    """Return the key in a keystore; None for a wrong password, or a file of another kind."""
    from .accounts import Account

    try:
        return Secret(bytes(Account.decrypt(json.loads(keystore), password.reveal())).hex())
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _account(key: Secret) -> LocalAccount | None:
    """Return the account of 64 hex digits; None where no point of the curve belongs to them."""
    from .accounts import Account

    try:
        return cast("LocalAccount", Account.from_key("0x" + key.reveal().strip().removeprefix("0x")))
    except Exception:  # noqa: BLE001 - the library's message may hold the key: nothing of it is passed on
        return None


def _from_keyring() -> Secret | None:
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]  # optional: the user's own choice
    except ImportError:
        return None
    try:
        return Secret(keyring.get_password(KEYRING_SERVICE, "private_key") or "")
    except keyring.errors.KeyringError:
        return None  # a machine with no keyring service has no key in it


def _flaw(key: Secret) -> str:
    """Return what is wrong with the form of a key, "" where nothing is. It never repeats it."""
    text = key.reveal().strip()
    if _KEY.fullmatch(text):
        return ""
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
