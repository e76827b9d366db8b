"""What is accepted as an attestation, and what is refused: `python -m tests.attestation_table` prints one line each.

The first part is a real document of an OpenGradient gateway on AWS Nitro (2026-02-12) and changes of it; the second is
made with a root of our own, so that what only AWS could sign is tried as well; the third are receipts that name documents,
as a notebook or a ledger has them, checked without a network or with what a registry says.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cbor2

from og_magics.core.networks import AWS_NITRO_ROOT, DEVNET, Network
from og_magics.core.onchain import Unavailable
from og_magics.core.receipt import Receipt
from og_magics.core.types import Enclave
from og_magics.devnet.gateway.nitro import PCR_HASH, SimulatedNitro, seal
from og_magics.verification.attestation import Expected, check_attestation, read_document
from og_magics.verification.receipt_attestation import ReceiptAttestations, RegistryLookup
from og_magics.verification.verdict import Verdict

from .signed import Signer, asking

REAL = base64.b64decode((Path(__file__).parent / "vectors" / "nitro_attestation.b64").read_bytes())
MADE = 1770918962.724
"""The real document's own time, unix seconds."""
HASH = "0x8082af22571613eabd5dad9c7e857c4f16154ded3d387386d8193b53906f6a24"
PCR0 = "9baef83909784e4d2cb84466c02931bb8125e948b62029029e80bfa1698bfd7069408e4ab20d1c99c859e8f774cce0ff"
KNOWN = Expected(nonce=bytes.fromhex("0123456789abcdef0123456789abcdef01234567"), pcr_hash=HASH)
"""What the real document must say. Its TLS certificate and its key are known by their hashes alone."""

_TLS, _KEY = b"a certificate", b"a key"


@dataclass(frozen=True)
class Case:
    """A document, what it is held against, and the verdict that it must have.

    Attributes:
        says: a part of the reason.
    """

    name: str
    document: bytes
    ok: bool | None
    says: str = ""
    expected: Expected = KNOWN
    root: str = AWS_NITRO_ROOT
    at: float | None = None

    def check(self) -> Verdict:
        return check_attestation(self.document, self.expected, root=self.root, at=self.at)


def flipped(document: bytes, place: int, bit: int = 0) -> bytes:
    """A document with one bit changed."""
    return document[:place] + bytes([document[place] ^ 1 << bit]) + document[place + 1 :]


def changed(document: bytes, **fields: Any) -> bytes:
    """A document with other fields under the same signature."""
    protected, header, payload, signature = cbor2.loads(document)
    return cbor2.dumps([protected, header, cbor2.dumps(cbor2.loads(payload) | fields), signature])


