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

    receipts = verbs.add_parser("receipts", help="the receipts that a saved notebook carries, or those of a ledger")
    receipts.add_argument("notebook", type=Path, nargs="?")
    receipts.add_argument("--ledger", type=Path, metavar="FILE", help="read this ledger instead of a notebook")
    form = receipts.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print them with all that proves them, for other programs")
    form.add_argument("--csv", type=Path, metavar="FILE", help="write them into a .csv file")

    verify = verbs.add_parser(
        "verify",
        help="check the proofs that a saved notebook carries",
        description="Check the receipts of a saved notebook against what it shows. The exit status is 0 if every "
        "proof asked for holds for every receipt, 1 if one does not or is not known, 2 for wrong usage.",
    )
    _verify_arguments(verify)

    verbs.add_parser("models", help="the models, with prices in USD per million tokens")

    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return _dispatch(args, {"receipts": receipts, "verify": verify}.get(args.verb, parser))
    except OGError as error:
        print(f"og-magics: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `og-magics ... | head`
        sys.stderr.close()
        return 1


def _dispatch(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if args.verb == "devnet":
        from ..devnet.command import run as run_devnet

        return run_devnet(args)
    if args.verb == "run":
        from .run import run_notebook

        return run_notebook(args.notebook, output=args.output, kernel=args.kernel)
    if args.verb == "receipts":
        from .receipts import show_receipts

        if (args.notebook is None) == (args.ledger is None):
            parser.error("give a notebook, or a ledger with --ledger")
        if args.csv is not None and args.csv.suffix.lower() != ".csv":
            parser.error(f"--csv {args.csv}: the file's name must end in .csv")
        return show_receipts(args.notebook, ledger=args.ledger, as_json=args.json, csv=args.csv)
    if args.verb == "verify":
        from .verify import verify_notebook

        return verify_notebook(
            args.notebook,
            online=args.online,
            pcr=args.pcr,
            ledger=args.ledger,
            proofs=_proofs(args, parser),
            as_json=args.json,
        )
    from ..app import models

    print(models().to_string(index=False, na_rep="-"))
    return 0


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("notebook", type=Path)
    add("--online", action="store_true", help="ask the chains too: registry, payment, data")
    add("--pcr", metavar="HASH", default="", help="measurement of the enclave's code that must be registered")
    add("--ledger", type=Path, metavar="FILE", help="audit this ledger too; it must hold the notebook's receipts")
    add("--proofs", metavar="NAMES", help="only these, with commas: enclave, registry, payment, data, ledger")
    add("--json", action="store_true", help="for other programs")


def _proofs(args: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """The proofs to ask for: those named, or all that can be asked."""
    from .verify import OFFLINE, ONLINE, PROOFS

    possible = [*OFFLINE, *(ONLINE if args.online else ()), *(["ledger"] if args.ledger is not None else ())]
    if args.pcr and not args.online:
        parser.error("--pcr asks the registry, which needs --online")
    if args.proofs is None:
        return possible
    named = [name.strip() for name in args.proofs.split(",")]
    for name in named:
        if name not in PROOFS:
            parser.error(f"--proofs: there is no proof {name!r}; there are {', '.join(PROOFS)}")
        if name not in possible:
            parser.error(f"--proofs {name} needs {'--ledger FILE' if name == 'ledger' else '--online'}")
    return [name for name in PROOFS if name in named]


def _devnet_arguments(parser: argparse.ArgumentParser) -> None:
    # Its options stand beside what they mean, in a module that needs none of the devnet's own dependencies.
    from ..devnet.command import add_arguments

    add_arguments(parser)
