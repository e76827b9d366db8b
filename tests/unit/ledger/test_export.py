"""Receipts as files, and back."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from og_magics.core.errors import ConfigError, LedgerError
from og_magics.core.receipt import COLUMNS, Receipt
from og_magics.ledger import Ledger, export_receipts, import_receipts, read_frame, receipts_frame

from ...conftest import examples


@pytest.fixture
def receipts(ledger: Ledger, make: Any) -> list[Receipt]:
    first = make.authorization(1)
    make.served(ledger, first, 1)
    make.served(ledger, first, 2)
    ledger.settle(make.settlement(first, 10**18 // 3))
    ledger.fail(make.attached(ledger, make.authorization(2)), 'It broke,\r\n"badly".', None)
    ledger.open(make.question("half \ud83d"), "devnet", 1_800_000_000.123456)
    ledger.open(make.question(cell="", notebook=""), "devnet", 1.0)
    return ledger.receipts()


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestJson:
    def test_nothing_is_lost(self, receipts: list[Receipt], tmp_path: Path) -> None:
        path = export_receipts(receipts, tmp_path / "r.json")
        assert import_receipts(path) == receipts
        assert len(json.loads(path.read_text())) == 5

    def test_none_at_all_is_an_empty_list(self, tmp_path: Path) -> None:
        assert import_receipts(export_receipts([], tmp_path / "r.JSON")) == []

    @pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"version": 9}]', "\x00", "[[]]"])
    def test_what_holds_no_receipts_is_an_error(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "r.json").write_text(content)
        with pytest.raises(LedgerError, match=r"r\.json does not hold receipts"):
            import_receipts(tmp_path / "r.json")


class TestCsv:
    def test_columns_and_exact_amounts(self, receipts: list[Receipt], tmp_path: Path) -> None:
        rows = cells(export_receipts(receipts, tmp_path / "r.csv"))
        assert tuple(rows[0]) == (*COLUMNS, "version")
        paid = next(row for row in rows if row["status"] == "settled")
        assert (paid["cost_opg"], paid["cap_opg"], paid["cost_usd"]) == ("0.111111111111111111", "0.1", "0.0001")
        assert (paid["prompt_tokens"], paid["latency_s"], paid["replayed"]) == ("11", "1.5", "False")
        assert paid["time"] == "2027-01-15T08:00:00.000000+00:00"
        assert (paid["error"], paid["tee_timestamp"]) == ("", "1800000001")

    def test_the_smallest_amount_is_written_out(self, receipts: list[Receipt], tmp_path: Path) -> None:
        small = dataclasses.replace(receipts[1], cost=1, cap=10**30, cost_usd="1E-7")
        (row,) = cells(export_receipts([small], tmp_path / "r.csv"))
        assert (row["cost_opg"], row["cap_opg"], row["cost_usd"]) == (
            "0." + "0" * 17 + "1",
            "1" + "0" * 12,
            "0.0000001",
        )

    def test_the_frame_comes_back(self, receipts: list[Receipt], tmp_path: Path) -> None:
        assert_frame_equal(read_frame(export_receipts(receipts, tmp_path / "r.csv")), receipts_frame(receipts))

    def test_an_empty_frame_comes_back(self, tmp_path: Path) -> None:
        assert_frame_equal(read_frame(export_receipts([], tmp_path / "r.csv")), receipts_frame([]))

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1", "''@x"])
    def test_a_formula_in_a_text_gets_an_apostrophe(self, receipts: list[Receipt], tmp_path: Path, text: str) -> None:
        hostile = dataclasses.replace(receipts[1], error=text, finish_reason=text, tee_signature=text, model=text)
        path = export_receipts([hostile], tmp_path / "r.csv")
        (row,) = cells(path)
        assert {row[name] for name in ("error", "finish_reason", "tee_signature", "model")} == {"'" + text}
        assert_frame_equal(read_frame(path), receipts_frame([hostile]))

    def test_a_formula_where_a_number_belongs_gets_one_too(self, receipts: list[Receipt], tmp_path: Path) -> None:
        hostile = dataclasses.replace(receipts[1], tee_timestamp="=1+1")  # type: ignore[arg-type]  # from a notebook
        (row,) = cells(export_receipts([hostile], tmp_path / "r.csv"))
        assert row["tee_timestamp"] == "'=1+1"

    def test_numbers_are_as_they_are(self, receipts: list[Receipt], tmp_path: Path) -> None:
        odd = dataclasses.replace(receipts[1], latency_s=-1.5, tee_timestamp=-5, cost=-1)
        (row,) = cells(export_receipts([odd], tmp_path / "r.csv"))
        assert (row["latency_s"], row["tee_timestamp"], row["cost_opg"]) == ("-1.5", "-5", "-0." + "0" * 17 + "1")

    @settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        text=st.text(st.characters(codec="utf-8") | st.sampled_from("='+-@\",\r\n\x00\t"), min_size=1),
        latency=st.none() | st.floats(allow_nan=False),
        cost=st.none() | st.integers(0, 2**256),
        tokens=st.none() | st.integers(0, 2**63 - 1),
    )
    def test_whatever_the_text_the_frame_comes_back(
        self, tmp_path: Path, text: str, latency: float | None, cost: int | None, tokens: int | None
    ) -> None:
        receipt = Receipt(
            "01", 1.5, text, text, "devnet", text, text, "batch", "served", error=text,
            latency_s=latency, cost=cost, completion_tokens=tokens, tee_timestamp=tokens,
        )  # fmt: skip
        path = export_receipts([receipt, receipt], tmp_path / "r.csv")
        assert_frame_equal(read_frame(path), receipts_frame([receipt, receipt]))

    @pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff", ",".join(COLUMNS).encode() + b"\n1,2\n"])
    def test_what_holds_no_receipts_is_an_error(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "r.csv").write_bytes(content)
        with pytest.raises(LedgerError, match=r"r\.csv does not hold receipts"):
            read_frame(tmp_path / "r.csv")

    @pytest.mark.parametrize(("column", "cell"), [("time", "noon"), ("cost_opg", "much"), ("replayed", "perhaps")])
    def test_a_cell_that_cannot_be_read_is_an_error(
        self, receipts: list[Receipt], tmp_path: Path, column: str, cell: str
    ) -> None:
        path = export_receipts(receipts[:1], tmp_path / "r.csv")
        row = cells(path)[0] | {column: cell}
        path.write_text(",".join(COLUMNS) + "\n" + ",".join(row[name] for name in COLUMNS) + "\n")
        with pytest.raises(LedgerError, match="does not hold receipts"):
            read_frame(path)


class TestParquet:
    def test_without_pyarrow_the_error_says_what_to_install(
        self, receipts: list[Receipt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(name: str) -> Any:
            raise ImportError(name)

        (tmp_path / "old.parquet").write_bytes(b"PAR1")
        monkeypatch.setattr(importlib, "import_module", missing)
        with pytest.raises(ConfigError, match="pip install pyarrow"):
            export_receipts(receipts, tmp_path / "r.parquet")
        with pytest.raises(ConfigError, match="pip install pyarrow"):
            read_frame(tmp_path / "old.parquet")
        assert not (tmp_path / "r.parquet").exists()

    def test_the_frame_comes_back(self, receipts: list[Receipt], tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        for some in (receipts, receipts[-1:], []):
            path = export_receipts(some, tmp_path / "r.parquet")
            assert_frame_equal(read_frame(path), receipts_frame(some))
        assert str(read_frame(export_receipts(receipts, path))["cap_opg"].iloc[1]) == "0.1"

    def test_other_programs_see_types(self, receipts: list[Receipt], tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        frame = pd.read_parquet(export_receipts(receipts, tmp_path / "r.parquet"))
        assert frame["cost_opg"].dropna().iloc[0] == Decimal("0.111111111111111111")
        assert str(frame["time"].dtype) == "datetime64[us, UTC]"

    def test_an_amount_beyond_its_decimals_is_an_error(self, receipts: list[Receipt], tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        huge = dataclasses.replace(receipts[1], cap=2**256)
        with pytest.raises(LedgerError, match="do not fit"):
            export_receipts([huge], tmp_path / "r.parquet")

    def test_what_holds_no_receipts_is_an_error(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        (tmp_path / "r.parquet").write_bytes(b"PAR1 or so")
        pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
        for name in ("r.parquet", "other.parquet"):
            with pytest.raises(LedgerError, match="does not hold receipts"):
                read_frame(tmp_path / name)


class TestFiles:
    def test_an_unknown_suffix_is_an_error_that_names_the_known(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"\.parquet"):
            export_receipts([], tmp_path / "r.xlsx")
        with pytest.raises(ConfigError, match="read_frame"):
            import_receipts(tmp_path / "r.csv")
        with pytest.raises(ConfigError, match="import_receipts"):
            read_frame(tmp_path / "r.json")

    def test_a_file_that_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        for read, name in ((import_receipts, "r.json"), (read_frame, "r.csv")):
            with pytest.raises(LedgerError, match="No such file"):
                read(tmp_path / name)

    def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="cannot be written"):
            export_receipts([], tmp_path / "no" / "r.json")
        (tmp_path / "taken.csv").mkdir()
        with pytest.raises(LedgerError, match="cannot be written"):
            export_receipts([], tmp_path / "taken.csv")
        assert [path.name for path in tmp_path.iterdir() if path.name != ".og"] == ["taken.csv"]

    def test_a_file_that_is_there_is_replaced(self, receipts: list[Receipt], tmp_path: Path) -> None:
        export_receipts(receipts, tmp_path / "r.json")
        export_receipts(receipts[:1], tmp_path / "r.json")
        assert len(import_receipts(tmp_path / "r.json")) == 1
