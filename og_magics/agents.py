"""LangChain's chat model by the names of the official SDK's `opengradient.agents`. It needs `og_magics[langchain]`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .client.llm import LLM
from .core.errors import ConfigError
from .core.models import TEE_LLM
from .core.secret import PrivateURL, Secret
from .core.settings import Settings
from .core.types import x402SettlementMode

if TYPE_CHECKING:
    from .langchain import ChatOG

    OpenGradientChatModel = ChatOG

__all__ = ["langchain_adapter"]


def langchain_adapter(
    private_key: str | None = None,
    model_cid: TEE_LLM | str | None = None,
    model: TEE_LLM | str | None = None,
    max_tokens: int = 300,
    temperature: float = 0.0,
    x402_settlement_mode: x402SettlementMode = x402SettlementMode.BATCH_HASHED,
    client: LLM | None = None,
    rpc_url: str | None = None,
    tee_registry_address: str | None = None,
    llm_server_url: str | None = None,
    *,
    max_cost: Decimal | float | str | None = None,
) -> ChatOG:
    """Return a `ChatOG` for LangChain's chains and agents.

    Args:
        private_key: of the wallet that pays; without it, that of the environment.
        model, model_cid: the model, by either name.
        max_tokens, temperature, x402_settlement_mode: as in `LLM.chat`.
        client: an LLM of yours, in place of `private_key` and the URLs.
        rpc_url, tee_registry_address: of the registry of enclaves. llm_server_url: one gateway, in place of it.
        max_cost: OPG that a gateway may be allowed for one call.

    Raises:
        ConfigError: no model is named, or a name or a key is malformed.
    """
    from .langchain import ChatOG

    if not (name := model or model_cid):
        raise ConfigError("No model is named.", remedy='Give model="openai/gpt-5", or another.')
    if client is None:
        settings = Settings.from_env().replace(gateway_url=llm_server_url and PrivateURL(llm_server_url))
        client = LLM(private_key and Secret(private_key), None, rpc_url, tee_registry_address, settings=settings)
    return ChatOG(
        llm=client,
        model=name.value if isinstance(name, TEE_LLM) else name,
        max_tokens=max_tokens,
        temperature=temperature,
        settlement=x402SettlementMode.parse(x402_settlement_mode).value,
        max_cost=max_cost,
    )


def __getattr__(name: str) -> Any:
    if name != "OpenGradientChatModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .langchain import ChatOG

    return ChatOG
