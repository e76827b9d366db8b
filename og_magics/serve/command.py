"""The `serve` verb: an OpenAI-compatible server that pays with this wallet."""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from ..core.urls import is_loopback

if TYPE_CHECKING:
    from .wiring import Served

_KEY = "OG_SERVE_KEY"
_LOCAL = "127.0.0.1"
_IDLE_SECONDS = 75
"""An idle connection is kept longer than clients keep theirs for another request."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `og-magics serve`."""
    add = parser.add_argument
    add("--port", type=int, default=8402, help="port to listen at (8402); 0 takes a free one")
    add("--host", default=_LOCAL, help="address to listen at (127.0.0.1); another one lets other machines in")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM) for other machines, with --tls-key")
    add("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    add("--users", type=Path, metavar="FILE", help="a file of users (TOML): keys, budgets, models and rates of each")
    add("--jupyterhub", action="store_true", help="run as a service of a JupyterHub: its tokens are the keys")
    add("--new-key", metavar="NAME", help="print a new key for a user, and the lines with its hash for that file")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status.

    Answers on their way at the end are kept with their receipts, as after an interrupt in a notebook.

    Raises:
        OGError: a setting that cannot be read, or no wallet for the network.
    """
    try:
        import uvicorn

        from .hub_keys import listening_place, this_hub
        from .keys import hash_of, new_key
        from .wiring import served
    except ImportError as error:
        print(f"og-magics serve: {error}. Install it: pip install 'og_magics[serve]'", file=sys.stderr)
        return 1
    if args.new_key is not None:
        return _print_key(args.new_key, key := new_key(), hash_of(key))
    if (args.tls_cert is None) != (args.tls_key is None):
        raise ConfigError("A certificate needs its key.", remedy="Give both --tls-cert and --tls-key, or neither.")
    if args.tls_cert is not None:
        _require_certificate(args.tls_cert, args.tls_key)
    if not 0 <= args.port <= 65535:
        raise ConfigError(f"There is no port {args.port}.", remedy="Give a number up to 65535; 0 takes a free one.")
    hub = this_hub() if args.jupyterhub else None
    if hub is not None:
        if args.users is None:
            raise ConfigError(
                "A server of a JupyterHub needs a file of users.",
                remedy="Give --users FILE with [defaults] and [owner].",
            )
        args.host, args.port = listening_place(hub, args.host, args.port)
    key = "" if args.users else os.environ.get(_KEY, "") or new_key()
    server = served(args.users, key, beyond=hub is not None or not _is_here(args.host), hub=hub)
    try:
        listening = _listen(args.host, args.port)
    except OSError as error:
        print(f"og-magics serve: port {args.port} of {args.host} cannot be had: {error.strerror}", file=sys.stderr)
        return 1
    with listening:
        _tell(server, args, listening.getsockname()[1], key, "" if hub is None else hub.prefix.rstrip("/"))
        config = uvicorn.Config(
            server.app, log_level="warning", timeout_graceful_shutdown=10, server_header=False,
            timeout_keep_alive=_IDLE_SECONDS, ssl_certfile=args.tls_cert, ssl_keyfile=args.tls_key,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _print_key(name: str, key: str, hashed: str) -> int:
    from .users import is_name

    if not is_name(name):
        raise ConfigError(f"{name!r} is not a name.", remedy="Use letters, digits, and . @ - _ in between.")
    print(f"The key of {name}, which is shown once: {key}", file=sys.stderr)
    quoted = name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'
    print(f'[{"owner" if name == "owner" else f"users.{quoted}"}]\nkey = "sha256:{hashed}"')
    return 0


def _require_certificate(cert: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as error:
        raise ConfigError(
            f"The certificate {cert} cannot be used with the key {key}: {error.strerror or error}.",
            remedy="Name two files in PEM form that belong together.",
        ) from None


def _is_here(host: str) -> bool:
    return is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address, of version 4 or 6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _tell(server: Served, args: argparse.Namespace, port: int, key: str, prefix: str) -> None:
    """Print who pays, how clients reach it, and what is to be heeded."""
    host = f"[{args.host}]" if ":" in args.host else args.host
    url = f"http{'s' if args.tls_cert else ''}://{host}:{port}{prefix}"
    network = server.network
    paid = f"pays on {network.name}{' (real money)' if network.real_money else ''} from {server.payer.address}"
    lines = [
        f"og-magics serve {paid if server.payer.address else 'passes calls on; nothing is paid'}",
        f"Each call has a receipt: og-magics receipts --ledger {server.ledger}",
        f"export OPENAI_BASE_URL={url}/v1",
        f"export OPENAI_API_KEY={key or '(the key of each user)'}",
        f"Another notebook of ours: OG_GATEWAY_URL={url} OG_GATEWAY_KEY={key or '(the key of each user)'}",
    ]
    if args.users:
        lines.append(f"Spending by user and model, with the owner's key: {url}/usage")
    print("\n".join(lines), flush=True)
    if not _is_here(args.host) and not args.tls_cert:
        print(
            f"WARNING: {args.host} is open to other machines, and without --tls-cert and --tls-key all on the way can "
            "read keys, questions and answers.",
            file=sys.stderr, flush=True,
        )  # fmt: skip
