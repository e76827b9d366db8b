"""Processes that are forked from one which has imported what they need, in a tenth of the time that a new Python takes.

A forked kernel or command is a process of its own in every other way: its own memory, folder, environment, process
group and output. What a test says of imports or of starting up needs a real start, and starts one.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import og_magics
from og_magics.core import environment

WARM = (
    "IPython.core.completer", "ipykernel.kernelapp", "ipykernel.zmqshell", "ipywidgets", "nbformat", "pandas",
    "pyarrow.parquet", "httpx", "eth_account", "web3",
)  # fmt: skip
"""Modules to import before the first fork, beside all of og_magics."""


class ForkedProcess:
    """A forked process, with what `subprocess.Popen` has for one that it started."""

    stdin = stdout = stderr = None

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server, self.pid, self.returncode = server, pid, None  # type: tuple[ForkServer, int, int | None]

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.request({"poll": self.pid})["returncode"]
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        ends = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if ends is not None and time.monotonic() > ends:
                raise subprocess.TimeoutExpired("forked", timeout or 0)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that the others are forked from; it ends, and they with it, when it is closed."""

    def __init__(self, env: Mapping[str, str]) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(there.fileno())], env=dict(env), pass_fds=[there.fileno()]
        )
        there.close()
        self._socket = here

    def request(self, message: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """The server's reply to a request."""
        with tempfile.TemporaryFile() as body:  # an environment may be larger than a packet
            body.write(json.dumps(message).encode())
            body.flush()
            socket.send_fds(self._socket, [b"1"], [body.fileno(), *fds])
        reply = self._socket.recv(4096)
        assert reply, "the fork server ended"
        return dict(json.loads(reply))

    def fork(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: str | Path, fds: Sequence[int] = ()
    ) -> ForkedProcess:
        """Run a module as `python -m` does; `fds` are its stdin, stdout and stderr (the server's own by default)."""
        message = {"module": module, "arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}
        return ForkedProcess(self, self.request(message, fds)["pid"])

    def run(
        self, module: str, *arguments: str | Path, env: Mapping[str, str], cwd: str | Path = ".", typed: str = "",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a module to its end with `typed` as its input, and take what it printed."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(typed.encode())
            stdin.seek(0)
            words = [str(argument) for argument in arguments]
            process = self.fork(module, words, env, cwd, [stdin.fileno(), out.fileno(), err.fileno()])
            try:
                code = process.wait(timeout)
            finally:
                process.kill()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess([module, *words], code, *texts)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(30)


def _serve(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork until nobody asks any more. Returns in each child, with what it was asked to be."""
    limit = sys.getrecursionlimit()
    for name in WARM:
        importlib.import_module(name)
    for found in pkgutil.walk_packages(og_magics.__path__, "og_magics."):
        if not found.name.startswith(("og_magics.devnet", "og_magics.langchain", "og_magics.__main__")):
            importlib.import_module(found.name)
    sys.setrecursionlimit(limit)  # some of these raise it, where a kernel that imports them by our ways keeps it
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    while True:
        data, fds, *_ = socket.recv_fds(connection, 1, 4)
        if not data:
            break
        with open(fds.pop(0), "rb") as body:
            body.seek(0)
            message = json.loads(body.read())
        if "poll" in message:
            pid, status = os.waitpid(message["poll"], os.WNOHANG)
            reply = {"returncode": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            ready, is_ready = os.pipe()
            reply = {"pid": os.fork()}
            if not reply["pid"]:
                os.setsid()
                os.write(is_ready, b"1")
                os.close(ready)
                os.close(is_ready)
                connection.close()
                return message, fds
            os.read(ready, 1)  # its process group is its own: who signals it signals nobody else
            os.close(ready)
            os.close(is_ready)
            for fd in fds:
                os.close(fd)
        connection.send(json.dumps(reply).encode())
    return None


def _become(fds: list[int], module: str, arguments: list[str], env: dict[str, str], cwd: str) -> None:
    """Be the process that was asked for, to its end."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    importlib.reload(environment)  # it is imported anew, with another environment
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.path[0]  # this folder
    if asked := _serve(socket.socket(fileno=int(sys.argv[1]))):
        _become(asked[1], **asked[0])
