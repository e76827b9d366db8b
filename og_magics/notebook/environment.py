"""The environment of a notebook's run: Python, packages and models, for its output, its metadata and a lock file.

No path of this machine is in it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._version import __version__
from ..core.receipt import Receipt
from ..core.versions import is_readable
from ..ledger import replace_file
from ..notebook.file import read_notebook, write_notebook

MIME = "application/vnd.og.environment+json"
"""Media type under which an environment travels in a cell's output."""

VERSION = "1.0"
"""Version of the JSON form."""

_JUPYTER = ("ipykernel", "ipython", "ipywidgets", "jupyter_client", "jupyterlab", "jupyterlab_widgets", "notebook")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NEED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?[^;]*?(?:>=\s*(?P<floor>[\w.]+))?[^;]*(?:;\s*(?P<marker>.*))?"
)


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The calls of a notebook to one model.

    Attributes:
        model: "openai/gpt-5". calls: how many were answered. first, last: when, ISO 8601 in UTC.
        enclaves: `tee_id` of those that answered.
    """

    model: str
    calls: int
    first: str
    last: str
    enclaves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of a notebook's run.

    Attributes:
        captured: when, ISO 8601 in UTC. python: "CPython 3.11.7". system: "Linux x86_64".
        packages: version by name: og_magics, what it needs, and Jupyter's.
        models: that were asked, by name.
        lock: name of the lock file beside the notebook. lock_sha256: of its content.
    """

    captured: str
    python: str
    system: str
    packages: Mapping[str, str]
    models: tuple[ModelUse, ...]
    lock: str
    lock_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that travels in a notebook."""
        return {"version": VERSION, **asdict(self)}

    def summary(self) -> str:
        """Return the environment as lines for a person."""
        lines = [f"{self.python} on {self.system}"]
        lines += [f"{name} {version}" for name, version in self.packages.items()]
        for use in self.models:
            enclaves = f"{len(use.enclaves)} enclave{'s' * (len(use.enclaves) != 1)}"
            lines.append(f"{use.model}: {use.calls} calls, {use.first} to {use.last}, {enclaves}")
        return "\n".join([*lines, f"all packages: {self.lock}"])


@dataclass(frozen=True, slots=True)
class Need:
    """A package that og_magics needs: its name, the oldest version that will do ("" for any), and for which extra."""

    name: str
    floor: str
    extra: str


def capture(receipts: Iterable[Receipt], lock: Path) -> Environment:
    """Write the lock file, and say what there is.

    Raises:
        LedgerError: the lock file cannot be written.
    """
    python, system = f"{platform.python_implementation()} {platform.python_version()}", _system()
    content = lock_text(python, system).encode()
    replace_file(lock, content)
    names = [*_JUPYTER, *(need.name for need in needs() if not need.extra)]
    packages = {name: version for name in ["og_magics", *sorted(set(names))] if (version := version_of(name))}
    return Environment(
        captured=_iso(time.time()),
        python=python,
        system=system,
        packages=packages,
        models=_models(receipts),
        lock=lock.name,
        lock_sha256=hashlib.sha256(content).hexdigest(),
    )


def lock_text(python: str, system: str) -> str:
    """Return a requirements file of all packages of this Python. Those from a local folder are named without it."""
    lines = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and _key(name) not in lines:  # the first on the path is the one that is imported
            lines[_key(name)] = _line(name, distribution)
    head = f"# All packages of a notebook, captured by og_magics {__version__}: {python}, {system}\n"
    return head + "".join(f"{lines[key]}\n" for key in sorted(lines))


def locked(text: str) -> dict[str, str]:
    """Return version by package, of a lock file; of packages that come from elsewhere than an index, nothing."""
    found = re.findall(rf"^({_NAME.pattern})==([^\s#]+)\s*$", text, re.M)
    return dict(found)


def is_captured(lock: bytes, form: Mapping[str, Any]) -> bool:
    """Return True for the content of the lock file that an environment was captured with, by its SHA-256.

    A checkout on Windows may have changed the ends of its lines.
    """
    kept = form.get("lock_sha256")
    return any(hashlib.sha256(content).hexdigest() == kept for content in (lock, lock.replace(b"\r\n", b"\n")))


def captured_in(notebook: Path) -> Mapping[str, Any] | None:
    """Return the form of the environment that a notebook carries, in its metadata or in the last output with one.

    It is what the file says: its values may be anything.

    Raises:
        LedgerError: the file cannot be read, or is not a notebook.
    """
    content = read_notebook(notebook)
    shown = _shown(content)
    return shown if shown is not None else _kept(content)


def keep_in(notebook: Path) -> bool:
    """Put the environment that a notebook shows into its metadata, under `og_magics`; False where it shows none.

    Raises:
        LedgerError: the file cannot be read or written, or is not a notebook.
    """
    content = read_notebook(notebook)
    shown = _shown(content)
    if shown is None:
        return False
    about = content.get("metadata")
    about = dict(about) if isinstance(about, Mapping) else {}
    ours = about.get("og_magics")
    about["og_magics"] = {**(ours if isinstance(ours, Mapping) else {}), "environment": shown}
    write_notebook(notebook, {**content, "metadata": about})
    return True


def needs() -> list[Need]:
    """Return the requirements of the installed og_magics; none where it is not installed."""
    try:
        requirements = metadata.requires("og_magics") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for one in requirements:
        need = _NEED.fullmatch(one)
        if need is not None and need["name"] != "og_magics":
            extra = re.search(r"extra == ['\"]([\w-]+)['\"]", need["marker"] or "")
            found.append(Need(need["name"], need["floor"] or "", extra[1] if extra else ""))
    return found


def version_of(package: str) -> str:
    """Return the version that is installed, "" for none."""
    if package == "og_magics":
        return __version__  # also where it runs from a folder and was never installed
    try:
        return str(metadata.version(package) or "")
    except metadata.PackageNotFoundError:
        return ""


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare: (3, 11) of "3.11rc1"."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def differences(form: Mapping[str, Any], lock: str | None) -> Iterator[tuple[str, str, str]]:
    """Return the packages that differ from an environment and its lock file: (package, version there, here or "")."""
    wanted = locked(lock) if lock is not None else {}
    packages = form.get("packages")
    for name, version in packages.items() if isinstance(packages, Mapping) else ():
        if isinstance(name, str) and isinstance(version, str) and _NAME.fullmatch(name):
            wanted.setdefault(name, version)
    seen = set()
    for name, version in wanted.items():
        here = version_of(name)
        if here != version and _key(name) not in seen:
            yield name, version, here
        seen.add(_key(name))


def _shown(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    last = None
    for cell in content["cells"]:
        for output in cell.get("outputs", []):
            form = output.get("data", {}).get(MIME)
            last = form if isinstance(form, Mapping) and is_readable(form.get("version"), VERSION) else last
    return last


def _kept(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = content
    for name in ("metadata", "og_magics", "environment"):
        inner = form.get(name)
        if not isinstance(inner, Mapping):
            return None
        form = inner
    return form if is_readable(form.get("version"), VERSION) else None


def _models(receipts: Iterable[Receipt]) -> tuple[ModelUse, ...]:
    by_model: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        if receipt.finish_reason:
            by_model.setdefault(receipt.model, []).append(receipt)
    return tuple(_use(model, by_model[model]) for model in sorted(by_model))


def _use(model: str, receipts: list[Receipt]) -> ModelUse:
    times = sorted(receipt.time for receipt in receipts)
    enclaves = tuple(sorted({receipt.tee_id for receipt in receipts if receipt.tee_id}))
    return ModelUse(model, len(receipts), _iso(times[0]), _iso(times[-1]), enclaves)


def _line(name: str, distribution: metadata.Distribution) -> str:
    direct_url = distribution.read_text("direct_url.json")
    if not direct_url:
        return f"{name}=={distribution.version}"
    origin = _origin(direct_url)
    return f"{name} @ {origin}" if origin else f"{name}=={distribution.version}  # from a folder, not from an index"


def _origin(direct_url: str) -> str:
    """Return the origin of a package that is not from an index; "" if it is this machine, or not known."""
    try:
        form = json.loads(direct_url)
        parts = urlsplit(form["url"])
        commit = form.get("vcs_info", {}).get("commit_id", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    if parts.scheme not in ("http", "https", "ssh"):
        return ""
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # who logs in is nobody else's business
    return f"git+{url}@{commit}" if commit else url


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
