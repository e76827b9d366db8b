"""Honest notebooks of every kind, and how many of their cells the audit accuses: `python -m tests.honest`.

No kernel runs: outputs are made by the functions that make them in a notebook, of receipts that an enclave of this
process signed, and of the answers that were captured from the real gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from og_magics.cli import main
from og_magics.conversation.structured_output import repair_of
from og_magics.core.progress import INTERRUPTED, MORE_ROUNDS
from og_magics.core.receipt import Column, Receipt
from og_magics.display.answer_bundle import answer_bundle
from og_magics.display.columns import columns_bundle
from og_magics.display.details import folded_bundle
from og_magics.display.turn_bundle import turn_bundle
from og_magics.verification.enclave import pem_to_der

from . import captures
from .signed import Json, Signer, asking, call, cell, going_on
from .streams import STREAMS

TEXTS = (
    "Yes.", "**Bold** and _it_, `code` and ~~gone~~.", "# Head\n\n1. one\n2. two\n\n- a\n  - b", "$5 or $6, and $x^2$",
    "```python\nprint('hi')\n```\nafter", "| a | b |\n|---|---|\n| 1 | 2 |", "<b>html</b> & <script>alert(1)</script>",
    "\\(x\\) and \\[y\\]", "[a link](https://e.example/a) and https://e.example/b", "> quoted\n\nnot", "数学 🎉 e\u0301 \u200d",
    "a\u2028b", "line\r\nline", "  leading and trailing  \n\n", '{"n": 3, "list": [1, 2]}', "7 + 28 tokens · 0.001 OPG",
    "openai/gpt-5 · enclave proof ✓ · paid 0xabcdef12…", "\t\ttabs", "x" * 3_000, "word " * 600, "* * *\n\n---\n\n***",
    "![a picture](https://e.example/x.png)", "&lt;escaped&gt; &amp; entities &#39;", "a\n\n\n\nb", "1) one\n2) two",
    "No, it is 4.\n\nanswer_bundle", "~~~\nfenced\n~~~", "<details><summary>s</summary>t</details>", "\\$5 \\* not",
    "“quoted” — dash … ellipsis",
)  # fmt: skip
MODES = ("batch", "private", "individual")
PAID = {"payment_hash": "0x" + "cd" * 32, "status": "settled", "cost": 3 * 10**14, "cost_usd": "0.000123"}


@dataclass(frozen=True)
class Honest:
    """One honest cell, and of which kind it is."""

    kind: str
    cell: Json


def nowhere(_: str) -> str:
    return ""


def page(_network: str, transaction: str) -> str:
    return f"https://e.example/tx/{transaction}"


def texts() -> Iterator[str]:
    """Yield texts of answers: those of all recorded streams, and of our own."""
    yield from TEXTS
    for name, stream in STREAMS.items():
        if stream["text"] and name != "lone_surrogate":
            yield stream["text"]


def cells(signer: Signer) -> Iterator[Honest]:
    """Yield honest cells of every kind."""
    for number, text in enumerate(texts()):
        prompt = f"Question {number}?"
        yield from _single(signer, prompt, text)
        yield from _turns(signer, prompt, text)
        yield from _compared(signer, prompt, text)
    yield from captured()


def _single(signer: Signer, prompt: str, text: str) -> Iterator[Honest]:
    for mode in MODES:
        receipt = signer.answered(asking(prompt), text, settlement=mode, **(PAID if mode != "private" else {}))
        bundle = answer_bundle(receipt, text, lambda tx: page("", tx), head=(7, "ab" * 32))
        yield Honest(f"an answer, {mode}", cell(f"%%ogchat -m gpt-5 -s {mode}\n{prompt}", bundle))
    receipt = signer.answered(asking(prompt), text)
    for kind, ok in (("proven", True), ("key not checked", None)):
        again = replace(receipt, replayed=True, enclave_ok=ok)
        receipt = signer.answered(asking(prompt), text)
        yield Honest(
            f"a replay, {kind}", cell(f"%%ogchat --replay only\n{prompt}", answer_bundle(again, text, nowhere))
        )
    body = asking(prompt, max_tokens=8)
    cut = signer.answered(body, text, finish_reason="length")
    yield Honest("a cut answer", cell(f"%%ogchat -n 8\n{prompt}", answer_bundle(cut, text, nowhere)))
    thread = {**asking("Before?"), "messages": [
        {"role": "user", "content": "Before?"}, {"role": "assistant", "content": text}, {"role": "user", "content": prompt},
    ]}  # fmt: skip
    going = signer.answered(thread, text)
    yield Honest("in a thread", cell(f"%%ogchat --thread talk\n{prompt}", answer_bundle(going, text, nowhere)))
    context = f"Cells.\n\nIn [1]: {text}"
    sent = asking(prompt)
    sent["messages"] = [{"role": "user", "content": context}, *sent["messages"]]
    folded = folded_bundle("Sent with the prompt: cell 1, 9 characters.", context)
    with_context = answer_bundle(signer.answered(sent, text), text, nowhere)
    yield Honest("with a context", cell(f"%%ogchat --context last\n{prompt}", folded, with_context))
    unsigned: Json = {
        name: None for name in ("tee_id", "tee_signature", "tee_timestamp", "request_hash", "output_hash")
    }
    broken = signer.answered(
        asking(prompt), text, **unsigned, public_key="", enclave_ok=None, status="failed", error="interrupted",
        finish_reason=None, prompt_tokens=None, completion_tokens=None,
    )  # fmt: skip
    interrupted = cell(f"%%ogchat\n{prompt}", answer_bundle(broken, text, nowhere, INTERRUPTED))
    interrupted["outputs"].append({"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []})
    yield Honest("interrupted", interrupted)
    python = cell("answer = og.ask(question)\nprint(answer.text)\nanswer", answer_bundle(receipt, text, nowhere))
    python["outputs"].insert(0, {"output_type": "stream", "name": "stdout", "text": text + "\n"})
    yield Honest("from Python, printed too", python)


def _turns(signer: Signer, prompt: str, text: str) -> Iterator[Honest]:
    results = ("5", text, '{"error": "ValueError: no"}')
    for result in results:
        body = asking(prompt)
        first = signer.answered(body, "", [call("add", '{"a": 2, "b": 3}')])
        said = {"role": "tool", "tool_call_id": "call_1", "content": result}
        second = signer.answered(going_on(body, first, said), text, turn=first.receipt_id)
        bundle = turn_bundle([first, second], text, nowhere, head=(7, "ab" * 32))
        yield Honest("functions", cell(f"%%ogchat --tools add\n{prompt}", bundle))
    more = turn_bundle([first], "", nowhere, MORE_ROUNDS)
    yield Honest("functions, no round left", cell(f"%%ogchat --tools add --rounds 1\n{prompt}", more))
    body = asking(prompt)
    unfit = signer.answered(body, text)
    repair = {"role": "user", "content": repair_of("n: a number is missing")}
    repaired = signer.answered(going_on(body, unfit, repair), '{"n": 3}', turn=unfit.receipt_id)
    bundle = turn_bundle([unfit, repaired], '{"n": 3}', nowhere, format="json")
    yield Honest("repaired", cell(f"%%ogchat --schema Form\n{prompt}", bundle))
    for format in ("text", "code", "html", "math", "md"):
        bundle = turn_bundle([signer.answered(body, text)], text, nowhere, format=format)
        yield Honest(f"as {format}", cell(f"%%ogchat -f {format}\n{prompt}", bundle))


def _compared(signer: Signer, prompt: str, text: str) -> Iterator[Honest]:
    models = ("openai/gpt-5", "x-ai/grok-4", "google/gemini-2.5-flash")
    columns = [
        Column(model, signer.answered(asking(prompt), text, model=model, latency_s=1.5, ttft_s=0.25, **PAID))
        for model in models
    ]
    named = " ".join(f"-m {model}" for model in models)
    yield Honest("compared", cell(f"%%ogcompare {named}\n{prompt}", columns_bundle(columns, page, (7, "ab" * 32))))
    failed = [columns[0], Column(models[1], None, "The gateway does not serve it.")]
    named = " ".join(f"-m {model}" for model in models[:2])
    alone = [replace(failed[0], receipt=signer.answered(asking(prompt), text)), failed[1]]
    yield Honest("compared, one failed", cell(f"%%ogcompare {named}\n{prompt}", columns_bundle(alone, page)))


def captured() -> Iterator[Honest]:
    """Yield the answers that were captured from the real gateway, as cells of Python show them."""
    for number, exchange in enumerate(captures.exchanges()):
        reading = asyncio.run(captures.read(exchange))
        outcome = reading.outcome
        if reading.check is None or not exchange.path.endswith("/chat/completions"):
            continue
        request = json.loads(exchange.asked)
        receipt = Receipt(
            receipt_id=f"f{number:031x}", time=1795343449.0, cell="", notebook="", network="base", provider="openai",
            model=f"openai/{request['model']}", settlement="batch", status="served", path=exchange.path,
            request=request, text=outcome.text, tool_calls=outcome.tool_calls, finish_reason=outcome.finish_reason,
            prompt_tokens=outcome.prompt_tokens, completion_tokens=outcome.completion_tokens, tee_id=outcome.tee_id,
            tee_signature=outcome.tee_signature, tee_timestamp=outcome.tee_timestamp,
            request_hash=outcome.tee_request_hash, output_hash=outcome.tee_output_hash,
            public_key=pem_to_der(exchange.key).hex(), enclave_ok=reading.check.ok,
            gateway_notes=outcome.gateway_notes, authorization_hash="0x" + "ab" * 32,
        )  # fmt: skip
        bundle = turn_bundle([receipt], outcome.text, nowhere)
        yield Honest("captured from the real gateway", cell("llm.chat_sync(model, messages)", bundle))


def accused(honest: Sequence[Honest], path: Path) -> list[str]:
    """Return what the audit accuses of these cells, as one notebook: a verdict of False is an accusation."""
    path.write_text(json.dumps({"cells": [one.cell for one in honest], "nbformat": 4}))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(["verify", str(path), "--json"])
    found = []
    for row in json.loads(out.getvalue()):
        verdict = row["verdicts"]["enclave"]
        if verdict["ok"] is False:
            one = honest[row["cell"] - 1]
            found.append(f"{one.kind}: {verdict['reason']} {one.cell['source'][:60]!r}")
    return found


def run(most: int | None = None) -> tuple[Counter[str], list[str]]:
    """Return how many honest cells of each kind were audited, and the accusations."""
    honest = list(cells(Signer()))[:most]
    with tempfile.TemporaryDirectory() as folder:
        return Counter(one.kind for one in honest), accused(honest, Path(folder) / "honest.ipynb")


if __name__ == "__main__":
    kinds, found = run()
    for kind, count in kinds.items():
        print(f"{kind:42} {count:5}")
    print(f"{'all honest cells':42} {kinds.total():5}, {len(found)} accused")
    print("\n".join(found))
    sys.exit(bool(found))
