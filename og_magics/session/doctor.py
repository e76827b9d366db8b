"""A check of all that a notebook needs, with remedies. Nothing is paid or started."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import chain
from ..client.devnet_process import devnet_runs
from ..core.amounts import format_opg
from ..core.cell_context import namespace
from ..core.errors import ConfigError, OGError
from ..core.front_end import is_vs_code
from ..core.networks import described
from ..core.redaction import redacted
from ..core.settings import Settings
from ..core.shared_ledger import shared_at
from ..display.sanitize import printable
from ..ledger import Ledger, ledger_of, readable_at
from ..ledger.file_system import file_system, in_write_ahead_mode
from ..ledger.private_file import FOLDER, located, open_to_others
from ..notebook.environment import captured_in, differences, is_captured, needs, release, version_of
from ..notebook.jupyter_trust import is_trusted
from ..payment.wallet import load_wallet
from .health import HealthCheck, facts_check, session_cap_of, wallet_file_check
from .session import Session

_MOST = 5
"""Packages that a line names."""


def diagnose(notebook: Path | None, *, offline: bool = False, app: Session | None = None) -> list[HealthCheck]:
    """Check everything. Blocks; a failure is a line of the result, and not raised. No line holds a path or a key.

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
        parts += _tried("trust", lambda: [_trust(notebook)])
    try:
        settings = app.settings if app is not None else Settings.from_env()
        name = settings.network_name()
    except ConfigError as error:
        remedy = error.remedy or "Correct it in the environment that Jupyter starts from."
        return [_clean(part) for part in [*parts, HealthCheck("settings", False, error.what, remedy)]]
    usable = _tried("wallet", lambda: [_wallet(settings, name)])
    parts += usable
    if described(name).local and not settings.devnet and not devnet_runs():
        parts += _tried("devnet", lambda: [_devnet()])
    elif offline:
        parts.append(HealthCheck("network", None, f"{name}. Not asked: --offline.", "Leave --offline out to ask it."))
    elif all(part.ok is not False for part in usable):
        parts += _tried("network", lambda: _network(settings, app))
    kept = notebook.absolute() if notebook is not None else None
    path = located(app.ledger.path if app is not None else ledger_of(settings, kept))
    parts += _tried("ledger", lambda: list(_ledger(path)))
    parts += _tried("budgets", lambda: [wallet_file_check(described(name))])
    return [_clean(replace(part, summary=part.summary.replace(str(path), path.name))) for part in parts]


def report(parts: Iterable[HealthCheck]) -> str:
    """Return the checks as text: a line each, and below those that fail what to do."""
    lines = []
    for part in parts:
        lines.append(f"{status(part):<8} {part.name:<14} {part.summary}".rstrip())
        if part.remedy and part.ok is not True:
            lines.append(f"{'':<23} → {part.remedy}")
    return "\n".join(lines)


def status(part: HealthCheck) -> str:
    """Return "ok", "warning" or "fails"."""
    return {True: "ok", False: "fails", None: "warning"}[part.ok]


def _tried(name: str, look: Callable[[], list[HealthCheck]]) -> list[HealthCheck]:
    try:
        return look()
    except OGError as error:
        return [HealthCheck(name, False, error.what, error.remedy or "Check that it is there and can be read.")]
    except Exception as error:  # noqa: BLE001 - whatever is broken, the rest is still looked at
        return [
            HealthCheck(name, False, f"It could not be looked at: {type(error).__name__}: {error}", "Tell us about it.")
        ]


def _clean(part: HealthCheck) -> HealthCheck:
    """Return a check as it may be shown: what a stranger's notebook or a server said may be in it."""
    return replace(part, summary=printable(redacted(part.summary)), remedy=printable(redacted(part.remedy)))


def _python() -> HealthCheck:
    summary = f"{platform.python_implementation()} {platform.python_version()}"
    try:
        floor = (metadata.metadata("og_magics")["Requires-Python"] or "").removeprefix(">=")
    except metadata.PackageNotFoundError:
        floor = ""
    if sys.version_info[:2] < release(floor):
        return HealthCheck(
            "Python", False, f"{summary}; og_magics needs {floor}.", f"Make an environment of Python {floor}."
        )
    return HealthCheck("Python", True, summary)


