"""The receipts that a saved notebook carries in its outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import LedgerError
from ..receipt import MIME, Receipt


def receipts_in(notebook: str | Path) -> list[Receipt]:
    """The receipts of an .ipynb file, in the order of its cells. They are what the file says: verify them.

    Raises:
        LedgerError: no such file, not a notebook, or a receipt in it that cannot be read.
    """
    path = Path(notebook).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        outputs = [output for cell in content["cells"] for output in cell.get("outputs", [])]
        forms = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LedgerError(f"{path} is not a notebook.", remedy="Give the path of an .ipynb file.") from None
    try:
        return [Receipt.from_json(form if isinstance(form, Mapping) else {}) for form in forms]
    except ValueError as error:
        raise LedgerError(
            f"{path} holds a receipt that cannot be read: {error}.",
            remedy="It was edited, or written by a newer og_magics.",
        ) from None
