"""A PostgreSQL server of one's own, on a free port of this machine, for as long as it is needed."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

USER, PASSWORD = "og", "s3cret/p@ss:word"
_PLACES = "/usr/lib/postgresql/*/bin"


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest that are here; None where there are none."""
    found = sorted(Path("/").glob(_PLACES[1:]), key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).resolve().parent if on_path else None


class Server:
    """A server with one user, who has a password.

    Args:
        settings: of the server, as in its configuration.
    """

    def __init__(self, **settings: str) -> None:
        there = binaries()
        assert there is not None, "PostgreSQL is not installed"
        self._programs, self._settings = there, settings
        self._folder = Path(tempfile.mkdtemp(prefix="og-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        word = self._folder / "word"
        word.write_text(PASSWORD)
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
            for path in (self._folder, word):
                os.chown(path, user.pw_uid, user.pw_gid)
        arguments = ["-U", USER, "-A", "scram-sha-256", "--pwfile", str(word), "-E", "UTF8", "--no-locale", "-N"]
        self._run("initdb", "-D", str(self._folder / "data"), *arguments)
        self.start()
        return self

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, cwd="/", timeout=120, check=False, **self._as)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start the server, on the port that it had before."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        settings: Sequence[str] = [
            part
            for name, value in {
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                **self._settings,
            }.items()
            for part in ("-c", f"{name}={value}")
        ]
        command = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), *settings]
        log = (self._folder / "log").open("wb")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)
        end = time.monotonic() + 60
        while (
            "ready to accept connections" not in (self._folder / "log").read_text().rpartition("starting PostgreSQL")[2]
        ):
            assert time.monotonic() < end, (self._folder / "log").read_text()
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.05)

    def processor(self) -> float:
        """Return seconds of a processor that all of the server's processes took; 0 where the system does not say."""
        if self._process is None:
            return 0.0
        taken = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(path.parent.name) == self._process.pid:
                    taken += sum(map(int, fields[11:15]))  # with those that have ended
                elif int(fields[1]) == self._process.pid:
                    taken += sum(map(int, fields[11:13]))
        return taken / os.sysconf("SC_CLK_TCK")

    def stop(self, *, kill: bool = False) -> None:
        """End the server: its clients are cut off. `kill` gives it no time to write anything."""
        if self._process is not None:
            if kill:
                self._process.send_signal(9)
            else:
                self._process.send_signal(2)  # SIGINT: fast
            self._process.wait(60)
            self._process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with suppress(OSError):
            shutil.rmtree(self._folder)

    def url(self, schema: str = "") -> str:
        """Return the URL of a ledger that nobody has used yet."""
        schema = schema or f"og_{secrets.token_hex(6)}"
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/postgres?schema={schema}"
