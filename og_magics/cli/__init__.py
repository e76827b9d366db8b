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

    scrub = verbs.add_parser(
        "scrub",
        help="a copy of a notebook without prompts and answers, whose receipts still prove what they can",
        description="Write a copy of a notebook for publication: prompts, answers and what is private are taken out; "
        "hashes, signatures and payments stay, for `og-magics verify`. With --check nothing is written: what should "
        "not be published is listed, and the exit status is 1 if there is any.",
    )
    _scrub_arguments(scrub)

    diff = verbs.add_parser(
        "diff",
        help="what differs between two runs of a notebook, apart from times and payments",
        description="Compare the sources of two notebooks and what their outputs show. Times, execution counts, ids "
        "and facts of payments are left out. The exit status is 0 if nothing differs, 1 if something does.",
    )
    diff.add_argument("before", type=Path)
    diff.add_argument("after", type=Path)
    diff.add_argument("--json", action="store_true", help="for other programs")

    doctor = verbs.add_parser(
        "doctor",
        help="whether everything is there that a notebook needs, with a remedy for what is not",
        description="Look at Python, packages, Jupyter, wallet, network and ledger. Nothing is paid, and no devnet is "
        "started. The exit status is 0 if nothing fails, else 1.",
    )
    doctor.add_argument("notebook", type=Path, nargs="?", help="compare with what it ran with, and look at its ledger")
    doctor.add_argument("--offline", action="store_true", help="ask no network")
    doctor.add_argument("--json", action="store_true", help="for other programs")

    env = verbs.add_parser("env", help="keep what a notebook ran with (%%og env) in its metadata")
    env.add_argument("notebook", type=Path)

    verbs.add_parser("models", help="the models, with prices in USD per million tokens")

    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return _dispatch(args, {"receipts": receipts, "verify": verify, "scrub": scrub}.get(args.verb, parser))
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
    if args.verb == "doctor":
        from .doctor import examine

        return examine(args.notebook, offline=args.offline, as_json=args.json)
    if args.verb == "env":
        from .doctor import keep_environment

        return keep_environment(args.notebook)
    if args.verb == "diff":
        from .diff import diff_notebooks

        return diff_notebooks(args.before, args.after, as_json=args.json)
    if args.verb == "scrub":
        return _scrub(args, parser)
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


def _scrub_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("notebook", type=Path, nargs="+")
    add("-o", "--output", type=Path, metavar="FILE", help="instead of NOTEBOOK.scrubbed.ipynb; may be the notebook")
    add("--all-outputs", action="store_true", help="clear the outputs of the other cells as well")
    add("--check", action="store_true", help="write nothing; tell what should not be published")
    add("--keep-answers", action="store_true", help="with --check: look for keys, tokens and paths only")


def _scrub(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from .scrub import check_notebooks, scrub_notebook

    if args.check:
        if args.output is not None or args.all_outputs:
            parser.error("--check writes nothing")
        return check_notebooks(args.notebook, keep_answers=args.keep_answers)
    if args.keep_answers:
        parser.error("--keep-answers goes with --check")
    if len(args.notebook) > 1:
        parser.error("one notebook at a time; --check takes several")
    return scrub_notebook(args.notebook[0], args.output, all_outputs=args.all_outputs)


def _devnet_arguments(parser: argparse.ArgumentParser) -> None:
    # Its options stand beside what they mean, in a module that needs none of the devnet's own dependencies.
    from ..devnet.command import add_arguments

    add_arguments(parser)
