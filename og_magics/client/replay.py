"""Replay: a recorded answer, checked against its proof, in place of a paid call."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..core.allowance import never_pays
from ..core.cell_context import CellExecution
from ..core.errors import LedgerError, NotRecorded, ProofError
from ..core.fork import new_lock
from ..core.progress import Progress
from ..core.receipt import Receipt
from ..core.recording import Recording, RecordingSource
from ..core.types import ChatRequest, StreamChoice, StreamChunk, StreamDelta, StreamUsage, TextGenerationOutput
from ..verification import check_enclave, evidence_of
from ..verification.receipt_attestation import ReceiptAttestations

_LONGEST_PAUSE = 60.0
"""Seconds between two pieces of an answer that is shown at its recorded pace, at most."""


class Replays:
    """The choice of the recording that answers a request. Safe to call from any thread.

    Several answers to one request come in the order in which they were given: those of one run of the cell that asks,
    the latest there is, where it is known which cell that was. What is asked more often than it is recorded gets the
    last of them again: an answer that was paid a moment ago, in the same cell or script, is recorded too.

    A signature is checked each time, and what the recording says of it counts for nothing. Its key has to be one that a
    ledger among the sources, or the registry, knows.

    Args:
        registered: asks the registry for the receipt's enclave and its key; it may block. None where there is none.
    """

    def __init__(self, sources: Sequence[RecordingSource], registered: Callable[[Receipt], bool] | None = None) -> None:
        self._sources = list(sources)
        self._registered = registered
        self._named: dict[str, RecordingSource] = {}
        self._keys: set[tuple[str, str]] = set()
        self.open_named: Callable[[str], RecordingSource] | None = None
        """Opens the notebooks that a request's `replay_from` names; None where nothing here reads notebooks."""
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

    def find(self, question: ChatRequest, *, in_place_of_paying: bool = False) -> Recording | None:
        """Return the recording that answers a request, with the proof as it was checked now; or None. Blocks.

        Args:
            in_place_of_paying: only what a ledger of this notebook wrote, an enclave signed whose key is known here, or
                stands signed in a notebook that Jupyter trusts: this user ran it. Otherwise all that is not disproved,
                and no network is asked.

        Raises:
            ProofError: there is one, and it is not what was signed.
            LedgerError: a notebook that the request names cannot be read.
        """
        key = question.fingerprint
        where = question.execution
        with self._lock:
            number = self._asked.get((where.run, key), 0)
            runs = self._runs.setdefault(key, [])
            if where.run not in runs:
                runs.append(where.run)
            turn = runs.index(where.run)
        for source in self._sources_of(question):
            recorded = source.recorded(key)
            earlier = [one for one in recorded if not where.run or one.execution.run != where.run]
            group = _group(earlier or recorded, where, turn)
            if group:
                found = group[min(number, len(group) - 1)]
                signed, reason = _checked(found, question)
                held = signed and (found.own or self._is_known(found.receipt, ask=in_place_of_paying))
                trusted = signed and in_place_of_paying and not held and source.trusts(found.receipt)
                if in_place_of_paying and not (held or found.own or trusted):
                    continue
                receipt = _as_checked(found, held=bool(held), reason=reason)
                if not found.own:
                    receipt = self._as_attested(receipt, source)
                with self._lock:
                    self._asked[where.run, key] = number + 1
                    self._shown[receipt.receipt_id] = receipt
                return replace(found, receipt=receipt)
        return None

    def attestations(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the documents that receipts name by these hashes, as far as a source has them. Blocks."""
        with self._lock:
            sources = [*self._sources, *self._named.values()]
        found: dict[str, bytes] = {}
        for source in reversed(sources):  # the ledger's last: it has the word
            with contextlib.suppress(LedgerError):
                found |= source.attestations(hashes)
        return found

    def holds(self, question: ChatRequest) -> bool:
        """Return True where an answer of an enclave that is known here is recorded. Nothing is shown or sent."""
        key = question.fingerprint
        recorded = ((one, source) for source in self._sources_of(question) for one in source.recorded(key))
        return any(
            one.own or self._is_known(one.receipt, ask=False) or source.trusts(one.receipt) for one, source in recorded
        )

    def messages_after(
        self, receipt: Receipt, question: ChatRequest, *, in_place_of_paying: bool = False
    ) -> list[dict[str, Any]]:
        """Return what was sent to the model after this answer, in the same turn: results of functions, or a correction.

        Empty where the turn ended with it, or it is not known how it went on. Blocks.

        Args:
            question: that the answer was shown for.
            in_place_of_paying: as in `find`: the call after it has to be one of which as much is known.
        """
        for source in self._sources_of(question):
            following = source.following(receipt)
            if following is not None and (following.own or self._may_follow(following, source, in_place_of_paying)):
                before, after = receipt.messages, following.receipt.messages
                if after[: len(before)] == before:
                    return [dict(one) for one in after[len(before) + 1 :]]
        return []

    def _sources_of(self, question: ChatRequest) -> list[RecordingSource]:
        """Return the sources of a request: those of the notebook, then the files that it names."""
        names = question.replay_from
        if not names or self.open_named is None:
            return list(self._sources)
        with self._lock:
            if names not in self._named:
                self._named[names] = self.open_named(names)
            return [*self._sources, self._named[names]]

    def _may_follow(self, recording: Recording, source: RecordingSource, in_place_of_paying: bool) -> bool:
        """Return True if what a file says was sent next may be taken for it: nothing disproves it."""
        ok = check_enclave(evidence_of(recording.receipt)).ok
        if recording.problem or ok is False:
            return False
        if not in_place_of_paying:
            return True
        return ok is True and (self._is_known(recording.receipt, ask=True) or source.trusts(recording.receipt))

    def _as_attested(self, receipt: Receipt, source: RecordingSource) -> Receipt:
        """Return a file's receipt with the attestation that it names if it holds, else without."""
        if receipt.attestation_hash is None:
            return receipt
        found = source.attestations([receipt.attestation_hash])
        holds = ReceiptAttestations(found).check(receipt, None, None).ok
        return receipt if holds else replace(receipt, attestation_hash=None)

    def _is_known(self, receipt: Receipt, *, ask: bool) -> bool:
        """Return True if the ledgers or the registry know the key of a receipt whose signature holds.

        Args:
            ask: the registry may be asked.
        """
        enclave = receipt.network, (receipt.tee_id or "").lower()
        if enclave in self._keys:
            return True
        known = any(source.knows(receipt) for source in self._sources)
        if not known and ask and self._registered is not None:
            known = self._registered(receipt)
        if known:
            self._keys.add(enclave)
        return known


async def recording_for(question: ChatRequest, replays: Callable[[], Replays], mode: str) -> Recording | None:
    """Return the recorded answer to show in place of asking, None to ask; `mode` holds where the request names none.

    Raises:
        NotRecorded: there is none, and nothing may be paid.
        ProofError: there is one, and it is not what was signed.
    """
    mode = replay_mode(question, mode)
    if mode == "off":
        return None
    found = await asyncio.to_thread(lambda: replays().find(question, in_place_of_paying=mode == "auto"))
    if found is None and mode == "only":
        raise missing(question)
    return found


def replay_mode(question: ChatRequest, mode: str) -> str:
    """Return "auto", "only" or "off", as it holds for a request; `mode` is that of the settings."""
    return "only" if never_pays() else question.replay or mode


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
        f"To ask and pay for it, {how}. Answers of another file are shown where --replay-from or OG_REPLAY_FROM names "
        "it; where it is not known which notebook runs, that is this one's own file too.",
    )


