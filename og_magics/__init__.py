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
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import errors
    from .app import aask, aask_many, ask, ask_many, models, receipts, settle, verify
    from .catalogue import TEE_LLM
    from .conversation import Answer, Answers
    from .conversation.tools import tool
    from .llm import LLM
    from .panels import panel
    from .settings import Settings
    from .types import (
        Permit2ApprovalResult,
        ResponseFormat,
        StreamChoice,
        StreamChunk,
        StreamDelta,
        StreamUsage,
        TextGenerationOutput,
        x402SettlementMode,
    )

_HOMES: dict[str, str] = {
    "Answer": "conversation",
    "Answers": "conversation",
    "LLM": "llm",
    "Permit2ApprovalResult": "types",
    "ResponseFormat": "types",
    "Settings": "settings",
    "StreamChoice": "types",
    "StreamChunk": "types",
    "StreamDelta": "types",
    "StreamUsage": "types",
    "TEE_LLM": "catalogue",
    "TextGenerationOutput": "types",
    "aask": "app",
    "aask_many": "app",
    "ask": "app",
    "ask_many": "app",
    "models": "app",
    "panel": "panels",
    "receipts": "app",
    "settle": "app",
    "tool": "conversation.tools",
    "verify": "app",
    "x402SettlementMode": "types",
}

__all__ = [
    "LLM",
    "TEE_LLM",
    "Answer",
    "Answers",
    "Permit2ApprovalResult",
    "ResponseFormat",
    "Settings",
    "StreamChoice",
    "StreamChunk",
    "StreamDelta",
    "StreamUsage",
    "TextGenerationOutput",
    "__version__",
    "aask",
    "aask_many",
    "ask",
    "ask_many",
    "errors",
    "load_ipython_extension",
    "models",
    "panel",
    "receipts",
    "settle",
    "tool",
    "unload_ipython_extension",
    "verify",
    "x402SettlementMode",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module(".errors", __name__)
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
