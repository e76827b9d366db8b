"""A notebook is the same after a rename, and another after a copy: real kernels, as each front end starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import Kernel

_RECEIPT = "application/vnd.og.receipt+json"


def write(path: Path, *cells: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def users(receipt: dict[str, Any]) -> list[str]:
    return [message["content"] for message in receipt["request"]["messages"] if message["role"] == "user"]


@pytest.mark.ci
def test_untitled_is_renamed_while_it_runs_and_the_next_untitled_is_another(
    new_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    path = tmp_path / "Untitled.ipynb"
    write(path, "x")
    kernel = new_kernel(JPY_SESSION_NAME=str(path))
    first = kernel.ask("%ogchat --thread plan secret").receipt
    os.rename(path, tmp_path / "report.ipynb")
    write(path, "y")
    renamed = kernel.ask("%ogchat --thread plan more").receipt
    assert (first["notebook"], renamed["notebook"]) == ("Untitled.ipynb", "report.ipynb")
    assert len({first["notebook_id"], renamed["notebook_id"]}) == 1
    kernel.restart()  # Jupyter keeps the name that it started the kernel with
    assert users(kernel.ask("%ogchat --thread plan and more").receipt) == ["secret", "more", "and more"]

    other = new_kernel(JPY_SESSION_NAME=str(path))
    assert other.eval("len(og_receipts)") == 0
    new = other.ask("%ogchat --thread plan hello").receipt
    assert users(new) == ["hello"]
    assert new["notebook_id"] != first["notebook_id"]


@pytest.mark.ci
def test_notebooks_that_papermill_runs_in_one_folder_have_threads_of_their_own(
    environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
) -> None:
    write(tmp_path / "in.ipynb", "%load_ext og_magics", "%%ogchat -n 3 --thread plan\nhello", "len(og_receipts)")
    ids = set()
    for how, out in ((), "one"), ((), "two"), (("--inject-output-path",), "three"), (("--inject-output-path",), "four"):
        command = [sys.executable, "-m", "papermill", *how, "in.ipynb", f"{out}.ipynb", "-k", "python3"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(devnet), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        outputs = [one for cell in nbformat.read(tmp_path / f"{out}.ipynb", 4).cells for one in cell.get("outputs", [])]
        (receipt,) = [one["data"][_RECEIPT] for one in outputs if _RECEIPT in one.get("data", {})]
        assert users(receipt) == ["hello"]
        ids.add(receipt["notebook_id"])
    assert len(ids) == 4
    assert {path.name for path in (tmp_path / ".og").glob("*.db")} == {"ledger.db", "three.db", "four.db"}


@pytest.mark.ci
def test_a_copy_of_an_executed_notebook_is_another(
    execute: Callable[..., nbformat.NotebookNode], new_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    execute("%load_ext og_magics", "%ogchat -n 3 --thread plan secret")
    shutil.copy(tmp_path / "executed.ipynb", tmp_path / "copy.ipynb")
    kernel = new_kernel(JPY_SESSION_NAME=str(tmp_path / "executed.ipynb"))
    assert users(kernel.ask("%ogchat -n 3 --thread plan more").receipt) == ["secret", "more"]
    copy = new_kernel(JPY_SESSION_NAME=str(tmp_path / "copy.ipynb"))
    assert users(copy.ask("%ogchat -n 3 --thread plan mine").receipt) == ["mine"]
    assert "plan (from executed)" in copy.ask("%og threads").value
