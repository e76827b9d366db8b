"""What Windows does not have is not touched: its modules, signals and calls are taken away from a Python here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import og_magics

SIGNALS = {
    "SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGQUIT", "SIGPIPE", "SIGTSTP", "alarm",
    "pthread_kill", "pthread_sigmask", "setitimer", "sigwait",
}  # fmt: skip
CALLS = {
    "fork", "forkpty", "kill", "killpg", "getuid", "geteuid", "getgid", "getegid", "uname", "setsid", "getpgid",
    "getpgrp", "register_at_fork", "chown", "fchown", "fchmod", "mkfifo", "nice", "sync", "statvfs", "wait", "pread",
    "pwrite", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_SYNC", "O_NONBLOCK", "sysconf",
}  # fmt: skip
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "crypt", "curses", "readline"}

GUARDED = {
    ("core/fork.py", "register_at_fork"): "hasattr",
    ("devnet/command.py", "kill"): "os.name",
    ("ledger/private_file.py", "geteuid"): "hasattr",
}
"""Where one of these is named: behind a look whether it is there."""

_TAKE_AWAY = """
import asyncio, concurrent.futures, importlib.util, os, pkgutil, signal, subprocess, sys, tempfile, threading

# What others import for themselves is theirs; each of them has a form for Windows.
import IPython.testing.globalipapp, httpx, ipywidgets, nbclient, pandas, starlette, uvicorn, web3, x402
LANGCHAIN = importlib.util.find_spec("langchain_core") is not None
if LANGCHAIN:
    import langchain_core.language_models
import eth_account, eth_tester, coincurve, jsonschema, pyarrow.parquet, tenacity, platformdirs
shell = IPython.testing.globalipapp.start_ipython()

for name in SIGNALS:
    delattr(signal, name)
for name in CALLS:
    delattr(os, name)
os.supports_effective_ids = set()
for name in MODULES:
    sys.modules[name] = None
"""

_IMPORTS = """
import og_magics

found = [module.name for module in pkgutil.walk_packages(og_magics.__path__, "og_magics.")]
for name in found:
    if not name.endswith("__main__") and not (name.startswith("og_magics.langchain") and not LANGCHAIN):
        importlib.import_module(name)
assert len(found) > 150, found
"""

_RUNS = """
shell.run_line_magic("load_ext", "og_magics")
shell.run_line_magic("og", "use -m gpt-5")

from og_magics.core.types import ChatRequest, x402SettlementMode
from og_magics.devnet import command
from og_magics.ledger import FrameCache, Ledger
from og_magics.ledger.private_file import open_to_others
from og_magics.session.doctor import diagnose

with Ledger(".og/n.db") as ledger:
    ledger.open(ChatRequest("/p", "openai/gpt-5", {}, x402SettlementMode.PRIVATE), "devnet", 1.0)
    assert len(FrameCache(ledger).current()) == 1
    assert ledger.audit().ok
parts = {part.name: part for part in diagnose(None, offline=True)}
assert not any("could not be looked at" in part.summary for part in parts.values()), parts
os.name = "nt"
assert not command._is_gone(4, False)
os.name = "posix"
shell.run_line_magic("unload_ext", "og_magics")
stop = threading.Event()
command._set_on_signals(stop)
signal.raise_signal(signal.SIGTERM)
assert stop.wait(10)
print("done")
"""


@pytest.mark.ci
def test_every_module_is_imported_and_the_extension_runs_without_what_windows_lacks(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(Path(og_magics.__file__).parents[1]), "HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", f"{SIGNALS = }; {CALLS = }; {MODULES = }\n{_TAKE_AWAY}{_IMPORTS}{_RUNS}"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "done"


def test_no_module_names_what_windows_lacks_but_behind_a_look_whether_it_is_there() -> None:
    root, found = Path(og_magics.__file__).parent, set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            of = node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else ""
            if isinstance(node, ast.Attribute) and node.attr in {"os": CALLS, "signal": SIGNALS}.get(of, ()):
                found.add((path.relative_to(root).as_posix(), node.attr))
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {node.module} if isinstance(node, ast.ImportFrom) and not node.level else set()
                names |= {one.name for one in node.names} if isinstance(node, ast.Import) else set()
                found |= {(path.relative_to(root).as_posix(), str(name)) for name in names & MODULES}
    assert found == set(GUARDED)
    for (path_, _), guard in GUARDED.items():
        assert guard in (root / path_).read_text()
