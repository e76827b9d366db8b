"""The `devnet` verb: start a devnet, say where it is, and serve until told to stop."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

_PARENT_POLL = 1.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `og-magics devnet`; they are the keywords of `Devnet` too."""
    add = parser.add_argument
    add("--json", action="store_true", help="print one line of JSON when ready, instead of a page for people")
    add("--chain-id", type=int, default=31337, help="what the chain says it is (84532 and 8453 imitate Base)")
    add("--port", type=int, default=0, help="HTTPS port of the gateway, plain HTTP is the next; 0 takes free ones")
    add("--rpc-port", type=int, default=0, help="port of the chain; 0 takes a free one")
    add("--settle-after", type=float, default=3.0, metavar="S", help="seconds after a session's last use; 0: at once")
    add("--batch-after", type=float, default=3.0, metavar="S", help="seconds after which a batch of data is settled")
    add("--batch-size", type=int, default=20, metavar="N", help="answers that fill a batch")
    add("--cap", default="0.1", metavar="OPG", help="what a session may cost at most")
    add("--max-timeout", type=int, default=300, metavar="S", help="seconds for which an authorization is asked")
    add("--token-delay", type=float, default=0.01, metavar="S", help="pause between two tokens of a stream")
    add("--scheme", choices=("upto", "exact"), default="upto", help=argparse.SUPPRESS)
    add("--chain", default="embedded", help="embedded, anvil, or the URL of a node")
    add("--upstream", metavar="URL", help="an OpenAI-compatible server that answers in place of the simulation")
    add("--fund", action="append", default=[], metavar="ADDRESS", help="give OPG and gas to it (repeatable)")
    add("--parent-pid", type=int, metavar="PID", help="stop when this process is gone")


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT, SIGTERM or a closed terminal, or until the parent is gone. Returns the exit status."""
    stop = threading.Event()
    is_parent = os.getppid() == args.parent_pid

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")

    from ..errors import OGError
    from .devnet import Devnet

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


def _is_gone(pid: int, is_parent: bool) -> bool:
    """Whether a process has ended. A parent is missed at once, before anybody has collected its exit status."""
    if is_parent:
        return os.getppid() != pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, and is somebody else's
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
