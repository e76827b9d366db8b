"""Servers that send without end: `python -m tests.limits` prints what each cost, and what the user read.

Each attack is met by a process of its own, whose memory is measured from the first answer on; a server of this process
plays the attacker.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST = 150
"""MiB that an attack may cost a process."""
_PIECE = b"x" * 65536
_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
_SSE, _JSON = _HEAD + b"text/event-stream\r\n\r\n", _HEAD + b"application/json\r\n\r\n"
Send = Callable[[bytes], None]


def _event(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], "model": "gpt-5"}).encode() + b"\n\n"


def _for_ever(send: Send, head: bytes, piece: bytes, pause: float = 0.0) -> None:
    send(head)
    while True:
        send(piece)
        time.sleep(pause)


def _calls(send: Send) -> None:
    send(_SSE)
    for number in range(3000):
        function = {"name": "wait", "arguments": "{}"}
        send(_event({"tool_calls": [{"index": number, "id": f"c{number}", "type": "function", "function": function}]}))
    send(_event({}, "tool_calls") + b"data: [DONE]\n\n")


ATTACKS: dict[str, Callable[[Send], None]] = {
    "an unstreamed body without end": lambda send: _for_ever(send, _JSON, b'{"choices": ["' + _PIECE),
    "an error's body without end": lambda send: _for_ever(send, _JSON.replace(b"200 OK", b"400 Bad"), _PIECE),
    "an answer of far more than max_tokens": lambda send: _for_ever(send, _SSE, _event({"content": "x" * 60_000})),
    "one event without end": lambda send: _for_ever(send, _SSE + b"data: ", _PIECE),
    "comments without end": lambda send: _for_ever(send, _SSE, b": keep-alive\n\n", 0.01),
    "interim answers (1xx) without end": lambda send: _for_ever(send, b"", b"HTTP/1.1 103 Early\r\n\r\n", 0.01),
    "headers without end": lambda send: _for_ever(send, b"HTTP/1.1 200 OK\r\n", b"X-A: " + _PIECE[:4096] + b"\r\n"),
    "a byte now and then": lambda send: _for_ever(send, _SSE, b"d", 0.2),
    "empty data without end": lambda send: _for_ever(send, _SSE, b"data:\n" * 4096),
    "4 GiB in a few bytes (gzip)": lambda send: send(
        _JSON.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + gzip.compress(b"x" * (64 << 20), 9) * 8
    ),
    "events after the end without end": lambda send: _for_ever(
        send, _SSE + _event({"content": "done"}, "stop") + b"data: [DONE]\n\n", b"data: more\n\n" * 999
    ),
    "3,000 function calls": _calls,
}


@dataclass
class Cost:
    """What an attack cost: bytes that were sent, seconds, MiB and threads over the start; and what the user read."""

    attack: str
    sent: int
    seconds: float
    memory: float
    threads: int
    read: str

    @property
    def line(self) -> str:
        """The row of the table."""
        size = f"{self.sent / 2**20:.1f} MiB"
        costs = f"{size:>12} {self.seconds:6.1f} s {self.memory:6.0f} MiB {self.threads:5} threads"
        return f"{self.attack:<40} {costs}  {self.read[:110]}"


class Attacker:
    """A server that answers a question as an attack says."""

    def __init__(self, attack: Callable[[Send], None]) -> None:
        self._attack, self.sent = attack, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        def send(data: bytes) -> None:
            connection.sendall(data)
            self.sent += len(data)

        with connection, contextlib.suppress(OSError):
            head = connection.recv(1 << 20)
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            while length and len(head.partition(b"\r\n\r\n")[2]) < int(length[1]):
                head += connection.recv(1 << 20)
            if head.startswith(b"POST"):
                if b'"tool"' in head or b'"role": "tool"' in head or b'"role":"tool"' in head:
                    send(_SSE + _event({"content": "done"}, "stop") + b"data: [DONE]\n\n")
                    return
                self._attack(send)
            elif b"/v1/models" in head:
                connection.sendall(_JSON + b'{"data": [{"id": "gpt-5"}]}')
            else:
                connection.sendall(_JSON.replace(b"200 OK", b"404 No") + b"{}")

    def close(self) -> None:
        self._socket.close()


def meet(name: str) -> Cost:
    """Let a process meet an attack."""
    attacker = Attacker(ATTACKS[name])
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OG_", "JPY_"))}
    with tempfile.TemporaryDirectory() as folder:
        env |= {
            "OG_GATEWAY_URL": attacker.url, "OG_TIMEOUT": "2", "OG_CALL_TIMEOUT": "6", "OG_RETRIES": "0",
            "OG_LEDGER": str(Path(folder) / "l.db"), "HOME": folder,
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.limits", "--meet", "stream" if "unstreamed" not in name else "whole"]
        done = subprocess.run(
            command, env=env, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=False
        )
    attacker.close()
    assert done.returncode == 0, done.stderr
    return Cost(name, attacker.sent, **json.loads(done.stdout.splitlines()[-1]))


def _met(form: str) -> None:
    """Ask once, and print what it cost."""
    import og_magics as og
    from og_magics.session import current

    called = []

    def wait() -> str:
        called.append(threading.active_count())
        time.sleep(0.05)
        return "waited"

    _ = current().llm.network  # what is loaded and started for any question is not of the attack
    before, began = _peak(), time.monotonic()
    try:
        read = og.ask("hi", model="openai/gpt-5", stream=form == "stream", max_tokens=20, tools=[wait]).text
    except Exception as error:
        read = f"{type(error).__name__}: {error}"
    cost = {"seconds": time.monotonic() - began, "memory": (_peak() - before) / 1024, "threads": max(called, default=0)}
    print(json.dumps(cost | {"read": read}))


def _peak() -> int:
    """The most memory that this process has had, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def table() -> Iterator[Cost]:
    """Meet all attacks, one after the other."""
    for name in ATTACKS:
        yield meet(name)


if __name__ == "__main__":
    if "--meet" in sys.argv:
        _met(sys.argv[-1])
    else:
        costs = []
        for one in table():
            print(one.line, flush=True)
            costs.append(one)
        sys.exit(any(one.memory > MOST for one in costs))
