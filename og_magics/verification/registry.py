"""The registry: is the enclave that signed one that the chain vouches for?"""

from __future__ import annotations

from datetime import UTC, datetime

from ..core.enclave import TYPE_NAMES, Enclave, Ending, Standing
from ..core.onchain import Unavailable
from ..core.receipt import Receipt
from .enclave import unix_seconds
from .hashing import hash_bytes, key_hash
from .verdict import Verdict

CLOCKS_APART = 120
"""Seconds by which the clocks of an enclave, of the chain and of this machine may differ."""

HEARTBEAT_MAX_AGE = 30 * 60
"""Seconds for which a heartbeat keeps an enclave active, where the registry does not tell."""


def check_registry(receipt: Receipt, enclave: Enclave | Unavailable | None, expected_pcr: str = "") -> Verdict:
    """Check that the receipt's enclave is registered, and runs the pinned code if any is pinned.

    An id is the hash of its key, so a registered id with a key that has that hash is a registered key. A receipt whose
    key has another hash than its id is caught by the check of the enclave's signature, and is not blamed here again:
    there is no one enclave to look up, and the verdict is None.

    An enclave that was disabled, that is of another type, or whose measurement was revoked is vouched for up to then:
    an earlier answer holds, a later one does not, and where the registry does not tell since when, it is not known.

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
    if key and hash_bytes(receipt.tee_id) != key_hash(key):
        return Verdict(None, "The receipt's key is not that of the enclave that it names: see `enclave`.")
    if isinstance(enclave, Unavailable):
        return Verdict(None, f"The registry could not be asked. {enclave.reason}")
    if enclave is None:
        return Verdict(
            False,
            f"The registry does not know the enclave {receipt.tee_id}: its key is the gateway's own word. "
            "That is to be expected only of a gateway that you named yourself.",
        )
    if hash_bytes(receipt.tee_id) != key_hash(enclave.public_key):
        return Verdict(None, "The registry was asked about another enclave.")
    if expected_pcr:
        if not enclave.pcr_hash:
            return Verdict(False, f"The registry has no measurement of the enclave's code; {expected_pcr} is pinned.")
        if _hex(enclave.pcr_hash) != _hex(expected_pcr):
            return Verdict(False, f"The enclave runs other code ({enclave.pcr_hash}) than is pinned ({expected_pcr}).")
    standing = Verdict(True, "") if enclave.standing is None else _check_standing(receipt, enclave.standing)
    if standing.ok is not True:
        return standing
    how = "and runs the pinned code" if expected_pcr else "with this key"
    return Verdict(True, f"The enclave {receipt.tee_id} is registered {how}.{standing.reason}")


def _check_standing(receipt: Receipt, standing: Standing) -> Verdict:
    """Check that the enclave was vouched for when it answered; the reason of True is what has changed since."""
    when = unix_seconds(receipt.tee_timestamp)
    if when is None:
        if standing.endings:
            return Verdict(None, f"{_now(standing)}, and the receipt does not say when it answered.")
        return Verdict(True, "")
    if when < standing.registered_at - CLOCKS_APART:
        return Verdict(
            None, f"The enclave was registered at {_at(standing.registered_at)}, after this answer of {_at(when)}."
        )
    patience = standing.heartbeat_max_age or HEARTBEAT_MAX_AGE
    if standing.read_at is not None and when > standing.read_at + patience:
        return Verdict(
            None,
            f"The node that was asked lags behind: its newest block is of {_at(standing.read_at)}, "
            f"and the answer of {_at(when)}.",
        )
    # A key that is no longer trusted can write any time below what it signs; this machine's own clock is held to it.
    later = max(when, int(receipt.time))
    verdicts = [_check_ending(ending, since, when, later, standing) for ending, since in standing.endings.items()]
    for ok in (False, None):
        if reasons := [verdict.reason for verdict in verdicts if verdict.ok is ok]:
            return Verdict(ok, " ".join(reasons))
    return Verdict(True, "".join(f" {verdict.reason}" for verdict in verdicts))


def _check_ending(ending: Ending, since: int | None, when: int, later: int, standing: Standing) -> Verdict:
    """Check that an answer is from before something ended."""
    if since == 0:
        return Verdict(False, f"The enclave is {_ended(ending, standing)}, and never was another.")
    if since is None:
        if later <= standing.heartbeat_at:
            return Verdict(True, f"It is {_ended(ending, standing)} by now; its last heartbeat was after this answer.")
        return Verdict(
            None,
            f"{_now(standing)}; since when is not known. Its last heartbeat was at {_at(standing.heartbeat_at)}, "
            f"before this answer of {_at(when)}.",
        )
    ended = f"{_ended(ending, standing)} at {_at(since)}"
    if when > since + CLOCKS_APART:
        return Verdict(False, f"The enclave was {ended}, before this answer of {_at(when)}: do not trust the answer.")
    if later > since + CLOCKS_APART:
        return Verdict(
            None, f"The enclave was {ended}. It dates its answer at {_at(when)}; the receipt was begun at {_at(later)}."
        )
    if later > since - CLOCKS_APART:
        return Verdict(None, f"The enclave was {ended}, at about the time of this answer.")
    return Verdict(True, f"It was {ended}, after this answer of {_at(when)}.")


def _now(standing: Standing) -> str:
    return "The enclave is by now " + " and ".join(_ended(one, standing) for one in standing.endings)


def _ended(ending: Ending, standing: Standing) -> str:
    if ending is Ending.RETYPED:
        name = TYPE_NAMES.get(standing.tee_type)
        return f"{ending.value} (type {standing.tee_type}{f', {name}' if name else ''})"
    return str(ending.value)


def _at(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"the time {seconds}"


def _key(receipt: Receipt) -> bytes | None:
    """Return the receipt's key, b"" if it has none; None if it is not hex."""
    try:
        return bytes.fromhex(receipt.public_key)
    except (ValueError, TypeError):
        return None


def _hex(text: str) -> str:
    return text.lower().removeprefix("0x")