def _packages() -> list[HealthCheck]:
    wanted = needs()
    if not wanted:
        summary = "og_magics runs from a folder and is not installed, so nothing says what it needs."
        return [HealthCheck("packages", None, summary, "pip install -e . in that folder")]
    count = sum(not need.extra for need in wanted)
    wrong = _lacking("")
    if not wrong:
        return [HealthCheck("packages", True, f"og_magics {version_of('og_magics')}, and the {count} that it needs")]
    return [
        HealthCheck("packages", False, _listed(summary for summary, _ in wrong), _install(name for _, name in wrong))
    ]


def _lacking(extra: str) -> list[tuple[str, str]]:
    """Return what is missing or too old: a line on each, and what pip is to install."""
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


def _jupyter() -> list[HealthCheck]:
    parts = [HealthCheck("kernel", True, f"{_front_end()}; ipython {version_of('ipython')}, {_named('ipykernel')}")]
    if not version_of("ipykernel"):
        parts = [
            HealthCheck(
                "kernel", None, "ipykernel is not installed, so this Python runs no notebook.", _kernel_remedy()
            )
        ]
    widgets, lab = version_of("jupyterlab_widgets"), version_of("jupyterlab")
    if not widgets:
        summary = "ipywidgets is here without jupyterlab_widgets: JupyterLab shows no panel."
        parts.append(HealthCheck("widgets", False, summary, "pip install jupyterlab_widgets, and reload the page"))
    else:
        parts.append(HealthCheck("widgets", True, f"{_named('ipywidgets')}, jupyterlab_widgets {widgets}"))
    if not lab:
        summary = "not in this environment; where the front end is another one's, jupyterlab_widgets must be there too"
        parts.append(
            HealthCheck("JupyterLab", None, summary, "pip install jupyterlab, if notebooks are opened from here")
        )
    elif release(lab) < (4,):
        parts.append(HealthCheck("JupyterLab", False, f"{lab} is older than 4.", "pip install -U jupyterlab"))
    else:
        parts.append(HealthCheck("JupyterLab", True, lab))
    if getattr(asyncio, "_nest_patched", False) and "nest_asyncio" in sys.modules:
        summary = "nest_asyncio is applied: with newer kernels, cells that are queued do not run."
        parts.append(
            HealthCheck(
                "nest_asyncio", None, summary, "Take nest_asyncio.apply() out; %og use --nest-asyncio if needed"
            )
        )
    return parts


def _front_end() -> str:
    if is_vs_code(namespace()):
        return "VS Code"
    if "google.colab" in sys.modules:
        return "Colab"
    if os.environ.get("BINDER_SERVICE_HOST"):
        return "JupyterLab on Binder"
    return "a Jupyter server" if os.environ.get("JPY_SESSION_NAME") else "no front end known"


def _trust(path: Path) -> HealthCheck:
    """Say whether Jupyter trusts the file: whether this user ran it as it is."""
    trusted = is_trusted(path)
    if trusted:
        return HealthCheck("trust", True, "Jupyter trusts it: you ran it, or said so. Its answers may be shown again.")
    if trusted is None:
        summary = "Whether Jupyter trusts it is not known: nbformat is missing, or no Jupyter has signed anything here."
        return HealthCheck("trust", None, summary, "Nothing by itself: answers whose keys are known are shown again.")
    summary = "Jupyter does not trust it: it was not run here as it is. Answers whose keys nobody here knows are paid."
    return HealthCheck("trust", None, summary, "Run it; or read it, and `jupyter trust` it where you know its author.")


