"""A JupyterLab or Notebook 7 server of our own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

HANG = 60
"""Seconds after which what does not change is taken for dead. No test measures time with it."""

_OURS = re.compile(r"OG_|BASE_MAINNET_RPC|JPY_|IPYTHON|JUPYTER|PYTEST|PYTHONWARNINGS|XDG_|HTTPS?_PROXY|https?_proxy")
_SETTINGS: dict[str, dict[str, Any]] = {
    # Every cell is in the page, also those that one would have to scroll to.
    "notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False, "maxNumberOutputs": 10_000},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "apputils-extension/themes": {"theme": "JupyterLab Light"},
}


class Server:
    """In folders of its own: it knows nothing of what is installed or set for the person who runs the tests.

    Attributes:
        app: the module that is run, "jupyterlab" or "notebook".
        root: the folder of its notebooks.
    """

    def __init__(self, home: Path, app: str = "jupyterlab") -> None:
        self.app, self._home, self.root = app, home, home / "notebooks"
        self.root.mkdir()
        for name, values in _SETTINGS.items():
            self.set(name, values)
        kept = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
        folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "run", "PATH": "shared"}
        paths = {f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()}
        paths |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "spaces")}
        self._environment = kept | paths | {"HOME": str(home), "IPYTHONDIR": str(home / "ipython")}
        self.url = ""

    def start(self) -> subprocess.Popen[str]:
        """Returns when it answers."""
        options = {
            "IdentityProvider.token": "",
            "ServerApp.disable_check_xsrf": True,
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": 0,
            "ServerApp.root_dir": str(self.root),
            "LabApp.extension_manager": "readonly",
            "KernelSpecManager.ensure_native_kernel": False,
        }
        flags = [
            "--no-browser",
            "--allow-root",
            "--expose-app-in-browser",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with (self._home / "server.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self.app, *flags],
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        self.url = self._announced(process)
        return process

    def _announced(self, process: subprocess.Popen[str]) -> str:
        found = eventually(lambda: process.poll() is not None or self._running())
        assert process.poll() is None, (self._home / "server.log").read_text()
        return str(found)

    def _running(self) -> str:
        for file in (self._home / "run").glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, httpx.HTTPError):
                url = str(json.loads(file.read_text())["url"]).rstrip("/")
                if httpx.get(f"{url}/api").is_success:
                    return url
        return ""

    def page_of(self, file: Path) -> str:
        """The address at which a notebook is opened, in a workspace of its folder's own."""
        place = file.relative_to(self.root).as_posix()
        if self.app == "notebook":
            return f"{self.url}/notebooks/{place}"
        return f"{self.url}/lab/workspaces/{file.parent.name}/tree/{place}?reset"

    def set(self, name: str, values: dict[str, Any]) -> None:
        """One of JupyterLab's settings, for the pages that are opened from now on."""
        file = self._home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    def kernel(self, name: str, environment: dict[str, str]) -> None:
        """Add a kernel: the Python that runs the tests, with more in its environment."""
        folder = self._home / "shared" / "kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python", "env": environment}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def end_kernels(self) -> None:
        for session in httpx.get(f"{self.url}/api/sessions").json():
            httpx.delete(f"{self.url}/api/sessions/{session['id']}", timeout=HANG)


def eventually(check: Callable[[], Any], within: float = HANG) -> Any:
    """The first true value of a check; a failure after a limit that only a failure meets."""
    deadline = time.monotonic() + within
    while not (value := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return value