def real_cases() -> Iterator[Case]:
    """The real document, and changes of it."""
    said = cbor2.loads(cbor2.loads(REAL)[2])
    bundle, pcrs = said["cabundle"], said["pcrs"]
    yield Case("the real document, at any time", REAL, True)
    yield Case("at its own time", REAL, True, at=MADE)
    yield Case("with tag 18", b"\xd2" + REAL, True)
    yield Case("its measurement pinned by its hash", REAL, True, expected=replace(KNOWN, allowed=["00" * 32, HASH]))
    yield Case("its measurement pinned by PCR0", REAL, True, expected=replace(KNOWN, allowed=[PCR0.upper()]))
    yield Case("no measurement is expected", REAL, None, "nobody says", Expected())
    places = {"the header": 4, "the module's name": 30, "the time": REAL.index(b"timestamp") + 13}
    places |= {"PCR0": REAL.index(bytes.fromhex(PCR0)), "the leaf": REAL.index(said["certificate"]) + 200}
    places |= {"the root": REAL.index(bundle[0]) + 200, "an authority": REAL.index(bundle[2]) + 300}
    places |= {"the bound keys": REAL.index(said["user_data"]) + 8, "the nonce": len(REAL) - 110}
    places |= {"the signature": len(REAL) - 20}
    for what, place in places.items():
        yield Case(f"one bit of {what}", flipped(REAL, place), False)
    yield Case("a byte after it", REAL + b"\0", False, "something follows")
    yield Case("its last byte missing", REAL[:-1], False, "cut")
    yield Case("another tag", b"\xd1" + REAL, False, "values that no document has")
    yield Case("another root pinned", REAL, False, "pinned", root="00" * 32)
    yield Case("its certificates in the other order", changed(REAL, cabundle=bundle[::-1]), False, "pinned")
    yield Case(
        "two authorities swapped", changed(REAL, cabundle=[bundle[0], bundle[2], bundle[1], bundle[3]]), False, "issued"
    )
    yield Case("an authority left out", changed(REAL, cabundle=[bundle[0], *bundle[2:]]), False, "issued")
    yield Case("an authority twice", changed(REAL, cabundle=[*bundle, bundle[-1]]), False, "length")
    yield Case("PCR0 changed", changed(REAL, pcrs=pcrs | {0: b"\1" * 48}), False, "signature")
    yield Case("another nonce in it", changed(REAL, nonce=bytes(20)), False, "signature")
    yield Case("another nonce asked", REAL, False, "nonce", replace(KNOWN, nonce=bytes(20)))
    yield Case(
        "another measurement in the registry", REAL, False, "the registry has", replace(KNOWN, pcr_hash="00" * 32)
    )
    yield Case("another measurement pinned", REAL, False, "OG_PCR", replace(KNOWN, allowed=["00" * 48]))
    yield Case("another TLS certificate", REAL, False, "TLS certificate", replace(KNOWN, tls_certificate=b"other"))
    yield Case("another signing key", REAL, False, "key that signs", replace(KNOWN, public_key=b"other"))
    yield Case("judged ten minutes later", REAL, False, "clock", at=MADE + 600)
    yield Case("judged ten minutes earlier", REAL, False, "clock", at=MADE - 600)
    yield Case("judged today", REAL, False, "clock", at=time.time())
    impostor = Forger()
    key, leaf = impostor.hardware.issue()
    yield Case("well made, under another root", impostor.document(), False, "pinned")
    yield Case("another leaf under AWS's authorities", seal(said | {"certificate": leaf}, key), False, "issued")


@dataclass
class Forger:
    """Hardware of our own, which signs what no hardware would."""

    hardware: SimulatedNitro = field(default_factory=SimulatedNitro)

    def document(self, **fields: Any) -> bytes:
        """A document with other fields, signed again."""
        key, certificate = self.hardware.issue()
        said = cbor2.loads(cbor2.loads(self.hardware.document(b"n" * 20, _TLS, _KEY))[2])
        return seal(said | {"certificate": certificate} | fields, key)