def _notebook(path: Path) -> list[HealthCheck]:
    form = captured_in(path)
    if form is None:
        summary = "It does not say what it ran with."
        return [
            HealthCheck(
                "notebook", None, summary, "Run %og env in it, save it, and og-magics env keeps it in its metadata."
            )
        ]
    lock, parts = _lock_file(path, form)
    python = str(form.get("python"))[:40]
    others = list(differences(form, lock))
    missing = [f"{package} {version} is not installed" for package, version, here in others if not here]
    different = [f"{package} is {here}, was {version}" for package, version, here in others if here]
    if release(python.partition(" ")[2])[:2] != sys.version_info[:2]:
        different.insert(0, f"Python is {platform.python_version()}, was {python}")
    installs = f"pip install -r {shlex.quote(str(form.get('lock')))}"
    remedy = installs if lock is not None else "pip install them in these versions"
    if missing:
        parts.append(HealthCheck("notebook", False, _listed([*missing, *different]), remedy))
    elif different:
        parts.append(HealthCheck("notebook", None, _listed(different), remedy))
    else:
        parts.append(HealthCheck("notebook", True, f"What it ran with is here; captured {form.get('captured')}"))
    return parts


def _lock_file(notebook: Path, form: Mapping[str, Any]) -> tuple[str | None, list[HealthCheck]]:
    """Return the content of the lock file that an environment names, if it is the one that was captured, and checks.

    One that is not, somebody may have changed so that another package is installed: nothing is taken from it.
    """
    name = str(form.get("lock"))
    beside = notebook.with_name(name) if name == Path(name).name else notebook
    shown = ascii(name)[:80]
    if beside == notebook or not beside.is_file():
        remedy = "Get it from where the notebook came from, or run %og env again."
        return None, [HealthCheck("lock file", None, f"The lock file {shown} is not beside the notebook.", remedy)]
    content = beside.read_bytes()
    if not is_captured(content, form):
        summary = f"The lock file {shown} is not the one that was captured: the notebook keeps another SHA-256 of it."
        remedy = "Do not install from it. Get it from where the notebook came from, or run %og env again."
        return None, [HealthCheck("lock file", False, summary, remedy)]
    return content.decode("utf-8", "replace"), []


def _wallet(settings: Settings, network: str) -> HealthCheck:
    wallet = load_wallet(settings)
    if wallet is not None and (note := settings.unused_key_note()):
        return HealthCheck("wallet", True, f"{wallet.address}. {note}")
    if wallet is not None:
        return HealthCheck("wallet", True, wallet.address)
    if described(network).local:
        return HealthCheck("wallet", True, "no key; on the practice network (devnet) none is needed")
    remedy = "Set OG_PRIVATE_KEY or OG_KEYSTORE in the environment that Jupyter starts from."
    return HealthCheck("wallet", False, f"There is no key, and {network} needs one.", remedy)


def _devnet() -> HealthCheck:
    wrong = _lacking("devnet")
    if wrong:
        return HealthCheck("devnet", False, _listed(summary for summary, _ in wrong), "pip install 'og_magics[devnet]'")
    return HealthCheck("devnet", True, "starts when first needed; all that it needs is installed")


def _network(settings: Settings, app: Session | None) -> list[HealthCheck]:
    if app is not None:
        return _reached(app)
    # Asking needs an app, and an app has a ledger: not the notebook's, which begins with its first call.
    with tempfile.TemporaryDirectory() as folder:
        asking = Session(replace(settings, ledger=str(Path(folder) / "doctor.db")))
        parts = _reached(asking)
        asking.ledger.close()
    return parts


def _reached(app: Session) -> list[HealthCheck]:
    parts = [_advised(part) for part in app.health() if part.name != "receipts"]
    failed = {part.name for part in parts if part.ok is False}
    if "network" in failed or not app.llm.paid:
        return parts
    parts += _tried("facts", lambda: [facts_check(app.network)])
    if "payment chain" in failed:
        return parts
    return [*parts, *_tried("account", lambda: list(_account(app)))]


def _advised(part: HealthCheck) -> HealthCheck:
    if part.ok is None and not part.remedy:
        return replace(part, remedy="Nothing by itself: look at the gateway.")
    return part


