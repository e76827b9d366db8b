"""A column of the receipts table is declared in one place and met everywhere."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

import og_magics
from og_magics.core import receipt_columns
from og_magics.core.receipt import Receipt
from og_magics.core.receipt_columns import RECEIPT_COLUMNS, ReceiptColumn, column_dtype, compared_columns
from og_magics.ledger import export_receipts, import_receipts, read_frame, receipts_frame

RECEIPT = Receipt(
    receipt_id="01", time=1.5, cell="3", notebook="n.ipynb", network="devnet", provider="openai", model="openai/gpt-5",
    settlement="batch", status="served", path="/v1/chat/completions",
)  # fmt: skip


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> ReceiptColumn:
    """A column that the table has in this test only: how long the route of the request is."""
    column = ReceiptColumn(
        "route_length", "count", "the request: characters of its route", "characters", field="path", convert=len,
        of_a_run=True, compared=True, heading="Route",
    )  # fmt: skip
    monkeypatch.setitem(receipt_columns.RECEIPT_COLUMNS, column.name, column)
    return column


def test_the_dataframe_has_an_added_column_with_its_dtype(added: ReceiptColumn) -> None:
    frame = receipts_frame([RECEIPT])
    assert frame["route_length"].tolist() == [20]
    assert str(frame["route_length"].dtype) == "Int64"
    assert list(frame.columns)[-1] == "route_length"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_of_the_frame_have_an_added_column_and_give_it_back(
    added: ReceiptColumn, tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = export_receipts([RECEIPT], tmp_path / f"r.{suffix}")
    assert_frame_equal(read_frame(path), receipts_frame([RECEIPT]))
    if suffix == "csv":
        (row,) = csv.DictReader(path.read_text().splitlines())
        assert row["route_length"] == "20"


def test_a_json_file_holds_the_field_that_an_added_column_reads(added: ReceiptColumn, tmp_path: Path) -> None:
    path = export_receipts([RECEIPT], tmp_path / "r.json")
    assert json.loads(path.read_text())[0][added.receipt_field] == "/v1/chat/completions"
    assert receipts_frame(import_receipts(path))["route_length"].tolist() == [20]


def test_a_comparisons_frame_has_an_added_column(added: ReceiptColumn) -> None:
    from og_magics.conversation.dataframes import frame_of

    names = compared_columns("model")
    assert (names[0], names[-1]) == ("model", "route_length")
    frame = frame_of([dict.fromkeys(names) | {"route_length": added.read(RECEIPT)}], names)
    assert (frame["route_length"][0], str(frame["route_length"].dtype)) == (20, "Int64")


def test_a_diff_leaves_an_added_column_of_a_run_out(added: ReceiptColumn) -> None:
    from og_magics.notebook.diff import changes_between

    def cells(length: int, model: str) -> list[dict[str, Any]]:
        table = (
            f"<table><tr><th>model</th><th>route_length</th><th>Route</th></tr>"
            f"<tr><td>{model}</td><td>{length}</td><td>{length}</td></tr></table>"
        )
        output = {"output_type": "display_data", "data": {"text/html": table}, "metadata": {}}
        return [{"cell_type": "code", "id": "a", "source": "x", "outputs": [output]}]

    assert changes_between(cells(20, "m"), cells(30, "m")) == []
    assert changes_between(cells(20, "m"), cells(20, "n")) != []


def test_the_reference_page_has_an_added_column_with_unit_and_source(added: ReceiptColumn) -> None:
    row = "| `route_length` | `Int64` | characters | the request: characters of its route |"
    assert row in _generated().receipt_columns()


def test_every_column_says_where_its_value_comes_from_and_reads_a_receipt() -> None:
    for name, column in RECEIPT_COLUMNS.items():
        assert column.source, name
        assert column.receipt_field in Receipt.__slots__, name
        value = column.read(RECEIPT)
        assert value is not None or column.nullable, name
        assert column_dtype(name) == str(receipts_frame([RECEIPT])[name].dtype), name


def test_every_amount_has_a_unit() -> None:
    amounts = [column for column in RECEIPT_COLUMNS.values() if column.kind == "amount"]
    assert [(column.name, column.unit) for column in amounts] == [
        ("cost_opg", "OPG"),
        ("cost_usd", "USD"),
        ("cap_opg", "OPG"),
    ]


def _generated() -> Any:
    path = Path(og_magics.__file__).parents[1] / "docs" / "generated.py"
    spec = importlib.util.spec_from_file_location("generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
