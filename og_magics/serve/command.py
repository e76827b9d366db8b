"""The `serve` verb: an OpenAI-compatible server that pays with this wallet."""

from __future__ import annotations

import argparse
import os
import socket
import sys

_KEY = "OG_SERVE_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `og-magics serve`."""
    parser.add_argument("--port", type=int, default=8402, help="port to listen at (8402); 0 takes a free one")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status.

    Answers on their way at the end are kept with their receipts, as after an interrupt in a notebook.

    Raises:
        OGError: a setting that cannot be read, or no wallet for the network.
    """
    try:
        import uvicorn

        from .app import make_app
    except ImportError as error:
        print(f"og-magics serve: {error}. Install it: pip install 'og_magics[serve]'", file=sys.stderr)
        return 1
    from ..client.llm import LLM
    from ..core.settings import Settings, ledger_path
    from ..ledger import Ledger
    from .keys import Keys, hash_of, new_key

    journal = Ledger(ledger_path(settings := Settings.from_env(), None))
    llm = LLM(settings=settings, journal=journal)
    wallet, network = llm.wallet.address if llm.paid else "", llm.network
    key = os.environ.get(_KEY, "") or new_key()
    try:
        listening = socket.create_server(("127.0.0.1", args.port))
    except OSError as error:
        print(f"og-magics serve: port {args.port} of 127.0.0.1 cannot be had: {error.strerror}", file=sys.stderr)
        return 1
    with listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        paid = f"pays on {network.name}{' (real money)' if network.real_money else ''} from {wallet}"
        print(
            f"og-magics serve {paid if wallet else 'passes calls on; nothing is paid'}\n"
            f"Each call has a receipt: og-magics receipts --ledger {journal.path}\n"
            f"export OPENAI_BASE_URL={url}\n"
            f"export OPENAI_API_KEY={key}\n"
            f"Another notebook of ours: OG_GATEWAY_URL={url.removesuffix('/v1').replace('//', f'//og:{key}@')}",
            flush=True,
        )  # fmt: skip
        config = uvicorn.Config(
            make_app(llm, Keys({hash_of(key): "serve"})), log_level="warning", timeout_graceful_shutdown=10
        )
        uvicorn.Server(config).run(sockets=[listening])
    return 0
