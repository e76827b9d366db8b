"""The attestation of the enclave that is about to be asked: fetched, checked, and remembered for a day."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from ..core import log
from ..core.errors import GatewayUnreachable, OGError, ProofError
from ..core.networks import AWS_NITRO_ROOT, Network
from ..core.protocols import Clock, Endpoint
from ..core.settings import Settings
from ..core.types import Enclave
from ..gateway import GatewayClient
from ..verification import Verdict
from ..verification.attestation_bounds import ATTESTED_FOR
from .gateway_pool import GatewayPool

UNKNOWN_FOR = 600.0
"""Seconds for which one is not asked again that shows no attestation, where that is only noted."""
_NONCE_BYTES = 20
_NOTHING_SENT = "Nothing was sent and nothing was paid."


class Attested(NamedTuple):
    """The attestation with which an enclave is asked.

    Attributes:
        document: by which its hardware vouches for it; b"" for none.
        note: why it is not attested, "" where it is.
    """

    document: bytes = b""
    note: str = ""


NOT_ASKED = Attested()
"""Of a server that is not asked for one."""


class _Known(NamedTuple):
    at: float
    verdict: Verdict
    document: bytes


class Attestations:
    """The attestations of the enclaves that one pool of gateways has. Used on one event loop.

    An enclave is asked before the first request is sent to it, over the connection that the request then takes: the
    first call waits one round trip longer, and later ones do not.
    """

    def __init__(self, network: Network, pool: GatewayPool, settings: Callable[[], Settings], clock: Clock) -> None:
        self._root = network.attestation_root if network.local else AWS_NITRO_ROOT
        self._pool, self._settings, self._clock = pool, settings, clock
        self._known: dict[tuple[object, ...], _Known] = {}
        self._asking = asyncio.Lock()

    def follow(self, settings: Callable[[], Settings]) -> None:
        """Ask for these settings from now on."""
        self._settings = settings

    async def require(self, endpoint: Endpoint, receipt_id: str = "") -> Attested:
        """Check the enclave behind an endpoint before anything is sent to it; return how it is attested, or why not.

        Args:
            receipt_id: of the call that waits for it, for the log.

        Raises:
            ProofError: its attestation does not hold; or it has none, and the settings want one.
            GatewayUnreachable: there is no connection to it.
        """
        settings = self._settings()
        if not endpoint.paid or (settings.attest == "off" and not settings.pcr):
            return NOT_ASKED
        _, verdict, document = await self._known_of(endpoint, receipt_id)
        if verdict.ok:
            return Attested(document)
        if verdict.ok is None and settings.attest != "require" and not settings.pcr:
            return Attested(document, f"Not attested: {verdict.reason}")
        gateway = endpoint.enclave.endpoint
        if verdict.ok is None:
            why = "OG_PCR pins the code that may run there" if settings.pcr else "OG_ATTEST=require asks for it"
            raise ProofError(
                f"The gateway {gateway} is not attested, and {why}: {verdict.reason}",
                money=_NOTHING_SENT,
                remedy="Ask again for another gateway, or allow it: OG_ATTEST=mark, without OG_PCR.",
            )
        raise ProofError(
            f"The gateway {gateway} was not asked. {verdict.reason}",
            money=_NOTHING_SENT,
            remedy="Do not send it anything. Another gateway may hold; if the clock of this machine is wrong, set it.",
        )

    async def verdict(self, endpoint: Endpoint, receipt_id: str = "") -> Verdict:
        """Return the verdict on an endpoint's enclave; it is asked where no verdict is remembered.

        Raises:
            GatewayUnreachable: there is no connection to it.
        """
        return (await self._known_of(endpoint, receipt_id)).verdict

    async def _known_of(self, endpoint: Endpoint, receipt_id: str) -> _Known:
        """Return what is remembered of an endpoint's enclave, or ask it.

        Where the registry has another key for it by now, that one is compared, and is the endpoint's from then on.

        Raises:
            GatewayUnreachable: there is no connection to it.
        """
        async with self._asking:
            if (known := self._remembered(endpoint)) is None:
                verdict, document = await self._ask(endpoint)
                known = _Known(self._clock(), verdict, document)
                log.step("attestation", receipt_id, gateway=endpoint.enclave.endpoint, ok=verdict.ok)
                if verdict.ok is not False:
                    self._known[self._name(endpoint)] = known
            return known

    def _remembered(self, endpoint: Endpoint) -> _Known | None:
        known = self._known.get(self._name(endpoint))
        if known is None:
            return None
        longest = ATTESTED_FOR if known.verdict.ok else 0.0 if self._settings().attest == "require" else UNKNOWN_FOR
        return known if 0 <= self._clock() - known.at < longest else None

    def _name(self, endpoint: Endpoint) -> tuple[object, ...]:
        enclave = endpoint.enclave
        return enclave.endpoint, enclave.tee_id, enclave.tls_certificate, enclave.pcr_hash, self._settings().pcr

    async def _ask(self, endpoint: Endpoint) -> tuple[Verdict, bytes]:
        """Return the verdict on a fresh document, and the document where it holds."""
        enclave = endpoint.enclave
        if not isinstance(endpoint, GatewayClient) or urlsplit(enclave.endpoint).scheme != "https":
            return _unknown("The connection is not encrypted, so no hardware can vouch for it.")
        if not enclave.public_key:
            return _unknown("The gateway shows no key.")
        if not self._root:
            return _unknown("This devnet has no attestation.")
        nonce = os.urandom(_NONCE_BYTES)
        try:
            text, certificate = await endpoint.attestation(nonce)
            document = base64.b64decode(text.strip(), validate=True)
        except GatewayUnreachable as error:
            if isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout)):
                raise
            return _unknown(f"It could not be fetched. {error.what}")
        except (OGError, ValueError):
            document = b""
        if not document:
            return _unknown("The gateway shows no attestation of its hardware.")
        if certificate is None:
            return _unknown("The certificate of the connection is not known.")
        verdict = await self._checked(document, enclave, nonce, certificate)
        if verdict.ok and enclave.tls_certificate is None:
            endpoint.pin(certificate)  # the next connection must lead to the same enclave
        if verdict.ok is False:
            for other in await self._successors(endpoint):
                again = await self._checked(document, other, nonce, certificate)
                if again.ok is not False:
                    endpoint.enclave = other
                    return again, document
        return verdict, document if verdict.ok is not False else b""

    async def _successors(self, endpoint: Endpoint) -> list[Enclave]:
        try:
            return await self._pool.successors(endpoint)
        except OGError:
            return []

    async def _checked(self, document: bytes, enclave: Enclave, nonce: bytes, certificate: bytes) -> Verdict:
        from ..verification.attestation import Expected, check_attestation

        expected = Expected(nonce, certificate, enclave.public_key, enclave.pcr_hash, self._settings().pcr)
        return await asyncio.to_thread(check_attestation, document, expected, root=self._root, at=self._clock())


def _unknown(why: str) -> tuple[Verdict, bytes]:
    return Verdict(None, why), b""
