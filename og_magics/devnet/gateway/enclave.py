"""The enclave's identity: a signing key, a TLS certificate, and the hashes that are signed.

A real gateway keeps these inside attested hardware. Here they are fresh with every devnet, and the registry on the
devnet's chain vouches for them, so that a client runs the same checks as against the network.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from eth_utils.crypto import keccak

from .nitro import SimulatedNitro, key_usage

JSON = dict[str, Any]

# Covered by a request's hash, if present, besides the model, the input and the temperature.
_COVERED_IF_PRESENT = ("stop", "tools", "response_format")


@dataclass(frozen=True, slots=True)
class Proof:
    """Hashes and signature of one answer.

    Attributes:
        request_hash: keccak256 of the canonical request, 32 bytes.
        output_hash: keccak256 of the answer, 32 bytes.
        timestamp: unix seconds.
        signature: RSA-PSS signature, 256 bytes.
        tee_id: keccak256 of the signing key's DER, 32 bytes.
    """

    request_hash: bytes
    output_hash: bytes
    timestamp: int
    signature: bytes
    tee_id: bytes

    def fields(self) -> JSON:
        """Return the members that an answer's JSON carries."""
        return {
            "tee_signature": base64.b64encode(self.signature).decode(),
            "tee_timestamp": self.timestamp,
            "tee_request_hash": self.request_hash.hex(),
            "tee_output_hash": self.output_hash.hex(),
            "tee_id": "0x" + self.tee_id.hex(),
        }

    def headers(self) -> dict[str, str]:
        """Return the same as response headers, where the hashes have a 0x prefix."""
        return {
            "X-TEE-Signature": base64.b64encode(self.signature).decode(),
            "X-TEE-ID": "0x" + self.tee_id.hex(),
            "X-TEE-Timestamp": str(self.timestamp),
            "X-TEE-Request-Hash": "0x" + self.request_hash.hex(),
            "X-TEE-Output-Hash": "0x" + self.output_hash.hex(),
        }


class Enclave:
    """One signing key (RSA-2048) and one self-signed TLS certificate (P-256, for 127.0.0.1 and localhost)."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self._key.public_key()
        self.public_key_der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        self.tee_id = keccak(self.public_key_der)
        self._tls_key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _self_signed(self._tls_key)
        self.certificate_der = self._certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, request_hash: bytes, output_hash: bytes) -> Proof:
        """Sign keccak256(request_hash || output_hash || uint256(now))."""
        timestamp = int(time.time())
        message = keccak(request_hash + output_hash + timestamp.to_bytes(32, "big"))
        signature = self._key.sign(
            message, padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256()
        )
        return Proof(request_hash, output_hash, timestamp, signature, self.tee_id)

    @cached_property
    def hardware(self) -> SimulatedNitro:
        """The hardware that it says it runs on."""
        return SimulatedNitro()

    def attestation(self, nonce: bytes) -> str:
        """Return the body of `GET /enclave/attestation`: a document that binds the nonce and both keys, base64."""
        document = self.hardware.document(nonce, self.certificate_der, self.public_key_der)
        return base64.b64encode(document).decode() + "\n"

    def signing_key(self, wallet_address: str) -> JSON:
        """Return the body of `GET /signing-key`."""
        return {
            "enclave_info": {"instance_type": "simulated", "platform": "og-magics-devnet", "version": "1.0.0"},
            "measurements": None,
            "public_key": self.public_key_pem,
            "tee_id": "0x" + self.tee_id.hex(),
            "timestamp": datetime.now(UTC).isoformat(),
            "wallet_address": wallet_address,
        }

    def tls_context(self) -> ssl.SSLContext:
        """Return a server context with the enclave's certificate. The key touches the disk only while it is loaded."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="og-devnet-") as folder:
            pem = Path(folder) / "tls.pem"
            pem.touch(mode=0o600)
            pem.write_bytes(
                self._tls_key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                + self._certificate.public_bytes(serialization.Encoding.PEM)
            )
            context.load_cert_chain(pem)
        return context


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "og-magics devnet enclave")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        # A pinned certificate is its own anchor: OpenSSL, also when it is strict, accepts it as one if it may sign.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs=True, issues=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def request_hash(canonical: str) -> bytes:
    """Hash a request's canonical text: keccak256, 32 bytes."""
    return keccak(canonical.encode())


def canonical_request(body: Mapping[str, Any], *, parts: bool = True) -> str:
    """Return the text that is hashed for a request: JSON with sorted keys and ASCII escapes.

    A completion has its `prompt` where a chat has its `messages`. `parts` is the newer form: lists are hashed part by
    part, and `web_search` with the rest; before it, a list was hashed as Python shows it.
    """
    temperature = body.get("temperature")
    covered: JSON = {
        "model": body.get("model"),
        "temperature": 0.0 if temperature is None else float(temperature),
    }
    if "prompt" in body and "messages" not in body:
        covered["prompt"] = body["prompt"]
    else:
        covered["messages"] = [_canonical_message(m, parts) for m in body.get("messages") or []]
    if body.get("max_tokens") is not None:
        covered["max_tokens"] = body["max_tokens"]
    for name in _COVERED_IF_PRESENT:
        if body.get(name):
            covered[name] = body[name]
    if parts and body.get("web_search"):
        covered["web_search"] = True
    return json.dumps(covered, sort_keys=True)


def _canonical_message(message: Mapping[str, Any], parts: bool) -> JSON:
    role, content = message.get("role"), message.get("content")
    match role:
        case "system" | "developer":
            return {"role": "system", "content": content}
        case "assistant":
            canonical: JSON = {"role": "assistant", "content": content or ""}
            if calls := message.get("tool_calls"):
                canonical["tool_calls"] = [_canonical_call(call) for call in calls]
            return canonical
        case "tool":
            return {"role": "tool", "content": content, "tool_call_id": message.get("tool_call_id")}
        case "function":
            return {"role": "function", "content": content, "name": message.get("name")}
        case _:
            return {"role": role, "content": _canonical_content(content) if parts else str(content)}


def _canonical_call(call: Mapping[str, Any]) -> JSON:
    function = call.get("function") or {}
    return {
        "id": call.get("id", ""),
        "type": call.get("type", "function"),
        "function": {"name": function.get("name", ""), "arguments": function.get("arguments", "")},
    }


def _canonical_content(content: Any) -> Any:
    """Return a user's text, or its list of parts with the attachments reduced to type and file name."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else str(content)
    parts: list[JSON] = []
    for part in content:
        if not isinstance(part, Mapping):
            parts.append({"type": "text", "text": str(part)})
        elif part.get("type") == "text":
            parts.append({"type": "text", "text": part.get("text") or ""})
        else:
            reduced: JSON = {"type": part.get("type")}
            file = part.get("file")
            name = (file.get("filename") if isinstance(file, Mapping) else None) or part.get("filename")
            if name:
                reduced["filename"] = name
            parts.append(reduced)
    return parts


def signed_output(text: str, tool_calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that is hashed for an answer: its words, or its tool calls as sorted JSON without `index`."""
    if not tool_calls:
        return text
    return json.dumps([{k: v for k, v in call.items() if k != "index"} for call in tool_calls], sort_keys=True)


def output_hash(output: str) -> bytes:
    """Hash an answer's signed text: keccak256, 32 bytes."""
    return keccak(output.encode())
