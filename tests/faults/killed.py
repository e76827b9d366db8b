"""Processes that are killed in the middle of a paid call, and the ones that take over their ledgers.

Run with a plan, the path of a JSON file, as the first argument. One process imports everything and starts no thread; it forks one process
a payer, which works through that payer's jobs one after the other: fork a child that asks, kill it, fork another one on
the same ledger that asks something else and settles. One line of JSON comes out for each job.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import x402.http.utils
import x402.mechanisms.evm.upto.client
import x402.schemas  # noqa: F401 - imported before the kill, so that none of them hits an import

from og_magics import LLM, Settings
from og_magics.core.runtime import runtime
from og_magics.ledger import Ledger
from og_magics.payment import Wallet

MODEL = "openai/gpt-5"
STATES = {
    "asking": "before signing",
    "signing": "before signing",
    "signed": "signed, not in the ledger",
    "journaled": "in the ledger, not sent",
    "sent": "sent, not answered",
    "answering": "amid the answer",
    "serving": "before the final write",
    "served": "after the final write",
}
"""The furthest checkpoint that a killed process passed, and what that is called."""

_HANGS = 60.0
_PAID = ("payment-signature", "x-upto-session")

Job = Mapping[str, Any]


class Checkpoints:
    """Tells every checkpoint to the one who kills, and stops for good at the chosen one."""

    def __init__(self, pipe: int, target: str, occurrence: int) -> None:
        self._pipe, self._target, self._left = pipe, target, occurrence
        self.armed = False

    def __call__(self, name: str) -> None:
        if not self.armed:
            return
        os.write(self._pipe, f"{name}\n".encode())
        if name == self._target:
            self._left -= 1
            if self._left == 0:
                self.stop()

    def stop(self) -> None:
        """Holds whatever is held, until the kill; what other threads still do is no checkpoint any more."""
        self.armed = False
        while True:
            time.sleep(60)

    def around(self, owner: type, name: str, before: str = "", after: str = "") -> None:
        """Put checkpoints before and after a method."""
        method: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(method)
        def passing(*args: Any, **kwargs: Any) -> Any:
            if before:
                self(before)
            result = method(*args, **kwargs)
            if after:
                self(after)
            return result

        setattr(owner, name, passing)

    def on_the_wire(self) -> None:
        """Put checkpoints where a paid request has left, and where the body of a whole answer begins."""
        handle = httpx.AsyncHTTPTransport.handle_async_request

        async def handled(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            streams = b'"stream":true' in request.content.replace(b" ", b"")

            async def trace(event: str, _info: Any) -> None:
                if event == "http11.send_request_body.complete":
                    self("sent")
                elif event == "http11.receive_response_body.started" and not streams:
                    self("answering")

            if any(name in request.headers for name in _PAID):
                request.extensions = {**request.extensions, "trace": trace}
            return await handle(transport, request)

        httpx.AsyncHTTPTransport.handle_async_request = handled


def asks(job: Job, pipe: int) -> None:
    """The one that is killed."""
    reached = Checkpoints(pipe, job["target"], occurrence(job))
    reached.around(Wallet, "sign", "signing", "signed")
    reached.around(Ledger, "authorize", after="journaled")
    reached.around(Ledger, "serve", "serving", "served")
    reached.on_the_wire()
    llm = opened(job)
    if job["warm"]:  # so that the question is sent with a session and needs no signature
        llm.chat_sync(MODEL, said(f"{job['name']}: a question before"), max_tokens=3)
    reached.armed = True
    reached("asking")
    messages = said(f"{job['name']}: the question")
    if job["stream"]:
        for _ in llm.chat_sync(MODEL, messages, stream=True):
            reached("answering")
    else:
        llm.chat_sync(MODEL, messages)
    reached.stop()


def takes_over(job: Job, pipe: int) -> None:
    """The next one on the same ledger: other questions in a session of their own, and a look at the chain."""
    llm = opened(job)
    whole = llm.chat_sync(MODEL, said(f"{job['name']}: one more"), max_tokens=4)
    *_, last = llm.chat_sync(MODEL, said(f"{job['name']}: and another"), max_tokens=5, stream=True)
    open_still = llm.settle(job["settle"])
    runtime.wait(llm.close(), 10)
    texts = [whole.text, last.output.text]
    os.write(pipe, json.dumps({"texts": texts, "proofs": [whole.receipt.enclave_ok, last.receipt.enclave_ok],
                               "open": open_still}).encode())  # fmt: skip


def looks(job: Job, pipe: int) -> None:
    """At the end: each ledger looks once at the chain, on which everything is settled."""
    for ledger in job["ledgers"]:
        llm = opened({**job, "ledger": ledger})
        llm.settle(0)
        runtime.wait(llm.close(), 10)
    os.write(pipe, b"{}")


def opened(job: Job) -> LLM:
    settings = Settings(devnet=job["devnet"], network="devnet", ledger=job["ledger"], timeout=30.0)
    return LLM(job["key"], settings=settings)


def said(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def forked(work: Callable[[Job, int], None], job: Job) -> tuple[int, int]:
    """A child that does this work: its process id, and the pipe on which it tells."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        work(job, writer)
    except BaseException:
        os.write(writer, json.dumps({"failed": traceback.format_exc()}).encode())
    finally:
        os._exit(0)


