"""An answer as a value: what a cell shows of it whose last line names it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..core.receipt import Receipt
from .answer_bundle import Documents, Head, sorted_images
from .footer import Explorer
from .sanitize import printable
from .turn_bundle import turn_bundle


class Answered(Protocol):
    """The parts of an answer that are shown."""

    @property
    def text(self) -> str: ...
    @property
    def receipts(self) -> Sequence[Receipt]: ...
    @property
    def note(self) -> str: ...
    @property
    def images(self) -> Sequence[str] | None: ...


def answer_repr(
    answer: Answered,
    explorer: Callable[[str], Explorer],
    head: Callable[[], Head | None],
    documents: Callable[[Sequence[Receipt]], Documents],
    format: str = "md",
) -> dict[str, Any]:
    """Return the mime bundle of an answer, with its receipt as it is now; in a terminal, harmless plain text.

    Args:
        explorer: by the name of a network. head: of the ledger, now; None where it cannot be read.
        documents: the attestations that this output carries for its receipts.
    """
    receipts = answer.receipts
    if not receipts:
        return {"text/plain": printable(answer.text)}
    pictures, links = sorted_images(answer.images or ())
    if pictures:
        links = [*links, f"({len(pictures)} images, in .images)"]
    text = "\n\n".join([answer.text, *links]) if links else answer.text
    carried = documents(receipts) if _in_kernel() else {}
    bundle = turn_bundle(receipts, text, explorer(receipts[-1].network), answer.note, head(), format, carried)
    return bundle if _in_kernel() else {"text/plain": printable(bundle["text/plain"])}


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
