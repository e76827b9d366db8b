"""The `og-magics` command: one verb per line of its help."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ..core.errors import ConfigError, OGError
from ..core.options import SETTINGS
from ..core.shared_ledger import is_server, ledger_argument


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return the exit status: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="og-magics", description="LLM calls in notebooks, paid and verifiable.")
    parser.add_argument("--version", action="version", version=f"og_magics {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    devnet = verbs.add_parser("devnet", help="run a network on this machine: chain, gateway, prepared answers")
    _devnet_arguments(devnet)

    serve = verbs.add_parser(
        "serve",
        help="serve any OpenAI client on this machine: each call is paid by this wallet and has a receipt",
        description="Serve OpenAI's API (chat completions, completions, models) on 127.0.0.1. Each call is paid by "
        "this wallet, within its budgets, and has a receipt in the ledger. It prints the address and the key for "
        "clients; OG_SERVE_KEY keeps a key of your own. Needs og_magics[serve].",
    )
    _serve_arguments(serve)

    quickstart = verbs.add_parser(
        "quickstart",
        help="write a first notebook into this folder, run it, and verify its receipts",
        description="Write quickstart.ipynb into the current folder, run it and verify its receipts. It runs on the "
        "devnet, a network on this machine that costs nothing, unless OG_NETWORK names another one. The exit status "
        "is 0 if every cell ran and every receipt holds, else 1.",
    )
    quickstart.add_argument("--force", action="store_true", help="overwrite a quickstart.ipynb that is there already")
    quickstart.add_argument("--kernel", default="", help="the kernel's name, instead of the notebook's own")

    _add_run(verbs.add_parser("run", help="run a notebook without a browser, then print its receipts"))
    receipts = verbs.add_parser("receipts", help="list the receipts in a saved notebook or a ledger")
    _add_receipts(receipts)
    _add_ledger(verbs.add_parser("ledger", help="copy a ledger: from a file to a server, or back"))

    verify = verbs.add_parser(
        "verify",
        help="verify the receipts in a saved notebook",
        description="Check the receipts of a saved notebook against what it shows. The exit status is 0 if every "
        "proof asked for holds for every receipt, 1 if one does not or is not known, 2 for wrong usage.",
    )
    _verify_arguments(verify)

    scrub = verbs.add_parser(
        "scrub",
        help="copy a notebook without its prompts and answers; its receipts can still be verified",
        description="Write a copy of a notebook for publication: prompts, answers and what is private are taken out; "
        "hashes, signatures and payments stay, for `og-magics verify`. With --check nothing is written: what should "
        "not be published is listed, and the exit status is 1 if anything is.",
    )
    _scrub_arguments(scrub)

    diff = verbs.add_parser(
        "diff",
        help="compare two runs of a notebook, apart from times and payments",
        description="Compare the sources of two notebooks and what their outputs show. Times, execution counts, ids "
        "and facts of payments are left out. The exit status is 0 if nothing differs, 1 if something does.",
    )
    diff.add_argument("before", type=Path)
    diff.add_argument("after", type=Path)
    diff.add_argument("--json", action="store_true", help="print JSON, for other programs")

    doctor = verbs.add_parser(
        "doctor",
        help="check packages, wallet, network and ledger, with a remedy for each problem",
        description="Check Python, packages, Jupyter, wallet, network and ledger. Nothing is paid, and no devnet is "
        "started. The exit status is 0 if nothing fails, else 1.",
    )
    _doctor_arguments(doctor)

    env = verbs.add_parser("env", help="keep the environment that a notebook ran in (%%og env) in its metadata")
    env.add_argument("notebook", type=Path)

    verbs.add_parser("models", help="list the models, with prices in USD per million tokens")

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another code page lacks some characters
    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        if args.verb in ("run", "quickstart"):
            _make_paths_absolute()
        return _dispatch(args, {"receipts": receipts, "verify": verify, "scrub": scrub}.get(args.verb, parser))
    except OGError as error:
        print(f"og-magics: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `og-magics ... | head`
        sys.stderr.close()
        return 1


def _make_paths_absolute() -> None:
    """Make paths in the environment those that the user means: a kernel runs in the folder of its notebook."""
    for name in ("OG_LEDGER", "OG_KEYSTORE", "OG_DEVNET"):
        value = os.environ.get(name, "").strip()
        if value and not value.startswith("{") and not is_server(value):
            os.environ[name] = str(Path(value).expanduser().absolute())
    if files := os.environ.get("OG_REPLAY_FROM", ""):
        os.environ["OG_REPLAY_FROM"] = _absolute(files)


def _absolute(files: str) -> str:
    return ",".join(str(Path(name.strip()).expanduser().absolute()) for name in files.split(",") if name.strip())


def _doctor_arguments(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("notebook", type=Path, nargs="?", help="also check its environment and its ledger")
    doctor.add_argument("--offline", action="store_true", help="use no network")
    doctor.add_argument("--json", action="store_true", help="print JSON, for other programs")


def _ledger(typed: str) -> Path:
    try:
        return ledger_argument(typed)
    except ConfigError as error:  # argparse would print what was typed: a URL may hold a password
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_ledger(ledger: argparse.ArgumentParser) -> None:
    copy = ledger.add_subparsers(dest="action", metavar="copy", required=True).add_parser(
        "copy",
        help="copy all of a ledger to a place where there is none yet",
        description="Copy a ledger: receipts, payments, conversations, recorded answers. Each place is a path or the "
        "URL of a shared ledger. The journal's chain of hashes is checked in the source, and in the copy before it "
        "counts; if it does not hold, nothing is copied.",
    )
    copy.add_argument("source", type=_ledger)
    copy.add_argument("target", type=_ledger)


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("notebook", type=Path)
    run.add_argument("-o", "--output", type=Path, help="write the executed notebook here; the original stays as it is")
    run.add_argument("--kernel", default="", help="the kernel's name, instead of the notebook's own")
    run.add_argument(
        "--replay", choices=SETTINGS["replay"].choices, help="show recorded answers; only: nothing can be paid"
    )
    run.add_argument("--replay-from", metavar="FILES", help=SETTINGS["replay_from"].help)


def _dispatch(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if args.verb == "devnet":
        from ..devnet.command import run as run_devnet

        return run_devnet(args)
    if args.verb == "serve":
        from ..serve.command import run as run_server

        _make_paths_absolute()
        return run_server(args)
    if args.verb == "quickstart":
        from .quickstart import quickstart

        return quickstart(Path(), force=args.force, kernel=args.kernel)
    if args.verb == "run":
        from .run import run_notebook

        said = {"OG_REPLAY": args.replay, "OG_REPLAY_FROM": args.replay_from and _absolute(args.replay_from)}
        os.environ.update({name: value for name, value in said.items() if value is not None})
        return run_notebook(args.notebook, output=args.output, kernel=args.kernel)
    if args.verb == "receipts":
        return _receipts(args, parser)
    if args.verb == "ledger":
        from .ledger import copy

        return copy(args.source, args.target)
    if args.verb == "verify":
        from .verify import verify_notebook

        return verify_notebook(
            args.notebook,
            online=args.online,
            pcr=args.pcr,
            ledger=args.ledger,
            proofs=_proofs(args, parser),
            as_json=args.json,
            allow_unproven=args.allow_unproven,
            attested="attestation" in (args.proofs or ""),
        )
    if args.verb == "doctor":
        from .doctor import examine

        return examine(args.notebook, offline=args.offline, as_json=args.json)
    if args.verb == "env":
        from .doctor import keep_environment

        return keep_environment(args.notebook)
    if args.verb == "diff":
        from ..notebook.diff import diff_notebooks

        return diff_notebooks(args.before, args.after, as_json=args.json)
    if args.verb == "scrub":
        return _scrub(args, parser)
    from ..session import models

    print(models().to_string(index=False, na_rep="-"))
    return 0


def _add_receipts(receipts: argparse.ArgumentParser) -> None:
    receipts.add_argument("notebook", type=Path, nargs="?")
    receipts.add_argument(
        "--ledger", type=_ledger, metavar="FILE", help="read this ledger: a path, or the URL of a shared one"
    )
    receipts.add_argument(
        "--settle", action="store_true",
        help="first look on chain for the payments in the ledger (the notebook's, where none is named); needs no key",
    )  # fmt: skip
    receipts.add_argument(
        "--adopt", action="store_true",
        help="take over, after a question, what another user or machine wrote into the ledger: answers, conversations",
    )  # fmt: skip
    receipts.add_argument("--yes", action="store_true", help="with --adopt: do not ask")
    receipts.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="look for payments at most so long (60)"
    )
    for name in ("model", "provider", "from-notebook", "status"):
        text = "of this notebook's name" if name == "from-notebook" else f"of this {name}"
        receipts.add_argument(f"--{name}", action="append", metavar="NAME", help=f"only those {text}; may be repeated")
    receipts.add_argument("--since", metavar="TIME", help="only those from this time on, such as 2026-04-01 (UTC)")
    receipts.add_argument("--until", metavar="TIME", help="only those before this time")
    form = receipts.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print them as JSON, with everything that verification needs")
    form.add_argument("--csv", type=Path, metavar="FILE", help="write them into this .csv file")


def _receipts(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from ..core.receipt_filter import receipt_filter
    from .receipts import adopt, show_receipts

    neither = args.notebook is None and args.ledger is None
    if (neither and not args.settle) or None not in (args.notebook, args.ledger):
        parser.error("give either a notebook or --ledger FILE")
    if args.csv is not None and args.csv.suffix.lower() != ".csv":
        parser.error(f"--csv {args.csv}: the file's name must end in .csv")
    if args.adopt:
        return adopt(args.notebook, args.ledger, yes=args.yes)
    return show_receipts(
        args.notebook,
        ledger=args.ledger,
        as_json=args.json,
        csv=args.csv,
        settle=args.timeout if args.settle else None,
        choice=receipt_filter(
            model=args.model, provider=args.provider, from_notebook=args.from_notebook, since=args.since,
            until=args.until, status=args.status,
        ),
    )  # fmt: skip


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    from ..serve.command import add_arguments

    add_arguments(parser)


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("notebook", type=Path)
    add("--online", action="store_true", help="also ask the chains: registry, payment, data")
    add("--pcr", metavar="HASH", default="", help="require this measurement of the enclave's code in the registry")
    add(
        "--ledger",
        type=_ledger,
        metavar="FILE",
        help="also audit this ledger; it must hold the notebook's receipts",
    )
    add(
        "--proofs",
        metavar="NAMES",
        help="verify only these, with commas: enclave, attestation, registry, payment, data, ledger",
    )
    add(
        "--allow-unproven", action="store_true",
        help="outputs of cells that ask may be without a receipt, as what functions print, as long as none looks like "
        "an answer",
    )  # fmt: skip
    add("--json", action="store_true", help="print JSON, for other programs")


def _proofs(args: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """Return the proofs to ask for: those that were named, or all that can be asked."""
    from .verify import OFFLINE, ONLINE, PROOFS

    possible = [*OFFLINE, *(ONLINE if args.online else ()), *(["ledger"] if args.ledger is not None else ())]
    if args.pcr and not args.online:
        parser.error("--pcr is checked in the registry: add --online")
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
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write here, not to NOTEBOOK.scrubbed.ipynb; may be the notebook",
    )
    add("--all-outputs", action="store_true", help="clear the outputs of the other cells as well")
    add("--check", action="store_true", help="write nothing; list what should not be published")
    add("--keep-answers", action="store_true", help="with --check: look for keys, tokens and paths only")
    add(
        "--ledger",
        type=_ledger,
        metavar="FILE",
        help="also look for what this ledger holds; those beside are found",
    )


def _scrub(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from ..notebook.scrub import check_notebooks, scrub_notebook

    if args.check:
        if args.output is not None or args.all_outputs:
            parser.error("--check writes nothing: leave out --output and --all-outputs")
        return check_notebooks(args.notebook, keep_answers=args.keep_answers, ledger=args.ledger)
    if args.keep_answers:
        parser.error("--keep-answers needs --check")
    if len(args.notebook) > 1:
        parser.error("scrub one notebook at a time; only --check takes several")
    return scrub_notebook(args.notebook[0], args.output, all_outputs=args.all_outputs, ledger=args.ledger)


def _devnet_arguments(parser: argparse.ArgumentParser) -> None:
    # This module needs none of the devnet's own dependencies.
    from ..devnet.command import add_arguments

    add_arguments(parser)