def read(pipe: int, within: float) -> str:
    """What comes next; "" at the end, or when nothing comes in time."""
    ready, _, _ = select.select([pipe], [], [], max(within, 0))
    return os.read(pipe, 65536).decode() if ready else ""


def kill(job: Job) -> dict[str, Any]:
    """Let a child ask and kill it: at its checkpoint, or after a time if it has none."""
    child, pipe = forked(asks, job)
    passed: list[str] = []
    failed = ""
    until = time.monotonic() + (_HANGS if job["target"] else job["after"])
    while not failed and not (job["target"] and passed.count(job["target"]) >= occurrence(job)):
        told = read(pipe, until - time.monotonic())
        steps, failure, what = told.partition("{")  # it may fail right after a checkpoint
        passed += steps.split()
        failed = failure + what
        if not told:
            break
    if job["target"] == "sent":  # the one who asked is stopped; the gateway goes on
        time.sleep(job["linger"])
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not failed:  # what was told between the last look and the kill
        while told := read(pipe, _HANGS):
            passed += told.split()
    os.close(pipe)
    furthest = max(["asking", *passed], key=list(STATES).index)  # several threads tell
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    missed = bool(job["target"]) and furthest != job["target"]
    return {"state": STATES[furthest], "killed": killed, "missed": missed, "failed": failed}


def occurrence(job: Job) -> int:
    """At which passing of its checkpoint it is killed: a stream has one with each chunk."""
    return int(job["chunk"]) if job["stream"] and job["target"] == "answering" else 1


def finished(work: Callable[[Job, int], None], job: Job) -> Any:
    """The result of a child that is let live."""
    child, pipe = forked(work, job)
    told, until = "", time.monotonic() + _HANGS
    while piece := read(pipe, until - time.monotonic()):
        told += piece
    if not told:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(pipe)
    return json.loads(told) if told else {"failed": f"it did not end within {_HANGS} s"}


def lane(jobs: list[Job], out: int) -> None:
    """All jobs of one payer, one after the other."""
    for job in jobs:
        if "ledgers" in job:
            line = finished(looks, job)
        else:
            line = {"name": job["name"], **kill(job), "next": finished(takes_over, job)}
        os.write(out, (json.dumps(line) + "\n").encode())  # at once: several lanes share the pipe


def main() -> None:
    lanes = json.loads(Path(sys.argv[1]).read_text())
    gc.freeze()  # what is imported is not copied into the children by a collection
    children = []
    for jobs in lanes:
        child = os.fork()
        if not child:
            try:
                lane(jobs, sys.stdout.fileno())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def drawn(seed: int, count: int) -> list[dict[str, Any]]:
    """`count` ways to be killed: three of four at a checkpoint, each in turn, the others at any time."""
    chance = random.Random(seed)
    targets = [target for target in STATES if target != "asking"]
    drawn = []
    for number in range(count):
        timed = number % 4 == 3
        target = "" if timed else targets[(number - number // 4) % len(targets)]
        warm = target not in ("signing", "signed", "journaled") and chance.random() < 0.3
        drawn.append(
            {
                "target": target,
                "after": chance.uniform(0, 0.5),
                "linger": chance.uniform(0, 0.15),
                "warm": warm,
                "stream": chance.random() < 0.6,
                "chunk": chance.randint(1, 15),
            }
        )
    return drawn


if __name__ == "__main__":
    main()
