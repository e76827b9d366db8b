"""What is there of all that a notebook needs, what is not, and what to do about it. Nothing is paid or started."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from .. import chain
from ..amounts import format_opg
from ..display.safe import printable
from ..errors import ConfigError, OGError
from ..launch import devnet_runs
from ..ledger import Ledger
from ..networks import DEVNET
from ..origin import namespace
from ..payment.wallet import load_wallet
from ..private import redacted
from ..settings import Settings, ledger_path
from .environment import captured_in, differences, needs, release, version_of
from .notebook import App
from .standing import Part

_NETWORKED = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre"}
_MOST = 5
"""Packages that a line names."""


def diagnose(notebook: Path | None, *, offline: bool = False, app: App | None = None) -> list[Part]:
    """Look at everything. Blocks; what fails is told, not raised. No text of it holds a path or a key.

    Args:
        notebook: whose environment and ledger are looked at; None for the ledger of the working directory alone.
        offline: ask no network.
        app: the notebook that runs here; None for what the environment asks for.
    """
    parts = [
        *_tried("Python", lambda: [_python()]),
        *_tried("packages", _packages),
        *_tried("Jupyter", _jupyter),
    ]
    if notebook is not None:
        parts += _tried("notebook", lambda: _notebook(notebook))
    try:
        settings = app.settings if app is not None else Settings.from_env()
        name = settings.network_name()
    except ConfigError as error:
        remedy = error.remedy or "Correct it in the environment that Jupyter starts from."
        return [_clean(part) for part in [*parts, Part("settings", False, error.what, remedy)]]
    usable = _tried("wallet", lambda: [_wallet(settings, name)])
    parts += usable
    if name == DEVNET and not settings.devnet and not devnet_runs():
        parts += _tried("devnet", lambda: [_devnet()])
    elif offline:
        parts.append(Part("network", None, f"{name}. Not asked: --offline.", "Leave --offline out to ask it."))
    elif all(part.ok is not False for part in usable):
        parts += _tried("network", lambda: _network(settings, app))
    kept = notebook.absolute() if notebook is not None else None
    path = (app.ledger.path if app is not None else ledger_path(settings, kept)).resolve()
    parts += _tried("ledger", lambda: list(_ledger(path)))
    return [_clean(replace(part, told=part.told.replace(str(path), path.name))) for part in parts]


def report(parts: Iterable[Part]) -> str:
    """For a person: a line a part, and below those that are not well what to do."""
    lines = []
    for part in parts:
        lines.append(f"{status(part):<8} {part.name:<14} {part.told}".rstrip())
        if part.remedy and part.ok is not True:
            lines.append(f"{'':<23} → {part.remedy}")
    return "\n".join(lines)


def status(part: Part) -> str:
    """ "ok", "warning" or "fails"."""
    return {True: "ok", False: "fails", None: "warning"}[part.ok]


def _tried(name: str, look: Callable[[], list[Part]]) -> list[Part]:
    try:
        return look()
    except OGError as error:
        return [Part(name, False, error.what, error.remedy or "Check that it is there and can be read.")]
    except Exception as error:  # noqa: BLE001 - whatever is broken, the rest is still looked at
        return [Part(name, False, f"It could not be looked at: {type(error).__name__}: {error}", "Tell us about it.")]


def _clean(part: Part) -> Part:
    """A part as it may be shown: what a stranger's notebook or a server said may be in it."""
    return replace(part, told=printable(redacted(part.told)), remedy=printable(redacted(part.remedy)))


def _python() -> Part:
    told = f"{platform.python_implementation()} {platform.python_version()}"
    try:
        floor = (metadata.metadata("og_magics")["Requires-Python"] or "").removeprefix(">=")
    except metadata.PackageNotFoundError:
        floor = ""
    if sys.version_info[:2] < release(floor):
        return Part("Python", False, f"{told}; og_magics needs {floor}.", f"Make an environment of Python {floor}.")
    return Part("Python", True, told)


def _packages() -> list[Part]:
    wanted = needs()
    if not wanted:
        told = "og_magics runs from a folder and is not installed, so nothing says what it needs."
        return [Part("packages", None, told, "pip install -e . in that folder")]
    count = sum(not need.extra for need in wanted)
    wrong = _lacking("")
    if not wrong:
        return [Part("packages", True, f"og_magics {version_of('og_magics')}, and the {count} that it needs")]
    return [Part("packages", False, _listed(told for told, _ in wrong), _install(name for _, name in wrong))]


