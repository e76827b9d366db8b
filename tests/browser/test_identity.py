"""A notebook in JupyterLab and in Notebook 7 is the same after a rename, and another after a copy or under an old name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.ci

MIME = "application/vnd.og.receipt+json"
LOAD = "%load_ext og_magics"


def asked(lab: Lab, place: int, text: str) -> dict[str, Any]:
    """Ask in a cell, in the thread `plan`; return the receipt that the saved file has."""
    lab.write(place, f"%%ogchat -n 3 --thread plan\n{text}")
    lab.run(place).finished(place)

    def receipts(notebook: Any) -> list[dict[str, Any]]:
        found = [one["data"][MIME] for one in notebook.cells[place].get("outputs", []) if MIME in one.get("data", {})]
        return [one for one in found if one["request"]["messages"][-1]["content"] == text]

    return receipts(lab.until_saved(lambda notebook: bool(receipts(notebook))))[0]


def users(receipt: dict[str, Any]) -> list[str]:
    return [message["content"] for message in receipt["request"]["messages"] if message["role"] == "user"]


@pytest.fixture(params=["lab", "notebook7"])
def either(request: pytest.FixtureRequest) -> Any:
    """A page of JupyterLab, then one of Notebook 7."""
    return request.getfixturevalue(request.param)


def test_each_way_of_handling_a_file_is_known(either: Lab) -> None:
    lab = either
    lab.open(LOAD, "pass", "pass", "pass", name="Untitled.ipynb").run(0).finished(0)
    first = asked(lab, 1, "secret")

    # The dialog "Rename" calls this; the kernel goes on.
    lab.page.evaluate("jupyterapp.shell.currentWidget.context.rename('report.ipynb')")
    renamed = asked(lab, 2, "more")
    assert users(renamed) == ["secret", "more"]
    assert renamed["notebook_id"] == first["notebook_id"]
    lab.restart().run(0).finished(0)
    restarted = asked(lab, 3, "after a restart")
    assert users(restarted) == ["secret", "more", "after a restart"]
    assert restarted["notebook"] == "report.ipynb"

    # The next Untitled is another notebook.
    lab.open(LOAD, "pass", name="Untitled.ipynb").run(0).finished(0)
    other = asked(lab, 1, "mine")
    assert users(other) == ["mine"]
    assert other["notebook_id"] != first["notebook_id"]

    # So is a copy, made in the file browser.
    folder = lab.file("report.ipynb").parent.relative_to(lab.server.root).as_posix()
    lab.page.evaluate(f"jupyterapp.serviceManager.contents.copy('{folder}/report.ipynb', '{folder}')")
    lab.show("report-Copy1.ipynb").ready().run(0).finished(0)
    copied = asked(lab, 1, "of the copy")
    assert users(copied) == ["of the copy"]
    assert copied["notebook_id"] not in (first["notebook_id"], other["notebook_id"])

    # The file that was renamed is still itself when it is opened again, by another kernel.
    lab.server.end_kernels()
    lab.show("report.ipynb").ready().run(0).finished(0)
    again = asked(lab, 1, "opened again")
    assert again["notebook_id"] == first["notebook_id"]
