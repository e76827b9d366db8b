"""A table of answers, on SQLite and on PostgreSQL: what it holds after a kill, whom it refuses, what nobody sees."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from og_magics.conversation.answer_store import AnswerStore
from og_magics.conversation.row_store import RowStore
from og_magics.conversation.schema_columns import FieldColumn
from og_magics.conversation.sql_store import SqlStore, is_url
from og_magics.core.errors import ConfigError, LedgerError
from tests.postgres import PASSWORD, Server

COLUMNS = [FieldColumn("label", "label", "text"), FieldColumn("sure", "sure", "flag"), FieldColumn("n", "n", "integer")]


def row(at: int, **more: Any) -> dict[str, Any]:
    return {
        "row": at, "prompt": f"p{at}", "text": f"t{at}", "label": "x", "sure": True, "n": at, "cost": 10**20 + 1,
        "cost_opg": Decimal("100.000000000000000001"), "cost_usd": Decimal("0.000000125"), "latency_s": 0.5,
        "replayed": False, "receipt_id": f"r{at}", "fingerprint": f"{at:064x}", **more,
    }  # fmt: skip


def put(opened: AnswerStore, *rows: dict[str, Any], failed: bool = False) -> None:
    opened.write([(one, failed) for one in rows])


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/answers.db"
    server: Server = request.getfixturevalue("postgres")
    name = f"answers_{secrets.token_hex(6)}"
    whole = server.url().partition("?")[0]
    engine = create_engine(whole.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return whole.rpartition("/")[0] + f"/{name}"


def test_rows_are_read_in_their_order_as_from_a_folder(url: str, tmp_path: Path) -> None:
    opened, folder = SqlStore(url, COLUMNS).open(), RowStore(tmp_path / "a.parquet", COLUMNS).open()
    for store in (opened, folder):
        put(store, row(2), row(0, text="nul \0 half \ud800", label=None), row(1, n=None, sure=None))
        put(store, row(3, error="StreamError: it broke", text=None), failed=True)
        store.finish()
    found, other = opened.frame(), folder.frame()
    assert list(found.index) == [0, 1, 2, 3]
    assert list(found.columns) == list(other.columns)
    assert found["cost"].iloc[0] == 10**20 + 1
    assert found["cost_opg"].iloc[0] == Decimal("100.000000000000000001")
    assert found["text"].iloc[0] == "nul \ufffd half ?"
    for column in set(found.columns) - {"text"}:
        for mine, his in zip(found[column], other[column], strict=True):
            assert (pd.isna(mine) and pd.isna(his)) or mine == his, column


def test_the_same_place_goes_on_and_forgets_failures(url: str) -> None:
    first = SqlStore(url, COLUMNS).open()
    put(first, *(row(at) for at in range(500)))
    put(first, row(500, error="x"), failed=True)
    first.close()
    again = SqlStore(url, COLUMNS).open()
    assert sorted(again.answered) == list(range(500))
    assert again.fingerprint(7) == bytes.fromhex(f"{7:064x}")
    again.begin()
    assert len(again.frame()) == 500
    put(again, row(500), row(3, text="anew"))
    again.finish()
    frame = again.frame()
    assert (len(frame), frame["text"].loc[3], frame["error"].isna().all()) == (501, "anew", True)
    some = SqlStore(url, COLUMNS, share="1", rows=(5, 9)).open()
    assert sorted(some.answered) == [5, 6, 7, 8, 9]
    some.close()


@pytest.mark.ci
def test_rows_that_a_killed_process_wrote_are_there_and_it_holds_nothing(url: str) -> None:
    program = (
        "import os, signal, sys\nfrom tests.unit.conversation.test_sql_store import COLUMNS, SqlStore, put, row\n"
        "opened = SqlStore(os.environ['WHERE'], COLUMNS).open()\n"
        "for at in range(7):\n    put(opened, row(at))\nprint('written', flush=True)\nsys.stdin.read()\n"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env=os.environ | {"WHERE": url, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "written\n"
    with pytest.raises(ConfigError, match="Another run writes into the table answers of"):
        SqlStore(url, COLUMNS).open()
    SqlStore(url, COLUMNS, "others").open().close()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    opened = _when_free(lambda: SqlStore(url, COLUMNS).open())
    assert sorted(opened.answered) == list(range(7))
    opened.close()


def _when_free(open: Callable[[], SqlStore]) -> SqlStore:
    for _ in range(100):
        try:
            return open()
        except ConfigError:  # a server notices a moment later that a client is gone
            signal.sigtimedwait([], 0.05)
    return open()


def test_a_table_of_other_columns_is_refused_and_stays_as_it_is(url: str) -> None:
    SqlStore(url, COLUMNS).open().close()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (a integer)"))
        connection.execute(text("INSERT INTO mine VALUES (1)"))
    for columns, table in ((COLUMNS[:1], "answers"), (COLUMNS, "mine")):
        with pytest.raises(ConfigError, match="has other columns"):
            SqlStore(url, columns, table).open()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM mine")) == 1
    engine.dispose()
    SqlStore(url, COLUMNS).open().close()  # and it is not locked


def test_a_place_that_cannot_be_is_refused_without_its_password(tmp_path: Path) -> None:
    word = "pa55:wo/rd"
    quoted = "pa55%3Awo%2Frd"
    for url, table, said in (
        (f"nodatabase://me:{quoted}@host/x", "answers", "nodatabase is not known"),
        (f"postgresql://me:{quoted}@127.0.0.1:1/x", "answers", "cannot be used"),
        (f"postgresql://me:{quoted}@127.0.0.1:port/x", "answers", "cannot be read"),
        (f"mssql+pyodbc://me:{quoted}@host/x?odbc_connect=PWD%3D{quoted}", "answers", "is not installed|not known"),
        ("sqlite://", "answers", "in memory"),
        (f"sqlite:///{tmp_path}/none/here.db", "answers", "cannot be used"),
        (f"sqlite:///{tmp_path}/a.db", "a b", "plain name"),
    ):
        with pytest.raises(ConfigError, match=said) as raised:
            SqlStore(url, COLUMNS, table).open()
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        assert word not in shown
        assert quoted not in shown


def test_the_password_and_the_rows_are_in_no_log_and_no_error(
    postgres: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    url = postgres.url().partition("?")[0]
    table = f"answers_{secrets.token_hex(4)}"
    opened = SqlStore(url, COLUMNS, table).open()
    private = " ".join(("a", "private", "answer"))  # not as it stands in a traceback's lines of this file
    put(opened, row(0, text=private))
    with opened._engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN label"))
    with pytest.raises(LedgerError) as raised:
        put(opened, row(1, text=private))
    opened.close()
    shown = caplog.text + "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value)) + repr(opened)
    assert "cannot be written into the table" in shown
    for one in (PASSWORD, url.split(":")[2].partition("@")[0], private):
        assert one not in shown


@pytest.mark.ci
def test_a_server_that_is_away_for_a_moment_is_waited_for() -> None:
    from tests.postgres import binaries

    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with Server(fsync="off") as server:
        opened = SqlStore(server.url().partition("?")[0], COLUMNS).open()
        put(opened, row(0))
        server.stop()
        server.start()
        put(opened, row(1))
        assert len(opened.frame()) == 2
        opened.close()


def test_without_sqlalchemy_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ConfigError, match=r"og_magics\[sql\]"):
        SqlStore("sqlite:///a.db", [])


def test_a_url_is_known_by_its_form() -> None:
    assert [is_url(one) for one in ("sqlite:///a.db", "postgresql+psycopg://h/d", "a.parquet", "/a/b", Path("a"))] == [
        True, True, False, False, False,
    ]  # fmt: skip