def _lacking(extra: str) -> list[tuple[str, str]]:
    """What is missing or too old: what to say of it, and what pip is to install."""
    wrong = []
    for need in needs():
        if need.extra != extra:
            continue
        here = version_of(need.name)
        if not here:
            wrong.append((f"{need.name} is not installed", f"{need.name}>={need.floor}"))
        elif release(here) < release(need.floor):
            wrong.append((f"{need.name} {here} is older than {need.floor}", f"{need.name}>={need.floor}"))
    return wrong


def _jupyter() -> list[Part]:
    parts = [Part("kernel", True, f"{_front_end()}; ipython {version_of('ipython')}, {_named('ipykernel')}")]
    if not version_of("ipykernel"):
        parts = [Part("kernel", None, "ipykernel is not installed, so this Python runs no notebook.", _kernel_remedy())]
    widgets, lab = version_of("jupyterlab_widgets"), version_of("jupyterlab")
    if not widgets:
        told = "ipywidgets is here without jupyterlab_widgets: JupyterLab shows no panel."
        parts.append(Part("widgets", False, told, "pip install jupyterlab_widgets, and reload the page"))
    else:
        parts.append(Part("widgets", True, f"{_named('ipywidgets')}, jupyterlab_widgets {widgets}"))
    if not lab:
        told = "not in this environment; where the front end is another one's, jupyterlab_widgets must be there too"
        parts.append(Part("JupyterLab", None, told, "pip install jupyterlab, if notebooks are opened from here"))
    elif release(lab) < (4,):
        parts.append(Part("JupyterLab", False, f"{lab} is older than 4.", "pip install -U jupyterlab"))
    else:
        parts.append(Part("JupyterLab", True, lab))
    if getattr(asyncio, "_nest_patched", False) and "nest_asyncio" in sys.modules:
        told = "nest_asyncio is applied: with newer kernels, cells that are queued do not run."
        parts.append(
            Part("nest_asyncio", None, told, "Take nest_asyncio.apply() out; %og use --nest-asyncio if needed")
        )
    return parts


def _front_end() -> str:
    if "__vsc_ipynb_file__" in namespace():
        return "VS Code"
    if "google.colab" in sys.modules:
        return "Colab"
    if os.environ.get("BINDER_SERVICE_HOST"):
        return "JupyterLab on Binder"
    return "a Jupyter server" if os.environ.get("JPY_SESSION_NAME") else "no front end known"


def _notebook(path: Path) -> list[Part]:
    form = captured_in(path)
    if form is None:
        told = "It does not say what it ran with."
        return [Part("notebook", None, told, "Run %og env in it, save it, and og-magics env keeps it in its metadata.")]
    name = str(form.get("lock"))
    beside = path.with_name(name) if name == Path(name).name else path
    lock = beside.read_text(encoding="utf-8", errors="replace") if beside != path and beside.is_file() else None
    parts = []
    if lock is None:
        told = f"The lock file {ascii(name)[:80]} is not beside the notebook."
        parts.append(Part("lock file", None, told, "Get it from where the notebook came from, or run %og env again."))
    python = str(form.get("python"))[:40]
    others = list(differences(form, lock))
    missing = [f"{package} {version} is not installed" for package, version, here in others if not here]
    different = [f"{package} is {here}, was {version}" for package, version, here in others if here]
    if release(python.partition(" ")[2])[:2] != sys.version_info[:2]:
        different.insert(0, f"Python is {platform.python_version()}, was {python}")
    remedy = f"pip install -r {shlex.quote(beside.name)}" if lock is not None else "pip install them in these versions"
    if missing:
        parts.append(Part("notebook", False, _listed([*missing, *different]), remedy))
    elif different:
        parts.append(Part("notebook", None, _listed(different), remedy))
    else:
        parts.append(Part("notebook", True, f"What it ran with is here; captured {form.get('captured')}"))
    return parts


def _wallet(settings: Settings, network: str) -> Part:
    wallet = load_wallet(settings)
    if wallet is not None:
        return Part("wallet", True, wallet.address)
    if network == DEVNET:
        return Part("wallet", True, "no key; on the devnet none is needed")
    remedy = "Set OG_PRIVATE_KEY or OG_KEYSTORE in the environment that Jupyter starts from."
    return Part("wallet", False, f"There is no key, and {network} needs one.", remedy)


def _devnet() -> Part:
    wrong = _lacking("devnet")
    if wrong:
        return Part("devnet", False, _listed(told for told, _ in wrong), "pip install 'og_magics[devnet]'")
    return Part("devnet", True, "starts when first needed; all that it needs is installed")


