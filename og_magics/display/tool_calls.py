"""The steps of a turn before its answer: function calls, folded, and answers that were requested again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..core.progress import Call, RepairRequest, StreamPart, is_failure
from ..core.receipt import Receipt
from ..core.untrusted_json import read_json
from .sanitize import fenced, one_line, printable, safe_markdown

LONGEST = 2_000
"""Characters of arguments or of a result that are shown; a receipt has all."""
_LONGEST_LINE = 100
_MARKS = {"done": "✓", "failed": "✗", "refused": "✗", "stopped": "✗", "running": "…", "waiting": "?"}


def part_markdown(part: StreamPart) -> str:
    """Return a part of a turn as Markdown that holds nothing of what others wrote but as text or code."""
    if isinstance(part, str):
        return safe_markdown(part)
    if isinstance(part, RepairRequest):
        blocks = [fenced(_short(one)) for one in (part.text, part.why) if one]
        return fold("↻ The answer did not have the form that was asked for, and was asked for again", blocks)
    blocks = [fenced(_short(_pretty(part.arguments)), "json")] if part.arguments.strip() not in ("", "{}") else []
    blocks += [fenced(_short(part.result))] if part.result else []
    return fold(_line(part), blocks)


def part_plain(part: StreamPart) -> str:
    """Return a part of a turn as plain text."""
    if isinstance(part, str):
        return part
    if isinstance(part, RepairRequest):
        texts = "\n".join(_short(one) for one in (part.text, part.why) if one)
        return printable(f"↻ The answer did not have the form that was asked for, and was asked for again:\n{texts}")
    result = f"\n  → {_short(part.result)}" if part.result else ""
    return printable(f"{_line(part)}{result}")


def steps_of(receipts: Sequence[Receipt]) -> list[list[StreamPart]]:
    """Return the steps above the answer, for each receipt of a turn but the last; only receipts are read.

    A result is what the next question holds, so the enclave has signed it as it has signed that question.
    """
    if any(receipt.scrubbed for receipt in receipts):
        return []
    return [_step(receipt, following) for receipt, following in pairwise(receipts)]


def _step(receipt: Receipt, following: Receipt) -> list[StreamPart]:
    said = following.messages[len(receipt.messages) + 1 :]
    contents = [str(one.get("content") or "") for one in said]
    if not receipt.tool_calls:
        return [RepairRequest("\n".join(contents), receipt.text)]
    results = [*contents, *[""] * len(receipt.tool_calls)]
    calls = [_call(call, result) for call, result in zip(receipt.tool_calls, results, strict=False)]
    return [receipt.text, *calls] if receipt.text else [*calls]


def _call(call: Mapping[str, Any], result: str) -> Call:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    return Call(
        str(function.get("name") or ""),
        str(function.get("arguments") or ""),
        "failed" if is_failure(result) else "done",
        result,
    )


def _line(call: Call) -> str:
    arguments = " ".join(call.arguments.split())
    line = f"{_MARKS.get(call.state, '·')} {call.name}({'' if arguments == '{}' else arguments})"
    line = line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 2] + "…)"
    seconds = f" · {call.seconds:.1f} s" if call.seconds >= 0.1 else ""
    return line + (" · to be confirmed" if call.state == "waiting" else seconds)


def fold(line: str, blocks: Sequence[str]) -> str:
    """Return a line that opens. It is one line: HTML holds no Markdown before an empty line, and code no formula."""
    inside = "".join(f"{block}\n\n" for block in blocks)
    return f"<details><summary><code>{one_line(line)}</code></summary>\n\n{inside}</details>"


def _pretty(arguments: str) -> str:
    try:
        return json.dumps(read_json(arguments.encode("utf-8", "surrogatepass")), indent=1, ensure_ascii=False)
    except ValueError:
        return arguments


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n[{len(text) - LONGEST:,} more characters]"
