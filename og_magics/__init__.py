"""og_magics: LLM calls in a notebook that stream, are paid by x402, and leave receipts that can be verified.

    %load_ext og_magics

    %%ogchat
    What is the x402 payment protocol?

From Python: `og_magics.ask("Hello").text`, or, as with the official SDK, `llm = og_magics.LLM()` and
`await llm.chat("openai/gpt-5", [{"role": "user", "content": "Hello"}])`.

Importing this is cheap: each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .core import environment as _environment  # noqa: F401 - it keeps what this process was started with

if TYPE_CHECKING:
    from . import agents, errors
    from .chain.tee_registry import TEEEndpoint, TEERegistry
    from .client.llm import LLM
    from .conversation import Answer, BatchResult, StoredAnswers
    from .conversation.tools import tool
    from .core.models import TEE_LLM
    from .core.settings import Settings
    from .core.types import (
        Permit2ApprovalResult,
        ResponseFormat,
        StreamChoice,
        StreamChunk,
        StreamDelta,
        StreamUsage,
        TextGenerationOutput,
        x402SettlementMode,
    )
    from .session.api import aask, aask_many, ask, ask_many, estimate, models, receipts, settle, verify
    from .verification.response import TeeProof, VerificationError, build_inner_request, verify_response
    from .widgets.panel import panel

_HOMES: dict[str, str] = {
    "Answer": "conversation",
    "BatchResult": "conversation",
    "LLM": "client.llm",
    "Permit2ApprovalResult": "core.types",
    "ResponseFormat": "core.types",
    "Settings": "core.settings",
    "StoredAnswers": "conversation",
    "StreamChoice": "core.types",
    "StreamChunk": "core.types",
    "StreamDelta": "core.types",
    "StreamUsage": "core.types",
    "TEE_LLM": "core.models",
    "TEEEndpoint": "chain.tee_registry",
    "TEERegistry": "chain.tee_registry",
    "TeeProof": "verification.response",
    "TextGenerationOutput": "core.types",
    "VerificationError": "verification.response",
    "aask": "session",
    "aask_many": "session",
    "ask": "session",
    "ask_many": "session",
    "build_inner_request": "verification.response",
    "estimate": "session",
    "models": "session",
    "panel": "widgets.panel",
    "receipts": "session",
    "settle": "session",
    "tool": "conversation.tools",
    "verify": "session",
    "verify_response": "verification.response",
    "x402SettlementMode": "core.types",
}

__all__ = [
    "LLM",
    "TEE_LLM",
    "Answer",
    "BatchResult",
    "Permit2ApprovalResult",
    "ResponseFormat",
    "Settings",
    "StoredAnswers",
    "StreamChoice",
    "StreamChunk",
    "StreamDelta",
    "StreamUsage",
    "TEEEndpoint",
    "TEERegistry",
    "TeeProof",
    "TextGenerationOutput",
    "VerificationError",
    "__version__",
    "aask",
    "aask_many",
    "agents",
    "ask",
    "ask_many",
    "build_inner_request",
    "errors",
    "estimate",
    "load_ipython_extension",
    "models",
    "panel",
    "receipts",
    "settle",
    "tool",
    "unload_ipython_extension",
    "verify",
    "verify_response",
    "x402SettlementMode",
]


_RENAMED = {"Answers": "BatchResult"}
"""Old name: new name. The old ones work for one release."""


def __getattr__(name: str) -> Any:
    if name in ("agents", "errors"):
        return importlib.import_module(f".{name}", __name__)
    if name in _RENAMED:
        warnings.warn(f"og_magics.{name} is now og_magics.{_RENAMED[name]}.", DeprecationWarning, stacklevel=2)
        name = _RENAMED[name]
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext og_magics`."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext og_magics`."""
    from .magics import unload

    unload(shell)
