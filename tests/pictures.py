"""Takes pictures of the real thing, in light and dark, in JupyterLab.

`python -m tests.pictures FOLDER` takes the main screens, for a person to look at; `python -m tests.pictures README`
takes those of the README and the manual anew: an answer that streams and the panel, as an animation, and stills.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_BROWSER = Path(__file__).parent / "browser"
_IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main(arguments: list[str]) -> int:
    """Take them, and print the names of the files."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    readme = arguments == ["README"]
    folder = _IMAGES if readme else Path(arguments[0]).absolute()
    test = _BROWSER / ("test_pictures.py" if readme else "test_screens.py")
    variables = {"OG_PICTURES": "1"} if readme else {"OG_SCREENS": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, cwd=test.parents[2], env=os.environ | variables, check=False)
    taken = [path for path in folder.glob("*.*") if path.suffix in (".png", ".gif")]
    print(*(f"{path.name:<24} {path.stat().st_size:>9,} bytes" for path in sorted(taken)), sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
