"""Prompts: from the text that was typed to the text that is sent, with variables filled in and no keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..core.cell_notes import NAMES_UNKNOWN, VALUE_CUT
from ..core.gateway_notes import note_lines
from ..core.redaction import holds_key

if TYPE_CHECKING:
    from ..conversation import Turn
    from ..core.receipt import Receipt

_LAST = "_"


def prompt_of(shell: Any, typed: str, local: Mapping[str, Any] | None = None, *, variables: bool) -> str:
    """Return the prompt that a cell sends. A value that is cut is named in the cell.

    Args:
        local: the names of the function that asks, which come before the notebook's.

    Raises:
        ConfigError: a variable that leads nowhere, or has no text.
        UsageError: a private key is in a variable.
    """
    if variables and "{" in typed:
        from ..conversation import substitute, unknown_names

        names = {**names_of(shell), **_own(local, shell)}
        _point_out(unknown_names(typed, names, shell.user_ns))
        filled = substitute(typed, names)
        for path, value in filled.values.items():
            if holds_key(f"{path} = {value.text}"):
                raise UsageError(f"{{{path}}} in the prompt holds a private key. It was not sent.")
        for path, value in filled.values.items():
            if value.left_out:
                print(VALUE_CUT.of(name=path, left_out=value.left_out))
        typed = filled.text
    return typed


def _point_out(unknown: Mapping[str, str]) -> None:
    """Say which names in braces the notebook does not have, before anything is sent.

    Raises:
        UsageError: one is nearly a name that it has.
    """
    for path, meant in unknown.items():
        if meant:
            raise UsageError(
                f"There is no variable {{{path}}} in this notebook. Did you mean {{{meant}}}? Nothing was sent, and "
                f"nothing is paid. To send {{{path}}} as it stands, write {{{{{path}}}}} or add --no-vars."
            )
    if unknown:
        shown = ", ".join(f"{{{path}}}" for path in unknown)
        print(NAMES_UNKNOWN.of(names=shown))


def _own(local: Mapping[str, Any] | None, shell: Any) -> Mapping[str, Any]:
    notebook = shell.user_ns
    if local is None or local is notebook:
        return {}
    own = ((name, value) for name, value in local.items() if not name.startswith("_"))
    return {name: value for name, value in own if name not in notebook or notebook[name] is not value}


def names_of(shell: Any) -> Mapping[str, Any]:
    """Return the notebook's variables; of IPython's own, only `_`, once there is a last result."""
    hidden: Mapping[str, Any] = shell.user_ns_hidden
    nothing = object()
    names = {
        name: value
        for name, value in shell.user_ns.items()
        if not name.startswith("_") and value is not hidden.get(name, nothing)
    }
    last = shell.user_ns.get(_LAST, "")
    return names if isinstance(last, str) and not last else names | {_LAST: last}


def show_context(shell: Any, turn: Turn) -> None:
    """Show which cells are sent along, before they are."""
    if turn.context is not None:
        from ..display import show_folded

        show_folded(shell, turn.context.summary, turn.context.text)


def print_notes(receipt: Receipt, label: str = "") -> None:
    """Print what the gateway adds beside an answer; after the label, where several are shown."""
    from ..display.sanitize import printable

    if lines := note_lines(receipt.gateway_notes):
        print(printable("\n".join([label, *lines] if label else lines)))
