"""The `devnet` verb: start a devnet, print where it is, and serve until it is stopped."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from types import FrameType
from typing import Any

_PARENT_POLL = 1.0  # seconds


def _between(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of numbers within bounds, for argparse."""

    def read(typed: str) -> int:
        try:
            number = int(typed)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{typed[:40]!r} is no number from {least} to {most}")
        return number

    return read


def _price(typed: str) -> str:
    try:
        if Decimal(typed).is_finite() and Decimal(typed) >= 0:
            return typed
    except ArithmeticError:
        pass
    raise argparse.ArgumentTypeError(f"{typed[:40]!r} is no price in USD, such as 0.20")


def _address(typed: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", typed):
        raise argparse.ArgumentTypeError(f"{typed[:50]!r} is no address: 0x and 40 hex digits")
    return typed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `og-magics devnet`; they are the keywords of `Devnet` too."""
    add = parser.add_argument
    add("--json", action="store_true", help="when ready, print one line of JSON instead of text")
    add("--chain-id", type=_between(1, 2**53 - 1), default=31337, help="chain id (84532 and 8453 imitate Base)")
    add(
        "--port",
        type=_between(0, 65534),
        default=0,
        help="HTTPS port of the gateway; the next port is plain HTTP; 0 takes free ones",
    )
    add("--rpc-port", type=_between(0, 65535), default=0, help="port of the chain; 0 takes a free one")
    add(
        "--settle-after",
        type=float,
        default=3.0,
        metavar="S",
        help="settle a session S seconds after its use; 0: at once",
    )
    add(
        "--batch-after",
        type=float,
        default=3.0,
        metavar="S",
        help="settle a batch of data S seconds after its last item",
    )
    add("--batch-size", type=int, default=20, metavar="N", help="answers that fill a batch")
    add("--gateway", choices=("april", "newest"), default="newest", help="the version of the real gateway to imitate")
    add("--cap", metavar="OPG", help="the most that a payment session may cost; else what that version asks for")
    add("--max-timeout", type=int, metavar="S", help="seconds that an authorization may be valid; else likewise")
    add(
        "--opg-price",
        type=_price,
        default="0.20",
        metavar="USD",
        help="the price of OPG; 0: none is known, and calls get a 503",
    )
    add("--token-delay", type=float, default=0.025, metavar="S", help="pause between two tokens of a stream")
    add("--scheme", choices=("upto", "exact"), default="upto", help=argparse.SUPPRESS)
    add("--chain", default="embedded", help="embedded, anvil, or the URL of a node")
    add("--upstream", metavar="URL", help="let this OpenAI-compatible server answer instead of the prepared answers")
    add("--model", metavar="FILE", help="let this .gguf file answer, on this machine, or `smollm2` (the extra `local`)")
    add(
        "--fund", type=_address, action="append", default=[], metavar="ADDRESS",
        help="give OPG and gas to it (repeatable)",
    )  # fmt: skip
    add("--parent-pid", type=int, metavar="PID", help="stop when this process is gone")


_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Windows has no SIGHUP."""


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or a closed terminal, or until the parent is gone. Return the exit status."""
    stop = threading.Event()
    is_parent = os.getppid() == args.parent_pid
    _set_on_signals(stop)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    for name in ("NO_PROXY", "no_proxy"):  # the parts of this process speak over loopback, where no proxy leads
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost", "::1"]))

    from ..core.errors import OGError
    from . import Devnet

    keywords = inspect.signature(Devnet).parameters
    options = {name: value for name, value in vars(args).items() if name in keywords}
    try:
        devnet = Devnet(**options).start()
    except (OGError, OSError) as error:
        print(f"og-magics devnet: {error}", file=sys.stderr)
        return 1
    try:
        print(json.dumps(devnet.info) if args.json else _page(devnet.info), flush=True)
        while not stop.wait(_PARENT_POLL if args.parent_pid else None):
            if _is_gone(args.parent_pid, is_parent):
                break
    finally:
        devnet.close()
    return 0


def _set_on_signals(stop: threading.Event) -> None:
    """Set the event when this process is asked to end."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for name in _SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), on_signal)


def _is_gone(pid: int, is_parent: bool) -> bool:
    """Return True if a process has ended. A parent is missed at once, before its exit status is collected.

    Windows cannot say it: there, `os.kill` would end the process that it asks about, and a parent keeps its number.
    """
    if os.name != "posix":
        return False
    if is_parent:
        return os.getppid() != pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it runs, under another user
        return False
    return False


def _page(info: dict[str, Any]) -> str:
    roles = ("funded and approved", "funded, no allowance", "poor")
    rows = [f"  {name:<17} {value}" for name, value in info.items() if name != "accounts"]
    rows += [
        f"  {account['address']}  {account['private_key']}  ({role})"
        for account, role in zip(info["accounts"], roles, strict=True)
    ]
    head = "The devnet is ready. Its accounts are publicly known: never send real money to them.\n"
    return "\n".join([head, *rows, "\nStop it with Ctrl-C."])
