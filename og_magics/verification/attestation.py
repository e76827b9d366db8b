"""The attestation of an enclave's hardware: a document that AWS Nitro signs, checked without a network.

The document is a COSE_Sign1 of CBOR (RFC 9052): what it says, signed by ES384 with a certificate that leads to the root
of AWS, which is pinned by its SHA-256. It says which code runs (the measurements PCR0 to 2), holds the nonce of who
asked, and in `user_data` the SHA-256 of the TLS certificate and of the key that signs answers.

A devnet's enclave has documents of the same form under a root of its own. Under such a root a document holds only if
its measurements say that they are simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509.oid import ExtensionOID

from ..core.networks import AWS_NITRO_ROOT
from .attestation_bounds import LONGEST_DOCUMENT
from .hashing import keccak
from .verdict import Verdict

SIMULATED = b"simulated"
"""The first bytes of each measurement of a devnet's enclave."""
MAX_AGE, MAX_AHEAD = 300.0, 300.0
"""Seconds by which a document may be older or newer than the clock by which it is judged."""
_DEEPEST = 4
_MOST_CERTIFICATES = 8
"""Of a chain, without the document's own."""
_LONGEST_CERTIFICATE = 4096
_LONGEST_NAME = 256
_MOST_PCRS = 32
_PCR_BYTES = 48
_COORDINATE = 48
"""Bytes of each half of a signature."""
_TAG_18 = b"\xd2"
_BREAK = 0xFF
_ES384 = {1: -35}
_SHA256 = b"\x12\x20"
"""The prefix of a SHA-256 as a multihash."""
_KNOWN_CRITICAL = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)


@dataclass(frozen=True, slots=True)
class Expected:
    """The values that a document must name; None, "" or () where there is nothing to compare with.

    Attributes:
        nonce: the bytes that were sent with the question.
        tls_certificate: DER of the certificate of the connection.
        public_key: DER (SubjectPublicKeyInfo) of the key that signs answers.
        pcr_hash: keccak256 of PCR0, PCR1 and PCR2 that the registry holds, hex.
        allowed: the measurements that the user pins, hex: such hashes, or PCR0 alone (96 digits).
    """

    nonce: bytes | None = None
    tls_certificate: bytes | None = None
    public_key: bytes | None = None
    pcr_hash: str = ""
    allowed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """An attestation document as it was read; nothing of it is checked but its form.

    Attributes:
        module_id: the enclave's name at AWS. time: unix seconds at which the hardware made it.
        pcrs: measurements by number, 48 bytes each.
        certificate: DER, of the key that signed it. bundle: DER, from the root to the issuer of `certificate`.
        user_data, nonce: as they were given to the hardware; b"" for none.
        signed, signature: the bytes that were signed; r and s, 48 bytes each.
    """

    module_id: str
    time: float
    pcrs: Mapping[int, bytes]
    certificate: bytes
    bundle: Sequence[bytes]
    user_data: bytes
    nonce: bytes
    signed: bytes
    signature: bytes

    @property
    def pcr_hash(self) -> str:
        """The measurement as a registry holds it: keccak256 of PCR0, PCR1 and PCR2, 0x hex."""
        return "0x" + keccak(b"".join(self.pcrs[number] for number in range(3))).hex()


class _Refused(Exception):
    """A reason why a document does not hold, in a person's words."""


def check_attestation(
    document: bytes, expected: Expected, *, root: str = AWS_NITRO_ROOT, at: float | None = None
) -> Verdict:
    """Check a document: its form, certificates, signature, nonce, measurements, and the keys that it names.

    It never raises. The certificates must have been valid at the document's own time. The verdict is None where all
    holds and neither the registry nor the user says which code is expected.

    Args:
        document: the COSE_Sign1, raw.
        root: SHA-256 of the root certificate's DER, hex.
        at: unix seconds by which its age is judged; None: it may be of any age.
    """
    found = signed_document(document, root=root)
    return found if isinstance(found, Verdict) else check_document(found, expected, root=root, at=at)


def signed_document(document: bytes, *, root: str) -> Document | Verdict:
    """Read a document and check what needs nothing else: its form, its certificates and its signature. Never raises.

    Returns:
        The document, whose values are still to be checked; or the verdict False.
    """
    try:
        found = read_document(document)
        _check_chain(found, root)
        _check_signature(found)
    except _Refused as refused:
        return _refusal(refused)
    except Exception as error:  # noqa: BLE001 - strangers' certificates can be wrong in many ways
        return Verdict(False, f"The enclave's attestation cannot be read ({type(error).__name__}).")
    return found


def own_root(document: bytes) -> str:
    """Return the SHA-256 (hex) of the root that a document names for itself: of a devnet that is gone, no other is
    known. "" where it cannot be read.
    """
    try:
        return hashlib.sha256(read_document(document).bundle[0]).hexdigest()
    except Exception:  # noqa: BLE001 - a stranger's document can be wrong in many ways
        return ""


