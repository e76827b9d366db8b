"""A folder of answers: what it holds after a kill at any place, and whom it refuses."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from og_magics.conversation import row_store
from og_magics.conversation.row_store import RowStore
from og_magics.conversation.schema_columns import FieldColumn, columns_of
from og_magics.conversation.structured_output import output_schema_of
from og_magics.core.errors import ConfigError, LedgerError

LABEL = FieldColumn("label", "label", "text")


def row(at: int, **more: Any) -> dict[str, Any]:
    return {
        "row": at, "prompt": f"p{at}", "text": f"t{at}", "label": "x", "cost": 10**20, "cost_opg": Decimal(100),
        "cost_usd": Decimal("0.000000125"), "latency_s": 0.5, "replayed": False, "fingerprint": f"{at:064x}", **more,
    }  # fmt: skip


def add(opened: RowStore, values: dict[str, Any], *, failed: bool = False) -> None:
    opened.write([(values, failed)])


def store(path: Path) -> RowStore:
    return RowStore(path / "answers.parquet", [LABEL]).open()


def test_rows_are_read_in_their_order_with_exact_amounts(tmp_path: Path) -> None:
    opened = store(tmp_path)
    for at in (2, 0, 1):
        add(opened, row(at))
    opened.finish()
    frame = opened.frame()
    assert list(frame.index) == [0, 1, 2]
    assert list(frame["text"]) == ["t0", "t1", "t2"]
    assert frame["cost"].iloc[0] == 10**20
    assert frame["cost_usd"].iloc[0] == Decimal("0.000000125")
    read = pd.read_parquet(tmp_path / "answers.parquet")
    assert sorted(read["row"]) == [0, 1, 2]


def test_a_part_is_written_for_every_thousand_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "PART_ROWS", 10)
    opened = store(tmp_path)
    for at in range(25):
        add(opened, row(at))
    assert len(list(opened.path.glob("part-*.parquet"))) == 2
    assert len(opened.frame()) == 20
    opened.close()  # as a kill leaves it
    again = store(tmp_path)
    assert sorted(again.answered) == list(range(25))
    add(again, row(25))
    again.finish()
    assert list(again.frame().index) == list(range(26))


def test_a_kill_between_a_part_and_the_clearing_leaves_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "PART_ROWS", 10)
    opened = store(tmp_path)
    for at in range(9):
        add(opened, row(at))
    written = row_store._write_synced

    def killed(*arguments: Any) -> None:
        written(*arguments)
        raise OSError("killed")

    monkeypatch.setattr(row_store, "_write_synced", killed)
    with pytest.raises(LedgerError, match="cannot be written"):
        add(opened, row(9))
    opened.close()
    monkeypatch.setattr(row_store, "_write_synced", written)
    again = store(tmp_path)
    assert sorted(again.answered) == list(range(10))
    again.finish()
    assert list(again.frame().index) == list(range(10))


def test_rows_that_a_killed_process_wrote_are_there(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from tests.unit.conversation.test_row_store import add, row, store\n"
        "opened = store(Path(sys.argv[1]))\n"
        "for at in range(7):\n    add(opened, row(at))\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    opened = store(tmp_path)
    assert sorted(opened.answered) == list(range(7))
    opened.finish()
    assert len(opened.frame()) == 7


def test_a_failure_is_kept_until_the_next_run_begins(tmp_path: Path) -> None:
    opened = store(tmp_path)
    add(opened, row(0))
    add(opened, row(1, error="StreamError: it broke", text=None), failed=True)
    opened.finish()
    assert list(opened.frame()["error"].isna()) == [True, False]
    again = store(tmp_path)
    assert sorted(again.answered) == [0]
    again.begin()
    add(again, row(1))
    again.finish()
    assert again.frame()["error"].isna().all()


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    opened = store(tmp_path)
    with pytest.raises(ConfigError, match=r"Another run writes into answers\.parquet\. Nothing was sent"):
        store(tmp_path)
    opened.close()
    store(tmp_path).close()


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.parquet").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.csv").write_text("x")
    for name, told in (
        ("file.parquet", "is a file"),
        ("full", "holds other files"),
        ("none/here", "There is no folder"),
    ):
        with pytest.raises(ConfigError, match=told):
            RowStore(tmp_path / name, []).open()
    assert (tmp_path / "full" / "mine.csv").exists()


def test_another_schema_is_refused(tmp_path: Path) -> None:
    opened = store(tmp_path)
    add(opened, row(0))
    opened.finish()
    with pytest.raises(ConfigError, match="made with another schema"):
        RowStore(tmp_path / "answers.parquet", []).open()
    store(tmp_path).close()  # and it is not locked


def test_a_part_that_was_damaged_is_named(tmp_path: Path) -> None:
    opened = store(tmp_path)
    add(opened, row(0))
    opened.finish()
    (opened.path / "part-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"part-000001\.parquet .* cannot be read"):
        store(tmp_path)


def test_without_pyarrow_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"og_magics\[parquet\]"):
        RowStore(tmp_path / "answers.parquet", [])


class TestColumns:
    def test_each_field_has_one_of_its_type(self) -> None:
        schema = output_schema_of(
            {
                "type": "object",
                "properties": {
                    "text": {"type": "string"}, "n": {"type": ["integer", "null"]}, "x": {"type": "number"},
                    "yes": {"type": "boolean"}, "tags": {"type": "array"}, "one": {"$ref": "#/$defs/o"},
                },
                "$defs": {"o": {"type": "string"}},
            },
            {},
        )  # fmt: skip
        columns = columns_of(schema, ("text",))
        assert [(column.name, column.kind) for column in columns] == [
            ("parsed_text", "text"), ("n", "integer"), ("x", "number"), ("yes", "flag"), ("tags", "json"), ("one", "text"),
        ]  # fmt: skip

    def test_a_value_that_does_not_fit_is_none(self) -> None:
        assert FieldColumn("n", "n", "integer").value({"n": 2**70}) is None
        assert FieldColumn("n", "n", "integer").value({"n": 3.0}) == 3
        assert FieldColumn("n", "n", "flag").value({"n": "yes"}) is None
        assert FieldColumn("n", "n", "json").value({"n": {"a": ["ä"]}}) == '{"a": ["ä"]}'
        assert FieldColumn("n", "n", "text").value([]) is None

    def test_what_has_no_fields_is_in_one_column(self) -> None:
        assert columns_of(output_schema_of({"type": "object"}, {}), ()) == [FieldColumn("parsed", "", "json")]
        assert columns_of(None, ()) == []
        assert [column.name for column in columns_of(output_schema_of(list[int], {}), ())] == ["value"]


class TestShares:
    def test_each_is_written_by_itself_and_all_are_read_together(self, tmp_path: Path) -> None:
        whole = store(tmp_path)
        for name, at in (("a", 0), ("b", 1)):
            share = RowStore(whole.path, [LABEL], name).open()
            assert not share.answered
            add(share, row(at))
            share.finish()
        whole.finish()
        assert list(whole.frame().index) == [0, 1]
        assert not list(whole.path.glob("_run-*"))

    def test_what_a_killed_one_had_is_taken_in_and_one_that_still_writes_is_waited_for(self, tmp_path: Path) -> None:
        store(tmp_path).close()
        share = RowStore(tmp_path / "answers.parquet", [LABEL], "a").open()
        add(share, row(5))
        with pytest.raises(ConfigError, match="Another run writes"):
            store(tmp_path)
        share.close()  # as a kill leaves it
        again = RowStore(tmp_path / "answers.parquet", [LABEL], "a").open()
        assert list(again.answered) == [5]
        again.close()
        whole = store(tmp_path)
        assert list(whole.answered) == [5]
        whole.finish()
        assert list(whole.frame().index) == [5]
