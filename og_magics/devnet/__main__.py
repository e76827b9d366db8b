"""`python -m og_magics.devnet`: the same as `og-magics devnet`."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path and not __file__.startswith(sys.path[0]):
    del sys.path[0]  # the working directory: what is called random.py there is none of ours

import argparse

from .command import add_arguments, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="og-magics devnet", description="Run a network on this machine.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