def check_document(found: Document, expected: Expected, *, root: str, at: float | None = None) -> Verdict:
    """Check the values of a document that `signed_document` returned; see `check_attestation`."""
    try:
        _check_age(found, at)
        _check_nonce(found, expected)
        compared = _check_measurements(found, expected, simulated=root != AWS_NITRO_ROOT)
        _check_keys(found, expected)
    except _Refused as refused:
        return _refusal(refused)
    hardware = "AWS Nitro hardware" if root == AWS_NITRO_ROOT else "the devnet's simulated hardware"
    if not compared:
        return Verdict(
            None, f"An attestation of {hardware} holds, and nobody says which code is approved: it is {found.pcr_hash}."
        )
    return Verdict(True, f"Attested by {hardware}: the code {found.pcr_hash} holds these keys.")


def _refusal(refused: _Refused) -> Verdict:
    return Verdict(False, f"The enclave's attestation does not hold: {refused}.")


def read_document(document: bytes) -> Document:
    """Read a document's form; its signature, certificates and values are not checked.

    Raises:
        ValueError, TypeError: it is none, or out of bounds.
    """
    import cbor2

    if len(document) > LONGEST_DOCUMENT:
        raise _Unreadable(f"it has more than {LONGEST_DOCUMENT // 1024} KiB")
    document = document.removeprefix(_TAG_18)
    _check_cbor(document)
    parts = cbor2.loads(document)
    if not isinstance(parts, list) or len(parts) != 4 or parts[1] != {} or not isinstance(parts[1], dict):
        raise _Unreadable("it is no COSE_Sign1")
    protected, payload, signature = (
        _bytes(part, "a part of it", LONGEST_DOCUMENT) for part in (parts[0], parts[2], parts[3])
    )
    _check_cbor(protected)
    if cbor2.loads(protected) != _ES384:
        raise _Unreadable("it is not signed by ES384")
    if len(signature) != 2 * _COORDINATE:
        raise _Unreadable("its signature has another length")
    _check_cbor(payload)
    said = cbor2.loads(payload)
    if not isinstance(said, dict) or said.get("digest") != "SHA384":
        raise _Unreadable("what it says is in no form that is known")
    time, module, bundle = said.get("timestamp"), said.get("module_id"), said.get("cabundle")
    if type(time) is not int or not 0 < time < 1 << 43:
        raise _Unreadable("its time is none")
    if not isinstance(module, str) or len(module) > _LONGEST_NAME:
        raise _Unreadable("it names no enclave")
    if not isinstance(bundle, list) or not 1 <= len(bundle) <= _MOST_CERTIFICATES:
        raise _Unreadable(f"it has no chain of 1 to {_MOST_CERTIFICATES} certificates")
    return Document(
        module_id=module,
        time=time / 1000,
        pcrs=_pcrs(said.get("pcrs")),
        certificate=_bytes(said.get("certificate"), "its certificate", _LONGEST_CERTIFICATE),
        bundle=[_bytes(one, "a certificate of its chain", _LONGEST_CERTIFICATE) for one in bundle],
        user_data=_bytes(said.get("user_data") or b"", "its user_data", LONGEST_DOCUMENT),
        nonce=_bytes(said.get("nonce") or b"", "its nonce", LONGEST_DOCUMENT),
        signed=cbor2.dumps(["Signature1", protected, b"", payload]),
        signature=signature,
    )


class _Unreadable(_Refused, ValueError):
    """A form that is not a document's."""


def _check_cbor(data: bytes) -> None:
    """Refuse what is not one CBOR item of plain values: no tags, no floats, nothing nested deep, nothing after it.

    Maps and arrays may have an open length, as the hardware writes its own: they end at a break (0xff).
    """
    at = 0
    left: list[int | None] = [1]
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        if at >= len(data):
            raise _Unreadable("it is cut")
        kind, short = data[at] >> 5, data[at] & 31
        if data[at] == _BREAK and left[-1] is None:
            left.pop()
            at += 1
            continue
        if left[-1] is not None:
            left[-1] -= 1
        is_open = short == 31 and kind in (4, 5)
        if (short > 27 and not is_open) or kind == 6 or (kind == 7 and short not in (20, 21, 22)):
            raise _Unreadable("it has values that no document has")
        size = 1 << (short - 24) if 23 < short < 28 else 0
        value = int.from_bytes(data[at + 1 : at + 1 + size]) if size else short
        at += 1 + size
        if kind in (2, 3):
            at += value
        elif kind in (4, 5):
            if len(left) > _DEEPEST:
                raise _Unreadable("it is nested too deep")
            left.append(None if is_open else value * (kind - 3))
    if at != len(data):
        raise _Unreadable("it is cut, or something follows it")


def _bytes(value: Any, name: str, longest: int) -> bytes:
    if not isinstance(value, bytes) or len(value) > longest:
        raise _Unreadable(f"{name} is missing, or too long")
    return value


def _pcrs(value: Any) -> dict[int, bytes]:
    if not isinstance(value, dict) or not 3 <= len(value) <= _MOST_PCRS or not all(n in value for n in range(3)):
        raise _Unreadable("it has no measurements")
    if not all(type(n) is int and isinstance(pcr, bytes) and len(pcr) == _PCR_BYTES for n, pcr in value.items()):
        raise _Unreadable("a measurement is none")
    return cast("dict[int, bytes]", value)