def own_cases() -> Iterator[Case]:
    """Documents of a devnet's hardware, whose root is pinned: everything but one thing is right."""
    forger = Forger()
    right = Expected(b"n" * 20, _TLS, _KEY, "0x" + PCR_HASH.hex())
    case = partial(Case, expected=right, root=forger.hardware.root, at=time.time())
    said = cbor2.loads(cbor2.loads(forger.document())[2])
    authority = said["cabundle"][-1]
    signer = forger.hardware._key
    pcrs = said["pcrs"]
    yield case("a devnet's document", forger.document(), True, "simulated")
    yield case("the same where AWS's root is pinned", forger.document(), False, "pinned", root=AWS_NITRO_ROOT)
    yield case("a nonce of another", forger.document(nonce=b"m" * 20), False, "nonce")
    yield case("no nonce", forger.document(nonce=None), False, "nonce")
    yield case("debug mode", forger.document(pcrs=pcrs | {0: bytes(48)}), False, "debug")
    real = read_document(REAL).pcrs
    yield case("measurements that are not simulated", forger.document(pcrs=real), False, "simulated")
    yield case("another measurement", forger.document(pcrs=pcrs | {2: b"simulated".ljust(48)}), False, "other code")
    yield case("no key yet", forger.document(user_data=said["user_data"][:36] + bytes(32)), False, "no keys yet")
    yield case("no user_data", forger.document(user_data=None), False, "no keys")
    yield case("another key bound", forger.document(user_data=said["user_data"][:-1] + b"x"), False, "another key")
    yield case("made an hour ago, its certificate new", forger.document(timestamp=said["timestamp"] - 3_600_000), False)
    yield case("made in four hours", forger.document(timestamp=said["timestamp"] + 14_400_000), False, "not valid")
    by_authority = seal(said | {"certificate": authority, "cabundle": said["cabundle"][:1]}, signer)
    yield case("signed by an authority's own certificate", by_authority, False, "is an authority's")
    key, leaf = forger.hardware.issue()
    longer = seal(said | {"certificate": leaf, "cabundle": [*said["cabundle"], leaf]}, key)
    yield case("the leaf as an authority", longer, False)
    yield case("another digest", forger.document(digest="SHA256"), False, "form")
    yield case("a time that is text", forger.document(timestamp="now"), False, "time")
    yield case("no certificates", forger.document(cabundle=[]), False, "chain")
    yield case("too many certificates", forger.document(cabundle=[*said["cabundle"] * 5]), False, "chain")
    yield case("a certificate of 5 KB", forger.document(certificate=bytes(5000)), False, "too long")
    yield case("a certificate that is none", forger.document(cabundle=[said["cabundle"][0], b"x"]), False)
    yield case("a measurement of 32 bytes", forger.document(pcrs=pcrs | {0: bytes(32)}), False, "measurement")
    yield case("more than 16 KiB", forger.document(public_key=bytes(17_000)), False, "KiB")
    yield case("nested a thousand times", b"\x81" * 1000 + b"\0", False, "deep")
    yield case("an array of 2^64 - 1", b"\x9b" + b"\xff" * 8, False, "cut")
    yield case("nothing", b"", False)
    yield case("a page", b"<!DOCTYPE html><html></html>", False)


def cases() -> list[Case]:
    """All documents."""
    return [*real_cases(), *own_cases()]


@dataclass(frozen=True)
class ReceiptCase:
    """A receipt, the documents beside it, and the verdict that its attestation must have."""

    name: str
    receipt: Receipt
    documents: Mapping[str, bytes]
    ok: bool | None
    says: str = ""
    network: Network | None = None
    word: RegistryLookup | None = None
    allowed: Sequence[str] = ()

    def check(self) -> Verdict:
        return ReceiptAttestations(self.documents, self.allowed).check(self.receipt, self.network, self.word)


