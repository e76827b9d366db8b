"""A plain OpenAI-compatible server (Ollama, vLLM, LM Studio): nothing is paid by this wallet.

Nothing is proven either, unless the server hands an enclave's proof on, as `og-magics serve` does.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..core.errors import GatewayProtocolError
from ..core.secret import PrivateURL, Secret, revealed
from ..core.types import ChatRequest, Enclave
from .bounds import Bounds
from .client import GatewayClient


class PlainEndpoint(GatewayClient):
    """HTTP to a server that takes no payment and signs nothing.

    Args:
        url: its address, with or without the `/v1` that such servers are often named with.
    """

    paid = False

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        verify: bool = True,
        bounds: Bounds | None = None,
        key: Secret | None = None,
    ) -> None:
        super().__init__(Enclave(_without_version(url)), timeout=timeout, verify=verify, bounds=bounds, key=key)

    async def models(self) -> list[str]:
        """Return the names of the models that it serves.

        Raises:
            GatewayError: it cannot be reached, or is no such server.
        """
        listed = (await self._get_json("/v1/models")).get("data")
        if not isinstance(listed, list):
            raise GatewayProtocolError(
                "The server lists no models.",
                status=200,
                money="Nothing is paid.",
                remedy="Name the model with -m: it may be there.",
            )
        return [str(one["id"]) for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]

    async def health(self) -> dict[str, Any]:
        """Return the models that it serves, by "models"; such servers have no common health check.

        Raises:
            GatewayError: it cannot be reached, or is no such server.
        """
        return {"models": await self.models()}

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body = dict(request.body)
        if request.stream:
            body["stream_options"] = {"include_usage": True}  # without it these servers count no tokens
        return body

    def _headers(self, request: ChatRequest) -> dict[str, str]:
        return {}


def _without_version(url: str) -> PrivateURL:
    parts = urlsplit(revealed(url))
    return PrivateURL(urlunsplit(parts._replace(path=parts.path.rstrip("/").removesuffix("/v1"))))
