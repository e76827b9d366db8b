"""Real kernels on a real devnet. Nothing is replaced: a test sends cells, as a front end does, and reads what comes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from jupyter_client import AsyncKernelManager, KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning import local_provisioner
from nbclient import NotebookClient

from og_magics.core.technical_part import is_technical_part
from og_magics.devnet import Devnet

from ..forkserver import ForkServer

MIME = "application/vnd.og.receipt+json"
_HANG = 60
"""Seconds after which a kernel that says nothing is taken for dead. No test measures time with it."""


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    """Settles a second after a session's last use."""
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0.001) as running:
        yield running


@pytest.fixture(scope="session")
def prompt_devnet() -> Iterator[Devnet]:
    """Settles each call before it answers."""
    with Devnet(settle_after=0, batch_after=0.5, token_delay=0) as running:
        yield running


@pytest.fixture(scope="session")
def environment(
    bare_environment: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, str]]:
    """Makes a process's environment: a bare one, on a devnet, with an IPython that is new."""

    def make(devnet: Devnet | None, **more: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("home")
        told = {} if devnet is None else {"OG_DEVNET": json.dumps(devnet.info)}
        return bare_environment() | {"IPYTHONDIR": str(folder), "PYTHONUNBUFFERED": "1"} | told | more

    return make


FORKED, STARTED = "forked", "python3"
"""Two kernels of the Python that runs the tests: one that is forked from a process which has imported much, and one
that is started as a user's is."""


@pytest.fixture(scope="session")
def kernel_specs(tmp_path_factory: pytest.TempPathFactory) -> KernelSpecManager:
    """Knows these two kernels only, whatever else is installed on the machine."""
    folder = tmp_path_factory.mktemp("kernels")
    for name, command in {FORKED: [FORKED], STARTED: [sys.executable, "-m", "ipykernel_launcher"]}.items():
        spec = {"argv": [*command, "-f", "{connection_file}"], "display_name": "Python", "language": "python"}
        (folder / name).mkdir()
        (folder / name / "kernel.json").write_text(json.dumps(spec))
    specs = KernelSpecManager(ensure_native_kernel=False)
    specs.kernel_dirs = [str(folder)]
    return specs


@pytest.fixture(scope="session", autouse=True)
def forked_kernels(fork_server: Callable[[], ForkServer]) -> Iterator[None]:
    """Makes jupyter_client fork the kernel of that name."""
    launch = local_provisioner.launch_kernel

    def launch_or_fork(command: list[str], *, env: dict[str, str], cwd: str, **options: Any) -> Any:
        if command[0] != FORKED:
            return launch(command, env=env, cwd=cwd, **options)
        return fork_server().fork("ipykernel_launcher", command[1:], env, cwd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_provisioner, "launch_kernel", launch_or_fork)
        yield


_AS_AT_FIRST = """
import og_magics.session as _app, og_magics.core.settings as _settings
_app = _app.current()
_app._settings = _settings.Settings.from_env()
if _app._llm:
    _app._llm.settings = _app._settings
x = "expanded"
"""


@dataclass
class Cell:
    """What came of one cell: the reply, and the messages to the front end in their order."""

    reply: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    idle: bool = False

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The contents of the messages of these types."""
        return [m["content"] for m in self.messages if m["msg_type"] in kinds]

    @property
    def ok(self) -> bool:
        return bool(self.reply["status"] == "ok")

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def value(self) -> str:
        """The plain text of the cell's value."""
        return str(self.of("execute_result")[0]["data"]["text/plain"])

    @property
    def displays(self) -> list[dict[str, Any]]:
        """What it displayed and how that was updated; not what came meanwhile to a display of an earlier cell.

        What stands folded below an error is in `technical_part`.
        """
        own = {content.get("transient", {}).get("display_id") for content in self.of("display_data")}
        shown = [one for one in self.of("display_data", "update_display_data") if not is_technical_part(one["data"])]
        return [content for content in shown if content.get("transient", {}).get("display_id") in own]

    @property
    def technical_part(self) -> str:
        """What stands folded below an error."""
        found = [one["data"] for one in self.of("display_data") if is_technical_part(one["data"])]
        return str(found[0]["text/plain"])

    @property
    def last(self) -> dict[str, Any]:
        """The bundle that a display was left with; the pieces of an answer are left without one."""
        left = {content.get("transient", {}).get("display_id"): content["data"] for content in self.displays}
        return dict(next((data for data in reversed(left.values()) if data), {}))

    @property
    def receipt(self) -> dict[str, Any]:
        return dict(self.last[MIME])

    @property
    def answer(self) -> str:
        return str(self.receipt["text"])

    @property
    def prompt(self) -> str:
        """As it was sent."""
        return str(self.receipt["request"]["messages"][-1]["content"])

    def error(self, name: str = "UsageError") -> str:
        """The text of the error that failed the cell, which must have this name."""
        assert not self.ok, self.text
        assert self.reply["ename"] == name, self.reply
        return str(self.reply["evalue"])


class Kernel:
    """A kernel, and the front end's side of it."""

    def __init__(
        self, specs: KernelSpecManager, env: dict[str, str], cwd: Path, *, load: bool = True, name: str = FORKED
    ) -> None:
        self.cwd, self.env, self._load = cwd, env, load
        self.manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
        self.manager.start_kernel(env=env, cwd=str(cwd))
        self._cells: dict[str, Cell] = {}
        self._connect()

    def _connect(self) -> None:
        self.client = self.manager.client()
        unpack = self.client.session.deserialize

        def measured(frames: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
            message: dict[str, Any] = unpack(frames, *args, **kwargs)
            return message | {"size": sum(len(frame) for frame in frames)}

        self.client.session.deserialize = measured
        self.client.start_channels()
        self.client.wait_for_ready(timeout=_HANG)
        if self._load:
            assert self.run("%load_ext og_magics").ok

    def send(self, code: str, **options: Any) -> str:
        """Queue a cell; its id."""
        asked = str(self.client.execute(code, stop_on_error=False, **options))
        self._cells[asked] = Cell()
        return asked

    def read(self) -> tuple[str, dict[str, Any]]:
        """The next message to the front end, and the id of the cell that it is about."""
        message = self.client.get_iopub_msg(timeout=_HANG)
        asked = message["parent_header"].get("msg_id", "")
        cell = self._cells.get(asked)
        if cell is not None:
            cell.messages.append(message)
            cell.sizes.append(message["size"])
            cell.idle |= message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
        return asked, message

    def result(self, asked: str) -> Cell:
        """What came of a cell that was queued."""
        cell = self._cells[asked]
        while not cell.idle:
            self.read()
        while not cell.reply:
            reply = self.client.get_shell_msg(timeout=_HANG)
            about = self._cells.get(reply["parent_header"].get("msg_id", ""))
            if about is not None:
                about.reply = reply["content"]
        return cell

    def run(self, code: str, **options: Any) -> Cell:
        return self.result(self.send(code, **options))

    def ask(self, code: str, **options: Any) -> Cell:
        """A cell that must succeed."""
        cell = self.run(code, **options)
        assert cell.ok, cell.reply
        return cell

    def eval(self, expression: str) -> Any:
        """The value of an expression in the kernel, by way of JSON. Not in the history."""
        cell = self.ask(f"import json as _json\nprint(_json.dumps({expression}, default=str))", store_history=False)
        return json.loads(cell.text.splitlines()[-1])

    def until(self, asked: str, seen: Callable[[str], bool]) -> str:
        """Wait for a display of a queued cell whose Markdown is as `seen` wants it; that Markdown."""
        while True:
            about, message = self.read()
            shown = message["content"].get("data", {}).get("text/markdown", "") if about == asked else ""
            if shown and seen(shown):
                return str(shown)
            assert not self._cells[asked].idle, "the cell ended without it"

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        """A new process, as a user's restart makes it; the extension is loaded again."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self._connect()

    def close(self, *, now: bool = False) -> None:
        """End it, as a user does, or at once. May be called twice."""
        if not self.manager.has_kernel:
            return
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)
        self.manager.cleanup_resources()


@pytest.fixture(scope="session")
def start(
    kernel_specs: KernelSpecManager, environment: Callable[..., dict[str, str]], devnet: Devnet
) -> Callable[..., Kernel]:
    """Starts a kernel on the devnet; who asks closes it."""

    def make(cwd: Path, on: Devnet | None = devnet, *, load: bool = True, name: str = FORKED, **more: str) -> Kernel:
        return Kernel(kernel_specs, environment(on, **more), cwd, load=load, name=name)

    return make


@pytest.fixture
def new_kernel(start: Callable[..., Kernel], tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels of a test's own, in its own folder, and ends them after it."""
    started: list[Kernel] = []

    def make(*args: Any, **kwargs: Any) -> Kernel:
        started.append(start(tmp_path, *args, **kwargs))
        return started[-1]

    yield make
    for kernel in started:
        kernel.close(now=True)


@pytest.fixture(scope="module")
def shared(start: Callable[..., Kernel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for a module's tests."""
    kernel = start(tmp_path_factory.mktemp("shared"))
    yield kernel
    kernel.close(now=True)


@pytest.fixture
def kernel(shared: Kernel) -> Kernel:
    """The module's kernel, with its settings as they were at first."""
    shared.ask(_AS_AT_FIRST, store_history=False)
    return shared


@pytest.fixture
def execute(
    kernel_specs: KernelSpecManager, environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
) -> Callable[..., nbformat.NotebookNode]:
    """Runs cells as a notebook, headless, as `jupyter execute` does; raises CellExecutionError where a cell fails."""

    def run(*cells: str, **more: str) -> nbformat.NotebookNode:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        manager = AsyncKernelManager(kernel_name=FORKED, kernel_spec_manager=kernel_specs)
        client = NotebookClient(
            notebook, km=manager, timeout=_HANG, resources={"metadata": {"path": str(tmp_path)}}, allow_errors=False
        )
        try:
            client.execute(env=environment(devnet, **more), cleanup_kc=True)
        finally:
            nbformat.write(notebook, tmp_path / "executed.ipynb")
        return notebook

    return run


@pytest.fixture(scope="session")
def is_payment() -> Callable[[Devnet, str], bool]:
    """Whether a hash is that of a transaction that succeeded on a devnet's chain, as its RPC says."""

    def look(devnet: Devnet, transaction: str) -> bool:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [transaction]}
        found = httpx.post(devnet.rpc_url, json=request).json().get("result")
        return bool(found) and int(found["status"], 16) == 1 and found["to"].lower() == devnet.upto_proxy.lower()

    return look


@pytest.fixture
def typed(
    run_module: Callable[..., subprocess.CompletedProcess[str]], environment: Callable[..., dict[str, str]],
    devnet: Devnet, tmp_path: Path,
) -> Callable[..., subprocess.CompletedProcess[str]]:  # fmt: skip
    """Types lines at IPython's simple prompt; what came of it."""

    def run(*lines: str) -> subprocess.CompletedProcess[str]:
        flags = ["--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
        text = "\n".join(["%load_ext og_magics", *lines, "exit"]) + "\n"
        done = run_module("IPython", *flags, env=environment(devnet), cwd=tmp_path, typed=text)
        assert done.returncode == 0, done.stderr
        return done

    return run
