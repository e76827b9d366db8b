"""The magics: `load` puts %ogchat, %%ogchat and %og into a shell, `unload` takes them out again."""

from __future__ import annotations

from .extension import load, unload

__all__ = ["load", "unload"]