def results_missing(question: ChatRequest, calls: Sequence[Mapping[str, Any]]) -> NotRecorded:
    """Return the error for a recorded answer that asks for functions whose results are not recorded."""
    functions = [call.get("function") for call in calls]
    names = ", ".join(str(one.get("name"))[:60] for one in functions[:3] if isinstance(one, Mapping))
    asked = f"Cell {question.cell}" if question.cell else "This call"
    how = "start the kernel without OG_REPLAY=only" if never_pays() else "use --replay off"
    return NotRecorded(
        f"{asked} shows a recorded answer that asks for functions ({names}), and their results are not recorded. "
        "A replay calls none: its arguments are a file's.",
        money="Nothing was paid.",
        remedy=f"To ask and pay for it anew, {how}.",
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


def _checked(recording: Recording, question: ChatRequest) -> tuple[bool, str]:
    """Return whether the signature of a recording holds with the key that it names, and what was found.

    Raises:
        ProofError: something in it is disproved.
    """
    receipt = recording.receipt
    check = check_enclave(evidence_of(receipt))
    problem = recording.problem or (check.reason if check.ok is False else "")
    if problem:
        when = datetime.fromtimestamp(receipt.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
        cell = question.cell or receipt.cell
        raise ProofError(
            f"The recorded answer to {f'cell {cell}' if cell else 'this call'}, of {when}, is not what was signed: "
            f"{problem}",
            money="Nothing was paid, and it is not shown.",
            remedy="It was changed after it was recorded. To ask anew and pay, use --replay off.",
        )
    return check.ok is True, check.reason


def _as_checked(recording: Recording, *, held: bool, reason: str) -> Receipt:
    """Return a recording's receipt as it is shown again: with the proof as it was checked now."""
    receipt = recording.receipt
    if not held and receipt.tee_signature and not recording.own:
        reason = f"{reason} Nobody here knows its key: neither the ledger of this notebook nor, if asked, the registry."
    status = "settled" if receipt.status == "verified" and not recording.own else receipt.status
    return replace(receipt, replayed=True, enclave_ok=held or None, enclave_reason=reason, status=status)
