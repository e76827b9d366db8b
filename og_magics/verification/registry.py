"""The registry: is the enclave that signed one that the chain vouches for?"""

from __future__ import annotations

from ..core.onchain import Unavailable
from ..core.receipt import Receipt
from ..core.types import Enclave
from .enclave import tee_id_of
from .hashing import hash_bytes, keccak
from .verdict import Verdict


def check_registry(receipt: Receipt, enclave: Enclave | Unavailable | None, expected_pcr: str = "") -> Verdict:
    """Check that the receipt's enclave is registered, and runs the pinned code if any is pinned.

    An id is the hash of its key, so a registered id with a key that has that hash is a registered key. A receipt whose
    key has another hash than its id is caught by the check of the enclave's signature, and is not blamed here again:
    there is no one enclave to look up, and the verdict is None.

    An unknown id is False, for a gateway that was named by its URL too: its own word for its key is exactly what a
    forged receipt has as well, and who reads the receipt later must be able to tell that no one else vouches for it.

    Args:
        enclave: what the registry says about `receipt.tee_id`; None when it was asked and does not know it.
        expected_pcr: measurement of the code, hex with or without 0x; "" for any.
    """
    if not receipt.tee_id:
        return Verdict(None, "The receipt names no enclave.")
    key = _key(receipt)
    if key is None:
        return Verdict(None, "The receipt's key cannot be read, so there is no enclave to look up: see `enclave`.")
    if key and hash_bytes(receipt.tee_id) != keccak(key):
        return Verdict(None, "The receipt's key is not that of the enclave that it names: see `enclave`.")
    if isinstance(enclave, Unavailable):
        return Verdict(None, f"The registry could not be asked. {enclave.reason}")
    if enclave is None:
        return Verdict(
            False,
            f"The registry does not know the enclave {receipt.tee_id}: its key is the gateway's own word. "
            "That is to be expected only of a gateway that you named yourself.",
        )
    if hash_bytes(receipt.tee_id) != hash_bytes(tee_id_of(enclave.public_key)):
        return Verdict(None, "The registry was asked about another enclave.")
    if expected_pcr:
        if not enclave.pcr_hash:
            return Verdict(False, f"The registry has no measurement of the enclave's code; {expected_pcr} is pinned.")
        if _hex(enclave.pcr_hash) != _hex(expected_pcr):
            return Verdict(False, f"The enclave runs other code ({enclave.pcr_hash}) than is pinned ({expected_pcr}).")
        return Verdict(True, f"The enclave {receipt.tee_id} is registered and runs the pinned code.")
    return Verdict(True, f"The enclave {receipt.tee_id} is registered with this key.")


def _key(receipt: Receipt) -> bytes | None:
    """Return the receipt's key, b"" if it has none; None if it is not hex."""
    try:
        return bytes.fromhex(receipt.public_key)
    except (ValueError, TypeError):
        return None


def _hex(text: str) -> str:
    return text.lower().removeprefix("0x")
