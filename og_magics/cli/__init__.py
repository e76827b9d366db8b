"""`og-magics`: the notebook's verbs from a shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ..errors import OGError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; the exit status: 0 done, 1 failed, 2 used wrongly."""
    parser = argparse.ArgumentParser(prog="og-magics", description="LLM calls in notebooks, paid and proven.")
    parser.add_argument("--version", action="version", version=f"og_magics {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    devnet = verbs.add_parser("devnet", help="a network on this machine: chain, gateway, simulated models")
    _devnet_arguments(devnet)

    run = verbs.add_parser("run", help="run a notebook without a browser, then print its receipts")
    run.add_argument("notebook", type=Path)
    run.add_argument("-o", "--output", type=Path, help="write the executed notebook here; the original stays as it is")
    run.add_argument("--kernel", default="", help="the kernel's name, instead of the notebook's own")

    receipts = verbs.add_parser("receipts", help="the receipts that a saved notebook carries")
    receipts.add_argument("notebook", type=Path)

    verbs.add_parser("models", help="the models, with prices in USD per million tokens")

    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return _dispatch(args)
    except OGError as error:
        print(f"og-magics: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `og-magics ... | head`
        sys.stderr.close()
        return 1


def _dispatch(args: argparse.Namespace) -> int:
    if args.verb == "devnet":
        from ..devnet.command import run as run_devnet

        return run_devnet(args)
    if args.verb == "run":
        from .run import run_notebook

        return run_notebook(args.notebook, output=args.output, kernel=args.kernel)
    if args.verb == "receipts":
        from ..display import receipts_table
        from ..ledger import receipts_in

        print(receipts_table(receipts_in(args.notebook)))
        return 0
    from ..app import models

    print(models().to_string(index=False, na_rep="-"))
    return 0


def _devnet_arguments(parser: argparse.ArgumentParser) -> None:
    # Its options stand beside what they mean, in a module that needs none of the devnet's own dependencies.
    from ..devnet.command import add_arguments

    add_arguments(parser)
