"""Showing an answer again that was paid before, in place of asking: what was recorded, checked against its proof."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import NotRecorded, ProofError
from ..origin import Execution
from ..progress import Progress
from ..proofs import check_enclave, evidence_of
from ..receipt import Receipt
from ..recording import Recording, Shelf, request_key
from ..types import Question, StreamChoice, StreamChunk, StreamDelta, StreamUsage, TextGenerationOutput

_LONGEST_PAUSE = 60.0
"""Seconds between two pieces of an answer that is shown at its recorded pace, at most."""


class Replays:
    """Which recording answers a question. Safe to call from any thread.

    Several answers to one request come in the order in which they were given: those of one run of the cell that asks,
    the latest there is, where it is known which cell that was.
    """

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._shelves = list(shelves)
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], int] = {}
        self._runs: dict[str, list[str]] = {}
        self._paid: set[str] = set()
        self._shown: dict[str, Receipt] = {}

    @property
    def shown(self) -> dict[str, Receipt]:
        """The receipts of the recordings that were found so far, by their ids, marked as replayed."""
        with self._lock:
            return dict(self._shown)

    def add(self, shelf: Shelf) -> None:
        """Look there too, where the others have nothing."""
        self._shelves.append(shelf)

    def paid(self, receipt_id: str) -> None:
        """An answer was paid for just now: where no run of a cell tells it from earlier ones, it is not shown again."""
        self._paid.add(receipt_id)

    def find(self, question: Question) -> Recording | None:
        """The recording that answers a question, or None. Blocks.

        Raises:
            ProofError: there is one, and it is not what was signed.
        """
        key = request_key(question.path, question.model, question.body)
        where = question.execution
        with self._lock:
            number = self._asked.get((where.run, key), 0)
            runs = self._runs.setdefault(key, [])
            if where.run not in runs:
                runs.append(where.run)
            turn = runs.index(where.run)
        for shelf in self._shelves:
            group = _group([one for one in shelf.recorded(key) if self._is_earlier(one, where)], where, turn)
            if number < len(group):
                _check(group[number], question)
                receipt = replace(group[number].receipt, replayed=True)
                with self._lock:
                    self._asked[where.run, key] = number + 1
                    self._shown[receipt.receipt_id] = receipt
                return group[number]
        return None

    def said_after(self, receipt: Receipt) -> list[dict[str, Any]]:
        """What was said to the model after this answer, in the same turn: results of functions, or a correction.

        Empty where the turn ended with it, or it is not known how it went on. Blocks.
        """
        for shelf in self._shelves:
            following = shelf.following(receipt)
            if following is not None:
                before, after = receipt.messages, following.messages
                if after[: len(before)] == before:
                    return [dict(one) for one in after[len(before) + 1 :]]
        return []

    def _is_earlier(self, recording: Recording, where: Execution) -> bool:
        """Not of the very run that asks: the second question of a loop is another one than the first."""
        if recording.receipt.receipt_id in self._paid and not recording.execution.run:
            return False
        return not where.run or recording.execution.run != where.run

    def times(self, question: Question) -> int:
        """How often the question's request is recorded. Blocks."""
        key = request_key(question.path, question.model, question.body)
        return sum(len(shelf.recorded(key)) for shelf in self._shelves)


def missing(question: Question, times: int) -> NotRecorded:
    """Nothing is recorded for a question that was not shown yet, and nothing may be paid. It is recorded so often."""
    messages = question.body.get("messages") or [{"content": question.body.get("prompt", "")}]
    start = " ".join(str(messages[-1].get("content", "")).split())
    asked = f"Cell {question.cell}" if question.cell else "This call"
    what = "more often than it is recorded" if times else "what is not recorded"
    why = "" if times else "Its prompt, a value in it or a parameter was changed, or it never ran here. "
    return NotRecorded(
        f"{asked} asks {question.model} {what}: {start[:60]!r}{'…' if len(start) > 60 else ''}.",
        money="Nothing was paid: OG_REPLAY (--replay) is 'only'.",
        remedy=f"{why}To ask and pay for it, use --replay auto.",
    )


async def replayed(
    recording: Recording, question: Question, progress: Progress, *, paced: bool
) -> AsyncGenerator[StreamChunk, None]:
    """The chunks of a recorded answer; the last has the whole of it in `.output`."""
    progress.note("replaying")
    receipt = recording.receipt
    began = time.monotonic()
    whole = ((0.0, receipt.text),) if receipt.text else ()
    for at, text in (paced and recording.deltas) or whole:
        await asyncio.sleep(min(max(at - (time.monotonic() - began), 0.0), _LONGEST_PAUSE))
        yield StreamChunk([StreamChoice(StreamDelta(content=text, role="assistant"))], model=question.body["model"])
    output = output_of(recording)
    final = StreamChunk(
        [StreamChoice(StreamDelta(), finish_reason=receipt.finish_reason)],
        model=question.body["model"],
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
    """A recorded answer as the result that it was; its receipt is the one that was paid, marked as replayed."""
    receipt = replace(recording.receipt, replayed=True)
    output = result_of(receipt, lambda: receipt)
    output.images = list(recording.images) or None
    return output


def result_of(receipt: Receipt, lookup: Callable[[], Receipt]) -> TextGenerationOutput:
    """What a receipt tells of a result; `lookup` gives the receipt as it stands."""
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
    )
    output._lookup = lookup
    return output


def _usage(receipt: Receipt) -> dict[str, int] | None:
    prompt, completion = receipt.prompt_tokens, receipt.completion_tokens
    if prompt is None or completion is None:
        return None
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _group(candidates: Sequence[Recording], where: Execution, turn: int) -> Sequence[Recording]:
    """Those that answer one run of a cell, in their order."""
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
    told = same or any(one.execution.cell or one.execution.source for one in candidates)
    # Of cells that are not known, the first that asks this gets what the first got, and so on.
    return groups[-1] if told else groups[min(turn, len(groups) - 1)]


def _check(recording: Recording, question: Question) -> None:
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
