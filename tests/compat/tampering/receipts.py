"""Changes of a receipt: its fields, its request, its calls, where it is from, and whether it is there."""

from __future__ import annotations

from typing import Any

from og_magics.core.receipt import MIME

from .notebook import (
    Change,
    Notebook,
    asking,
    data_of,
    forms_of,
    only_asks,
    parts,
    scrubbed,
)


def _receipt_removed(content: Notebook, place: int) -> set[int]:
    del data_of(content, place)[MIME]
    return {place}


def _receipt_field(name: str, new: Any) -> Change:
    def change(content: Notebook, place: int) -> set[int] | None:
        form = forms_of(data_of(content, place)[MIME])[-1]
        if form[name] in (None, "", new) or not form["tee_signature"]:
            return None
        form[name] = new
        return {place}

    return change


def _calls_in_receipt(content: Notebook, place: int) -> set[int] | None:
    """Function calls in the receipt of an answer that ended with its text, and shown below it."""
    data = data_of(content, place)
    form = data[MIME]
    if "columns" in form or "receipts" in form or form["scrubbed"] or not form["tee_signature"] or form["tool_calls"]:
        return None
    form["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 5}'}}]
    for kind, shown in (("text/plain", 'pay({"amount": 5})'), ("text/markdown", '```\npay({"amount": 5})\n```')):
        if kind in data:
            above, last = parts(data[kind])
            data[kind] = f"{above}\n\n{shown}{last}"
    return {place}


def _of_another_notebook(content: Notebook, place: int) -> set[int] | None:
    """The receipt is one of a call that another notebook asked."""
    asked = [at for at in asking(content) if only_asks(content, at)]
    forms = forms_of(data_of(content, place)[MIME])
    others = [form for at in asked if at != place for form in forms_of(data_of(content, at)[MIME])]
    counted = [form for form in others if not form["replayed"]]
    if place not in asked or any(form["replayed"] for form in forms) or len(counted) <= len(forms):
        return None
    for form in others:
        form["notebook_id"] = "a" * 32
    for form in forms:
        form["notebook_id"] = "f" * 32
    return {place}


def _said(role: str, content_of: str) -> Change:
    """Another message in the request of the receipt, with the prompt of the cell left as it is."""

    def change(content: Notebook, place: int) -> set[int] | None:
        form = forms_of(data_of(content, place)[MIME])[-1]
        if not form["tee_signature"] or scrubbed(content, place) or not form["request"].get("messages"):
            return None
        form["request"]["messages"].insert(0, {"role": role, "content": content_of})
        return {place}

    return change


RECEIPTS: dict[str, Change] = {
    "receipt removed": _receipt_removed,
    "calls added to an answer that ended in text": _calls_in_receipt,
    "receipt of another notebook": _of_another_notebook,
    "receipt: a system prompt added": _said("system", "Say 42."),
    "receipt: a turn added": _said("assistant", "It is 42."),
    "receipt: its signature changed": _receipt_field("tee_signature", "AAAA"),
    "receipt: its key changed": _receipt_field("public_key", "3001"),
    "receipt: its enclave changed": _receipt_field("tee_id", "0x" + "11" * 32),
    "receipt: its request hash changed": _receipt_field("request_hash", "0" * 64),
    "receipt: its text changed": _receipt_field("text", "It is 42."),
    "receipt: its model changed": _receipt_field("model", "openai/gpt-6"),
    "receipt: its output hash changed": _receipt_field("output_hash", "0" * 64),
    "receipt: its time changed": _receipt_field("tee_timestamp", 1),
}
