"""The registry of enclaves by the names of the official SDK, for code that looks gateways up itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from ..core import networks
from ..core.enclave import LLM_PROXY, Enclave
from .registry import enclaves_of_type, refusal


@dataclass(frozen=True, slots=True)
class TEEEndpoint:
    """A registered enclave.

    Attributes:
        tee_id: the keccak256 of its signing key, 0x hex.
        endpoint: URL of its gateway.
        tls_cert_der: the certificate that a connection to it must show.
        payment_address: who is paid there.
        signing_public_key_der: the RSA key with which it signs answers.
        pcr_hash: measurement of the code that it runs, 0x hex; "" for none.
    """

    tee_id: str
    endpoint: str
    tls_cert_der: bytes
    payment_address: str
    signing_public_key_der: bytes = b""
    pcr_hash: str = ""


class TEERegistry:
    """Reads which enclaves the on-chain registry lists. What is left out is that of the main network.

    Unlike the SDK's, it raises where the registry cannot be read: an empty list means that there is no enclave.

    Args:
        rpc_url: of the chain with the registry.
        registry_address: of its contract.
    """

    def __init__(self, rpc_url: str = "", registry_address: str = "") -> None:
        main = networks.with_real_money()
        self._network = replace(
            main,
            registry_rpc_url=rpc_url or main.registry_rpc_url,
            registry_address=registry_address or main.registry_address,
        )

    def get_active_tees_by_type(self, tee_type: int) -> list[TEEEndpoint]:
        """Return the enclaves of a type (0 serves models, 1 validates) that are enabled, approved and alive.

        One that must not be connected to, without a certificate or https, is left out.

        Raises:
            ChainError: the registry cannot be read.
        """
        found = enclaves_of_type(self._network, tee_type)
        usable = [one for one in found if one.endpoint and one.tls_certificate]
        return [_endpoint(one) for one in usable if tee_type != LLM_PROXY or not refusal(one)]

    def get_llm_tee(self) -> TEEEndpoint | None:
        """Return one of the enclaves that serve models, at random; None where there is none.

        Raises:
            ChainError: the registry cannot be read.
        """
        found = self.get_active_tees_by_type(LLM_PROXY)
        return random.choice(found) if found else None  # noqa: S311 - to spread the load, not to keep a secret


def _endpoint(enclave: Enclave) -> TEEEndpoint:
    return TEEEndpoint(
        tee_id=enclave.tee_id,
        endpoint=enclave.endpoint,
        tls_cert_der=enclave.tls_certificate or b"",
        payment_address=enclave.payment_address,
        signing_public_key_der=enclave.public_key,
        pcr_hash=enclave.pcr_hash,
    )
