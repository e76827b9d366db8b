"""LangChain's chat model over `LLM`: for agents that want each call paid, bounded and with its receipt in code.

It is the one room that imports langchain-core, of the extra `og_magics[langchain]`; nothing else imports it.
"""

from __future__ import annotations

try:
    import langchain_core as _langchain_core  # noqa: F401 - looked for, so that what is missing has a name
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "og_magics.langchain needs langchain-core: pip install 'og_magics[langchain]'", name=error.name
    ) from None

from .chat import ChatOG

__all__ = ["ChatOG"]
