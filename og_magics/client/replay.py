"""Replay: a recorded answer, checked against its proof, in place of a paid call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..core.allowance import never_pays
from ..core.cell_context import CellExecution
from ..core.errors import NotRecorded, ProofError
from ..core.fork import new_lock
from ..core.progress import Progress
from ..core.receipt import Receipt
from ..core.recording import Recording, RecordingSource, request_fingerprint
from ..core.types import ChatRequest, StreamChoice, StreamChunk, StreamDelta, StreamUsage, TextGenerationOutput
from ..verification import check_enclave, evidence_of

_LONGEST_PAUSE = 60.0
"""Seconds between two pieces of an answer that is shown at its recorded pace, at most."""


class Replays:
    """The choice of the recording that answers a request. Safe to call from any thread.

    Several answers to one request come in the order in which they were given: those of one run of the cell that asks,
    the latest there is, where it is known which cell that was. What is asked more often than it is recorded gets the
    last of them again: an answer that was paid a moment ago, in the same cell or script, is recorded too.
    """

    def __init__(self, sources: Sequence[RecordingSource]) -> None:
        self._sources = list(sources)
        self._lock = new_lock()
        self._asked: dict[tuple[str, str], int] = {}
        self._runs: dict[str, list[str]] = {}
        self._shown: dict[str, Receipt] = {}

    @property
    def replayed_receipts(self) -> dict[str, Receipt]:
        """The receipts of the recordings that were found so far, by their ids, marked as replayed."""
        with self._lock:
            return dict(self._shown)

    def add(self, source: RecordingSource) -> None:
        """Add a source, which is asked where the others have nothing."""
        self._sources.append(source)

    def find(self, question: ChatRequest) -> Recording | None:
        """Return the recording that answers a request, or None. Blocks.

        Raises:
            ProofError: there is one, and it is not what was signed.
        """
        key = request_fingerprint(question.path, question.model, question.body)
        where = question.execution
        with self._lock:
            number = self._asked.get((where.run, key), 0)
            runs = self._runs.setdefault(key, [])
            if where.run not in runs:
                runs.append(where.run)
            turn = runs.index(where.run)
        for source in self._sources:
            recorded = source.recorded(key)
            earlier = [one for one in recorded if not where.run or one.execution.run != where.run]
            group = _group(earlier or recorded, where, turn)
            if group:
                found = group[min(number, len(group) - 1)]
                _check(found, question)
                receipt = replace(found.receipt, replayed=True)
                with self._lock:
                    self._asked[where.run, key] = number + 1
                    self._shown[receipt.receipt_id] = receipt
                return found
        return None

    def holds(self, question: ChatRequest) -> bool:
        """Return True where a request is recorded. Nothing is replayed, checked or counted as shown. Blocks."""
        key = request_fingerprint(question.path, question.model, question.body)
        return any(source.recorded(key) for source in self._sources)

    def messages_after(self, receipt: Receipt) -> list[dict[str, Any]]:
        """Return what was sent to the model after this answer, in the same turn: results of functions, or a correction.

        Empty where the turn ended with it, or it is not known how it went on. Blocks.
        """
        for source in self._sources:
            following = source.following(receipt)
            if following is not None:
                before, after = receipt.messages, following.messages
                if after[: len(before)] == before:
                    return [dict(one) for one in after[len(before) + 1 :]]
        return []


async def recording_for(question: ChatRequest, replays: Callable[[], Replays], mode: str) -> Recording | None:
    """Return the recorded answer to show in place of asking, None to ask; `mode` holds where the request names none.

    Raises:
        NotRecorded: there is none, and nothing may be paid.
        ProofError: there is one, and it is not what was signed.
    """
    mode = "only" if never_pays() else question.replay or mode
    if mode == "off":
        return None
    found = await asyncio.to_thread(lambda: replays().find(question))
    if found is None and mode == "only":
        raise missing(question)
    return found


def missing(question: ChatRequest) -> NotRecorded:
    """Return the error for a request without a recording where nothing may be paid."""
    body = question.body
    messages = body.get("messages") or [{"content": body.get("prompt") or body.get("query") or ""}]
    start = " ".join(str(messages[-1].get("content", "")).split())
    asked = f"Cell {question.cell}" if question.cell else "This call"
    how = "start the kernel without OG_REPLAY=only" if never_pays() else "use --replay auto"
    return NotRecorded(
        f"{asked} asks {question.model} what is not recorded: {start[:60]!r}{'…' if len(start) > 60 else ''}.",
        money="Nothing was paid: OG_REPLAY (--replay) is 'only'.",
        remedy="Its prompt, a value in it or a parameter was changed, or it never ran here. "
        f"To ask and pay for it, {how}.",
    )


async def replayed(
    recording: Recording, question: ChatRequest, progress: Progress, *, paced: bool
) -> AsyncGenerator[StreamChunk, None]:
    """Yield the chunks of a recorded answer; the last has the whole of it in `.output`."""
    progress.note("replaying")
    receipt, name = recording.receipt, question.model.partition("/")[2]
    began = time.monotonic()
    whole = ((0.0, receipt.text),) if receipt.text else ()
    for at, text in (paced and recording.deltas) or whole:
        await asyncio.sleep(min(max(at - (time.monotonic() - began), 0.0), _LONGEST_PAUSE))
        yield StreamChunk([StreamChoice(StreamDelta(content=text, role="assistant"))], model=name)
    output = output_of(recording)
    final = StreamChunk(
        [StreamChoice(StreamDelta(), finish_reason=receipt.finish_reason)],
        model=name,
        usage=StreamUsage(**output.usage) if output.usage else None,
        is_final=True,
        tee_signature=receipt.tee_signature,
        tee_timestamp=receipt.tee_timestamp,
        tee_id=receipt.tee_id,
        tee_request_hash=receipt.request_hash,
        tee_output_hash=receipt.output_hash,
        data_settlement_transaction_hash=receipt.data_settlement_hash,
        data_settlement_blob_id=receipt.blob_id,
        images=output.images,
        output=output,
    )
    final._lookup = output._lookup
    yield final


def output_of(recording: Recording) -> TextGenerationOutput:
    """Return a recorded answer as the result that it was; its receipt is the paid one, marked as replayed."""
    receipt = replace(recording.receipt, replayed=True)
    output = result_of(receipt, lambda: receipt)
    output.images = list(recording.images) or None
    return output


def result_of(receipt: Receipt, lookup: Callable[[], Receipt]) -> TextGenerationOutput:
    """Return the result that a receipt holds; `lookup` gives the receipt as it stands."""
    message: dict[str, Any] = {"role": "assistant", "content": receipt.text}
    if receipt.tool_calls:
        message["tool_calls"] = [dict(call) for call in receipt.tool_calls]
    completion = receipt.path.endswith("/completions") and not receipt.path.endswith("/chat/completions")
    output = TextGenerationOutput(
        data_settlement_transaction_hash=receipt.data_settlement_hash,
        data_settlement_blob_id=receipt.blob_id,
        finish_reason=receipt.finish_reason,
        chat_output=None if completion else message,
        completion_output=receipt.text if completion else None,
        usage=_usage(receipt),
        tee_signature=receipt.tee_signature,
        tee_timestamp=receipt.tee_timestamp,
        tee_id=receipt.tee_id,
        tee_request_hash=receipt.request_hash,
        tee_output_hash=receipt.output_hash,
        model=receipt.model.partition("/")[2],
        citations=receipt.gateway_notes.get("citations"),
        moderation=receipt.gateway_notes.get("moderation"),
    )
    output._lookup = lookup
    return output


def _usage(receipt: Receipt) -> dict[str, int] | None:
    prompt, completion = receipt.prompt_tokens, receipt.completion_tokens
    if prompt is None or completion is None:
        return None
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _group(candidates: Sequence[Recording], where: CellExecution, turn: int) -> Sequence[Recording]:
    """Return the recordings of one cell execution that match the cell that asks, in their order."""
    same = [
        one
        for one in candidates
        if (where.cell and one.execution.cell == where.cell) or (where.source and one.execution.source == where.source)
    ]
    runs: dict[str, list[Recording]] = {}
    for one in same or candidates:
        runs.setdefault(one.execution.run, []).append(one)
    if not runs:
        return ()
    groups = list(runs.values())
    is_known = same or any(one.execution.cell or one.execution.source for one in candidates)
    # Of cells that are not known, the first that asks this gets what the first got, and so on.
    return groups[-1] if is_known else groups[min(turn, len(groups) - 1)]


def _check(recording: Recording, question: ChatRequest) -> None:
    receipt = recording.receipt
    problem = recording.problem
    if not problem:
        check = check_enclave(evidence_of(receipt))
        problem = check.reason if check.ok is False else ""
    if problem:
        when = datetime.fromtimestamp(receipt.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
        cell = question.cell or receipt.cell
        raise ProofError(
            f"The recorded answer to {f'cell {cell}' if cell else 'this call'}, of {when}, is not what was signed: "
            f"{problem}",
            money="Nothing was paid, and it is not shown.",
            remedy="It was changed after it was recorded. To ask anew and pay, use --replay off.",
        )