def _network(settings: Settings, app: App | None) -> list[Part]:
    if app is not None:
        return _reached(app)
    # Asking needs an app, and an app has a ledger: not the notebook's, which begins with its first call.
    with tempfile.TemporaryDirectory() as folder:
        asking = App(replace(settings, ledger=str(Path(folder) / "doctor.db")))
        parts = _reached(asking)
        asking.ledger.close()
    return parts


def _reached(app: App) -> list[Part]:
    parts = [_advised(part) for part in app.health() if part.name != "receipts"]
    if any(part.ok is False for part in parts if part.name in ("network", "payment chain")):
        return parts
    return [*parts, *_tried("account", lambda: list(_account(app)))]


def _advised(part: Part) -> Part:
    if part.ok is None and not part.remedy:
        return replace(part, remedy="Nothing by itself: look at the gateway.")
    return part


def _account(app: App) -> Iterator[Part]:
    network, address = app.network, app.llm.wallet.address
    held, needed = chain.balances(network, address), app.settings.max_authorization
    faucet = f" The faucet is {network.faucet}." if network.faucet else ""
    told = f"{format_opg(held.opg)} OPG of {address} on {network.name}"
    if held.opg == 0:
        yield Part("balance", False, told, f"Send OPG to it.{faucet}")
    elif held.opg < needed:
        yield Part("balance", None, f"{told}; one call may ask for {format_opg(needed)}", f"Send OPG to it.{faucet}")
    else:
        yield Part("balance", True, told)
    remedy = (
        "%og approve, or LLM.ensure_opg_approval(); it costs gas, of which there is none."
        if held.gas == 0
        else ("%og approve, or LLM.ensure_opg_approval()")
    )
    told = "any amount of OPG" if held.allowance >= 2**255 else f"{format_opg(held.allowance)} OPG"
    ok = None if 0 < held.allowance < needed else held.allowance > 0
    yield Part("allowance", ok, f"{told} may be moved by Permit2", "" if ok else remedy)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _ledger(path: Path) -> Iterator[Part]:
    if not path.exists():
        folder = next(one for one in path.parents if one.exists())
        if folder.is_dir() and os.access(folder, os.W_OK):
            yield Part("ledger", True, "none yet; it begins with the first call")
        else:
            told = "none yet, and its folder cannot be written"
            yield Part("ledger", False, told, "Set OG_LEDGER to a path that can be written.")
        return
    with Ledger(path) as ledger:
        audit = ledger.audit()
        count, pending = len(ledger.receipts()), len(ledger.pending())
    size = f"{path.stat().st_size / 1024:.0f} KiB"
    counted = f"{_count(count, 'receipt')}, {audit.length} entries, {size}"
    told = f"{path.name}: {counted}, {_count(pending, 'payment')} to settle"
    if not audit.ok:
        wrong = len(audit.broken) + len(audit.payments) + len(audit.problems)
        told = f"{told}; {wrong} things are not as they were written"
        yield Part("ledger", False, told, "%og verify names them. It was edited by hand, or damaged.")
    else:
        yield Part("ledger", True, told)
    if (kind := _file_system(path)) in _NETWORKED:
        told = f"The ledger is on {kind}, where SQLite's locks may not hold."
        yield Part("ledger's disk", None, told, "Set OG_LEDGER to a path on a local disk.")
    with path.open("rb") as file:
        header = file.read(20)
    if header[18:20] != b"\x02\x02":
        told = "The ledger is not in write-ahead mode: readers wait for writers."
        yield Part("ledger's mode", None, told, "Its disk may not allow it. Set OG_LEDGER to a path on a local disk.")


def _file_system(path: Path) -> str:
    """The kind of the file system that a file is on, "" where the system does not tell."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    place, found = path.resolve(), ("", "")
    for line in mounts.splitlines():
        _, mount, kind, *_ = [*line.split(), "", "", ""]
        if place.is_relative_to(mount or ".") and len(mount) >= len(found[0]):
            found = (mount, kind)
    return found[1]


def _named(package: str) -> str:
    return f"{package} {version_of(package)}"


def _kernel_remedy() -> str:
    return "pip install 'og_magics[notebook]'"


def _listed(told: Iterable[str]) -> str:
    lines = list(told)
    more = f", and {len(lines) - _MOST} more" if len(lines) > _MOST else ""
    return "; ".join(lines[:_MOST]) + more


def _install(packages: Iterable[str]) -> str:
    return "pip install -U " + " ".join(f"'{package}'" for package in packages)