def receipt_cases() -> Iterator[ReceiptCase]:
    """Receipts of a devnet's enclave and of public networks, with documents that fit them and that do not."""
    forger, signer = Forger(), Signer()
    key, tls = signer.enclave.public_key_der, signer.enclave.certificate_der
    answered = signer.answered(asking("What is x402?"), "A way to pay.")
    fits = forger.hardware.document(b"n" * 20, tls, key)
    said = cbor2.loads(cbor2.loads(fits)[2])
    old = forger.document(
        **said | {"timestamp": said["timestamp"] - 3_600_000, "certificate": forger.hardware.issue()[1]}
    )
    other = forger.hardware.document(b"n" * 20, tls, b"another key")
    unreal = forger.document(user_data=said["user_data"], pcrs=read_document(REAL).pcrs)

    def case(
        name: str, document: bytes | None, ok: bool | None, says: str = "", *, under: bytes = b"", **more: Any
    ) -> ReceiptCase:
        hash = hashlib.sha256(under or document or b"").hexdigest() if document is not None else None
        changes = {one: more.pop(one) for one in tuple(more) if one in ("network_name", "tee_timestamp", "public_key")}
        changes |= {"network": changes.pop("network_name", "devnet"), "attestation_hash": hash}
        return ReceiptCase(name, replace(answered, **changes), {hash: document} if document else {}, ok, says, **more)

    here = replace(DEVNET, attestation_root=forger.hardware.root)
    enclave = Enclave("", public_key=key, tls_certificate=tls, registered=True, pcr_hash="0x" + PCR_HASH.hex())
    yield case("a devnet's document, offline", fits, True, "simulated")
    yield case("its root known", fits, True, "simulated", network=here)
    yield case("the registry agrees", fits, True, network=here, word=RegistryLookup(enclave))
    yield case("its measurement pinned", fits, True, allowed=[enclave.pcr_hash])
    yield case("no document named", None, None, "Not attested")
    yield case("a hash that points nowhere", b"", None, "is not here")
    yield case("another document under the hash", other, False, "another document", under=fits)
    yield case("one bit of it", flipped(fits, 900), False, "another document", under=fits)
    yield case("one bit, and its own hash", flipped(fits, len(fits) - 20), False)
    yield case("the document of another enclave", other, False, "another key")
    yield case("of another devnet", fits, False, "pinned", network=replace(here, attestation_root="00" * 32))
    yield case("a devnet's document on a public network", fits, False, "pinned", network_name="base")
    yield case("AWS's document on a devnet", REAL, False)
    yield case("the real document, for another key", REAL, False, network_name="base", tee_timestamp=int(MADE) + 60)
    yield case("the real document, months before the answer", REAL, False, "vouches for a day", network_name="base")
    yield case("measurements that are not simulated", unreal, False, "simulated")
    moved = answered.tee_timestamp or 0
    yield case("an answer of the next day but one", fits, False, "vouches for a day", tee_timestamp=moved + 2 * 86_400)
    yield case("an answer from before it", fits, False, "vouches for a day", tee_timestamp=moved - 3_600)
    yield case("an answer 24 hours after it", fits, True, tee_timestamp=moved + 86_400)
    yield case("a time that no clock has", fits, False, "no time", tee_timestamp=2**250)
    yield case("made an hour before its certificate", old, False)
    yield case("other code than the registry has", fits, False, "registry has",
               network=here, word=RegistryLookup(replace(enclave, pcr_hash="0x" + "07" * 32)))  # fmt: skip
    yield case("another TLS certificate than the registry has", fits, False, "TLS certificate",
               network=here, word=RegistryLookup(replace(enclave, tls_certificate=b"other")))  # fmt: skip
    yield case("the registry does not know it", fits, None, "nobody says", network=here, word=RegistryLookup(None))
    yield case("the registry cannot be asked", fits, None, network=here, word=RegistryLookup(Unavailable("Down.")))
    yield case("other code than is pinned", fits, False, "OG_PCR", allowed=["00" * 32])
    yield case("a receipt without a key", fits, None, "no key", public_key="")
    yield case("a key that is none", fits, None, "no key", public_key="key")
    yield case("17 KiB", bytes(17 * 1024), False)
    yield case("a page", b"<html></html>", False)
    yield case("a plain server's receipt", fits, None, "plain server", network_name="none")


def fastest(check: Callable[[], Verdict], times: int = 20) -> float:
    """Return the shortest time of some checks, milliseconds."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        check()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def main() -> int:
    """Print the table; return 1 where a verdict is another than it must be."""
    wrong = 0
    for case in cases():
        verdict = case.check()
        right = verdict.ok is case.ok and case.says in verdict.reason
        wrong += not right
        word = {True: "accepted", False: "refused", None: "unknown"}[verdict.ok]
        print(f"{'' if right else 'WRONG '}{word:9}{fastest(case.check):6.2f} ms  {case.name}: {verdict.reason[:110]}")
    accepted = [at for at in range(len(REAL)) if check_attestation(flipped(REAL, at), KNOWN).ok is not False]
    for one in receipt_cases():
        verdict = one.check()
        right = verdict.ok is one.ok and one.says in verdict.reason
        wrong += not right
        word = {True: "accepted", False: "refused", None: "unknown"}[verdict.ok]
        print(
            f"{'' if right else 'WRONG '}{word:9}{fastest(one.check):6.2f} ms  receipt, {one.name}: {verdict.reason[:110]}"
        )
    print(f"one bit of each byte: {len(REAL)} documents, {len(accepted)} accepted")
    return int(bool(wrong or accepted))


if __name__ == "__main__":
    raise SystemExit(main())
