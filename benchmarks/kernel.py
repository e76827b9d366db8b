"""A real kernel, seen from its front end: what a cell took, and every byte that came."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

_nb: Any = nbformat  # it has no types
_PATIENCE = 120_000  # milliseconds without a message
_DISPLAYS = ("display_data", "update_display_data")


@dataclass(frozen=True, slots=True)
class Message:
    """One message from the kernel: seconds after the cell was sent, its type and content, its bytes on the wire."""

    at: float
    type: str
    content: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that has run, and all that the kernel published of it. `wall`: seconds until it was idle again."""

    source: str
    wall: float
    messages: list[Message]

    @property
    def wire(self) -> int:
        """Bytes of all its messages."""
        return sum(message.size for message in self.messages)

    @property
    def printed(self) -> str:
        """What it wrote to stdout."""
        return "".join(m.content["text"] for m in self.messages if m.type == "stream")

    @property
    def displays(self) -> list[float]:
        """When something was displayed, in seconds after the cell was sent."""
        return [m.at for m in self.messages if m.type in _DISPLAYS]

    def shown(self, beginning: str) -> float:
        """Seconds until a display began with this text."""
        for message in self.messages:
            if message.content.get("data", {}).get("text/markdown", "").startswith(beginning):
                return message.at
        raise RuntimeError(f"no display begins with {beginning!r}")

    @property
    def outputs(self) -> list[Any]:
        """As a notebook keeps them: a display that was updated counts in its last form."""
        kept: dict[str, Any] = {}
        for message in self.messages:
            if message.type in _DISPLAYS:
                content = message.content
                name = content.get("transient", {}).get("display_id") or str(len(kept))
                kept[name] = _nb.v4.new_output("display_data", content["data"], metadata=content["metadata"])
        return list(kept.values())

    def saved(self, *, without: str = "") -> int:
        """Bytes that its outputs add to a saved notebook, all or without one media type."""
        outputs = [_nb.from_dict(output) for output in json.loads(json.dumps(self.outputs))]
        for output in outputs:
            output["data"].pop(without, None)
        return _notebook_size(self.source, outputs) - _notebook_size(self.source, [])


class Front:
    """The front end of one kernel."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, source: str) -> Cell:
        """Run a cell and collect what the kernel publishes until it is idle again.

        Raises:
            RuntimeError: the cell raised, or the kernel went silent.
        """
        channel, session = self._client.iopub_channel.socket, self._client.session
        messages: list[Message] = []
        began = time.perf_counter()
        asked = self._client.execute(source)
        while True:
            if not channel.poll(_PATIENCE):
                raise RuntimeError(f"the kernel was silent for {_PATIENCE / 1000:.0f} seconds")
            frames = channel.recv_multipart()
            at = time.perf_counter() - began
            _, parts = session.feed_identities(frames)
            message = session.deserialize(parts)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            messages.append(Message(at, kind, content, sum(len(frame) for frame in frames)))
            if kind == "error":
                raise RuntimeError(f"{content['ename']}: {content['evalue']}")
            if kind == "status" and content["execution_state"] == "idle":
                return Cell(source, at, messages)


@contextlib.contextmanager
def kernel(folder: str, environment: Mapping[str, str]) -> Iterator[Front]:
    """A fresh kernel of this interpreter that works in a folder."""
    manager, client = _started(folder, environment)
    try:
        yield Front(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def _started(folder: str, environment: Mapping[str, str]) -> tuple[KernelManager, Any]:
    """A kernel that answers. One that dies at its start is started again: another process may have taken its port."""
    for left in (2, 1, 0):
        manager = KernelManager(kernel_name="python3")
        # It would complain on stderr that loopback is not encrypted.
        manager.start_kernel(cwd=folder, env=dict(environment), stderr=subprocess.DEVNULL)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
        except RuntimeError:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
            if not left:
                raise
        else:
            return manager, client
    raise AssertionError


def _notebook_size(source: str, outputs: list[Any]) -> int:
    cell = _nb.v4.new_code_cell(source, outputs=outputs, id="cell")
    text: str = _nb.writes(_nb.v4.new_notebook(cells=[cell]))
    return len(text.encode())