def _check_chain(document: Document, root: str) -> None:
    if hashlib.sha256(document.bundle[0]).hexdigest() != root:
        raise _Refused("its root certificate is not the one that is pinned")
    chain = [x509.load_der_x509_certificate(one) for one in (*document.bundle, document.certificate)]
    time = datetime.fromtimestamp(document.time, UTC)
    for place, certificate in enumerate(chain):
        issuer = chain[max(place - 1, 0)]  # the root's is itself
        name = f"certificate {place + 1} of {len(chain)}"
        if certificate.version != x509.Version.v3:
            raise _Refused(f"{name} is of an old form")
        _key(certificate, name)
        if certificate.issuer != issuer.subject or not isinstance(certificate.signature_hash_algorithm, SHA384):
            raise _Refused(f"{name} was not issued by the one before it")
        try:
            certificate.verify_directly_issued_by(issuer)
        except InvalidSignature:
            raise _Refused(f"{name} was not signed by the one before it") from None
        if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
            raise _Refused(f"{name} was not valid at the document's time, {time:%Y-%m-%d %H:%M:%S} UTC")
        below = len(chain) - 2 - place  # authorities between this one and the last, which is none
        _check_use(certificate, name, below if below >= 0 else None)


def _check_use(certificate: x509.Certificate, name: str, below: int | None) -> None:
    """Check what a certificate may be used for: to issue others, with so many authorities below it, or else to sign."""
    if any(one.critical and one.oid not in _KNOWN_CRITICAL for one in certificate.extensions):
        raise _Refused(f"{name} has a restriction that is not known here")
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise _Refused(f"{name} does not say what its key is for") from None
    if below is None:
        if basic.ca:
            raise _Refused(f"{name}, which signed the document, is an authority's")
        if not usage.digital_signature:
            raise _Refused(f"{name} may sign no document")
        return
    if not basic.ca or not usage.key_cert_sign:
        raise _Refused(f"{name} may not issue the one after it")
    if basic.path_length is not None and below > basic.path_length:
        raise _Refused(f"{name} allows no chain of this length")


def _key(certificate: x509.Certificate, name: str) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise _Refused(f"the key of {name} is not of the curve P-384")
    return key


def _check_signature(document: Document) -> None:
    key = _key(x509.load_der_x509_certificate(document.certificate), "its certificate")
    r, s = (int.from_bytes(half) for half in (document.signature[:_COORDINATE], document.signature[_COORDINATE:]))
    try:
        key.verify(encode_dss_signature(r, s), document.signed, ec.ECDSA(SHA384()))
    except InvalidSignature:
        raise _Refused("its signature is wrong") from None


def _check_age(document: Document, at: float | None) -> None:
    if at is not None and not -MAX_AHEAD <= at - document.time <= MAX_AGE:
        times = " and ".join(f"{datetime.fromtimestamp(one, UTC):%Y-%m-%d %H:%M:%S}" for one in (document.time, at))
        raise _Refused(f"its time and the clock here are too far apart ({times} UTC)")


def _check_nonce(document: Document, expected: Expected) -> None:
    if expected.nonce is not None and document.nonce != expected.nonce:
        raise _Refused("it was made for another question: its nonce differs")


def _check_measurements(document: Document, expected: Expected, *, simulated: bool) -> bool:
    """Compare the measurements; return False where there is nothing to compare them with."""
    pcrs = [document.pcrs[number] for number in range(3)]
    if not any(pcrs[0]):
        raise _Refused("the enclave runs in debug mode, in which its memory can be read")
    if simulated and not all(pcr.startswith(SIMULATED) for pcr in pcrs):
        raise _Refused("it is of a devnet, and its measurements do not say that they are simulated")
    found = _hex(document.pcr_hash)
    if expected.pcr_hash and found != _hex(expected.pcr_hash):
        raise _Refused(f"the enclave runs other code (0x{found}) than the registry has ({expected.pcr_hash})")
    allowed = [_hex(one) for one in expected.allowed]
    if allowed and not {found, pcrs[0].hex()} & set(allowed):
        raise _Refused(f"the enclave runs other code (0x{found}, PCR0 {pcrs[0].hex()}) than is pinned (OG_PCR)")
    return bool(expected.pcr_hash or allowed)


def _check_keys(document: Document, expected: Expected) -> None:
    half = len(_SHA256) + 32
    tls, key = document.user_data[:half], document.user_data[half:]
    if len(key) != half or not tls.startswith(_SHA256) or not key.startswith(_SHA256):
        raise _Refused("it names no keys")
    if not any(key[2:]) or not any(tls[2:]):
        raise _Refused("the enclave had no keys yet when it was made")
    for der, named, what in (
        (expected.tls_certificate, tls, "TLS certificate of this connection"),
        (expected.public_key, key, "key that signs the answers"),
    ):
        if der is not None and named[2:] != hashlib.sha256(der).digest():
            raise _Refused(f"it names another key: the {what} is not the enclave's")


def _hex(text: str) -> str:
    return text.lower().removeprefix("0x")
