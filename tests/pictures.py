"""Takes pictures of the main screens, in light and dark, in JupyterLab: `python -m tests.pictures FOLDER`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Take them into the folder that is named."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = Path(arguments[0]).absolute()
    test = Path(__file__).parent / "browser" / "test_screens.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=test.parents[2], env=os.environ | {"OG_SCREENS": str(folder)}, check=False)
    print(*sorted(path.name for path in folder.glob("*.png")), sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
