"""The hardware's attestation, simulated: documents of the form that AWS Nitro has, under a root of this devnet's own.

A real enclave asks its hypervisor for such a document; AWS's root vouches for it. This root is made with the devnet and
known by its description alone, and the measurements begin with the word "simulated".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from eth_utils.crypto import keccak

PCRS = {number: f"simulated {what}".encode().ljust(48, b"\0") for number, what in enumerate(("image", "boot", "code"))}
"""The measurements: 48 bytes each, that no hardware could have found."""
PCR_HASH = keccak(b"".join(PCRS.values()))
"""The same as the registry holds it, 32 bytes."""
NONCE_BYTES = 20

_MODULE = "simulated-og-magics-devnet"
_SHA256 = b"\x12\x20"  # as a multihash
_A_DOCUMENTS = timedelta(hours=3)
_AN_AUTHORITYS = timedelta(days=3650)


class SimulatedNitro:
    """A root, an authority below it, and documents that it vouches for.

    Attributes:
        root: SHA-256 of the root certificate's DER, hex.
    """

    def __init__(self) -> None:
        root_key, self._key = _new_key(), _new_key()
        root = _certificate("og-magics devnet root", root_key, "og-magics devnet root", root_key, path_length=1)
        authority = _certificate("og-magics devnet hardware", self._key, "og-magics devnet root", root_key)
        self._bundle = [root, authority]
        self.root = hashlib.sha256(root).hexdigest()

    def issue(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Return a key that may sign documents, and its certificate (DER), valid for three hours."""
        key = _new_key()
        return key, _certificate(_MODULE, key, "og-magics devnet hardware", self._key, path_length=None)

    def document(self, nonce: bytes, tls_certificate: bytes, public_key: bytes) -> bytes:
        """Return a COSE_Sign1 that binds the nonce, the TLS certificate and the signing key (both DER)."""
        key, certificate = self.issue()
        digests = (hashlib.sha256(der).digest() for der in (tls_certificate, public_key))
        return seal(
            {
                "module_id": _MODULE,
                "digest": "SHA384",
                "timestamp": int(time.time() * 1000),
                "pcrs": PCRS | {number: bytes(48) for number in range(3, 16)},
                "certificate": certificate,
                "cabundle": self._bundle,
                "public_key": b"dummy",
                "user_data": b"".join(_SHA256 + digest for digest in digests),
                "nonce": nonce,
            },
            key,
        )


def seal(payload: Mapping[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the COSE_Sign1 (ES384, no tag) of a payload."""
    protected, said = cbor2.dumps({1: -35}), cbor2.dumps(dict(payload))
    signed = cbor2.dumps(["Signature1", protected, b"", said])
    halves = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA384())))
    return cbor2.dumps([protected, {}, said, b"".join(half.to_bytes(48, "big") for half in halves)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def key_usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    """Return what a certificate's key is for: to sign, to issue other certificates, or both."""
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int | None = 0,
) -> bytes:
    """Return a certificate (DER). `path_length` is an authority's; None: no authority, and valid for a short time."""
    is_authority = path_length is not None
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + (_AN_AUTHORITYS if is_authority else _A_DOCUMENTS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(key_usage(signs=not is_authority, issues=is_authority), critical=True)
        .sign(issuer_key, hashes.SHA384())
        .public_bytes(serialization.Encoding.DER)
    )
