"""`python -m og_magics.devnet`: the same as `og-magics devnet`."""

from __future__ import annotations

import argparse
import sys

from .command import add_arguments, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="og-magics devnet", description="Run a network on this machine.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