def _account(app: Session) -> Iterator[HealthCheck]:
    network, address = app.network, app.llm.wallet.address
    held, needed = chain.balances(network, address), session_cap_of(network, app.settings)
    faucet = f" The faucet is {network.faucet}." if network.faucet else ""
    summary = f"{format_opg(held.opg)} OPG of {address} on {network.name}"
    if held.opg == 0:
        yield HealthCheck("balance", False, summary, f"Send OPG to it.{faucet}")
    elif held.opg < needed:
        asked = f"gateways open a session only for a wallet with {format_opg(needed)}, of which calls use little"
        yield HealthCheck("balance", None, f"{summary}; {asked}", f"Send OPG to it.{faucet}")
    else:
        yield HealthCheck("balance", True, summary)
    remedy = (
        "%og approve, or LLM.ensure_opg_approval(); it costs a fee (gas), for which there is no ETH."
        if held.gas == 0
        else ("%og approve, or LLM.ensure_opg_approval()")
    )
    summary = "any amount of OPG" if held.allowance >= 2**255 else f"{format_opg(held.allowance)} OPG"
    ok = None if 0 < held.allowance < needed else held.allowance > 0
    yield HealthCheck(
        "allowance", ok, f"{summary} may be paid in all, through the payment contract (Permit2)", "" if ok else remedy
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _ledger(path: Path) -> Iterator[HealthCheck]:
    if (shared := shared_at(path)) is not None:
        with Ledger(path) as ledger:
            yield _entries(ledger, shared.shown)
        return
    place = readable_at(path)
    if place != path:
        yield HealthCheck("ledger", None, "its folder cannot be written; receipts are kept in the state directory",
                          "Set OG_LEDGER to a path that can be written, to choose another place.")  # fmt: skip
        path = place
    if not path.exists():
        folder = next(one for one in path.parents if one.exists())
        if folder.is_dir() and os.access(folder, os.W_OK):
            yield HealthCheck("ledger", True, "none yet; it begins with the first call")
        else:
            summary = "none yet, and its folder cannot be written"
            yield HealthCheck("ledger", False, summary, "Set OG_LEDGER to a path that can be written.")
        return
    with Ledger(path) as ledger:
        yield _entries(ledger, path.name, f", {path.stat().st_size / 1024:.0f} KiB")
    if others := open_to_others(path):
        names = _listed(one.name for one in others)
        summary = f"Others on this machine can read what was asked and paid: {names}."
        yield HealthCheck("ledger's access", None, summary, f"chmod go= {shlex.join(map(_beside, others))}")
    disk = file_system(path)
    if disk.remote:
        summary = f"The ledger is on {disk.kind}: readers and writers wait for each other, and its locks may not hold."
        yield HealthCheck("ledger's disk", None, summary, "Set OG_LEDGER to a path on a local disk.")
    elif not in_write_ahead_mode(path):
        summary = "The ledger is not in write-ahead mode: readers wait for writers."
        yield HealthCheck(
            "ledger's mode", None, summary, "Its disk may not allow it. Set OG_LEDGER to a path on a local disk."
        )


def _entries(ledger: Ledger, name: str, size: str = "") -> HealthCheck:
    """Audit a ledger."""
    audit = ledger.audit()
    count, pending = len(ledger.receipts()), len(ledger.pending())
    counted = f"{_count(count, 'receipt')}, {audit.length} entries{size}"
    summary = f"{name}: {counted}, {_count(pending, 'payment')} to settle"
    if audit.ok:
        return HealthCheck("ledger", True, summary)
    wrong = len(audit.broken) + len(audit.payments) + len(audit.problems)
    summary = f"{summary}; {wrong} things are not as they were written"
    return HealthCheck("ledger", False, summary, "%og verify names them. It was edited by hand, or damaged.")


def _beside(path: Path) -> str:
    """Return a path of a ledger as a command may name it, from the notebook's folder."""
    return path.name if path.parent.name != FOLDER else f"{FOLDER}/{path.name}"


def _named(package: str) -> str:
    return f"{package} {version_of(package)}"


def _kernel_remedy() -> str:
    return "pip install 'og_magics[notebook]'"


def _listed(summaries: Iterable[str]) -> str:
    lines = list(summaries)
    more = f", and {len(lines) - _MOST} more" if len(lines) > _MOST else ""
    return "; ".join(lines[:_MOST]) + more


def _install(packages: Iterable[str]) -> str:
    return "pip install -U " + " ".join(f"'{package}'" for package in packages)
