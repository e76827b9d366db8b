"""`ask_many` into a folder of Parquet files, on a devnet: what is there, what a second call asks, what is refused."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel, field_validator

import og_magics as og
from og_magics.core.errors import ConfigError, InsufficientBalance, OGError, PaymentRefused, StreamError
from og_magics.devnet import Devnet
from og_magics.session import Session
from tests.long_run import Gate, long_run
from tests.postgres import PASSWORD, USER, Server

FRAME = pd.DataFrame({"text": [f"review {at}" for at in range(12)], "stars": range(12)})
TEMPLATE = "Classify: {text} ({stars} stars)"


class Label(BaseModel):
    label: str
    score: float


@pytest.fixture
def app(app_of: Callable[..., Session], devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr("og_magics.core.settings._limits", {})
    made = app_of(devnet)
    monkeypatch.setattr("og_magics.session.asking._app", made)
    return made


def ask(out: Path | None, prompts: Any = FRAME, **options: Any) -> Any:
    given: dict[str, Any] = {"template": TEMPLATE, "max_tokens": 5, "progress": False, **options}
    return og.ask_many(prompts, "auto", out=out, **given)


@pytest.mark.ci
def test_each_row_is_in_the_files_with_what_it_cost(
    app: Session, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    many = ask(tmp_path / "a.parquet", schema=Label, max_tokens=60)
    assert repr(many) == "<StoredAnswers: 12 of 12 answered, in a.parquet>"
    assert len(many) == many.answered == 12
    read = pd.read_parquet(tmp_path / "a.parquet").set_index("row").sort_index()
    assert list(read["prompt"]) == [f"Classify: review {at} ({at} stars)" for at in range(12)]
    assert {type(label) for label in read["label"]} == {str}
    assert read["score"].dtype == "float64"
    assert not read["replayed"].any()
    assert read["error"].isna().all()
    receipts = og.receipts().set_index("receipt_id")
    assert set(read["receipt_id"]) == set(receipts.index)
    eventually(lambda: og.receipts()["payment_hash"].notna().all())  # not og.settle(): it looks for other tests' too
    frame, settled = many.frame, og.receipts().set_index("receipt_id")
    for _, row in frame.iterrows():
        assert row["cost_opg"] == settled.loc[row["receipt_id"], "cost_opg"]
        assert row["cost"] == int(row["cost_opg"] * 10**18)
    assert FRAME.join(frame[["label"]])["label"].notna().all()


def test_the_same_call_again_asks_nothing_and_more_rows_are_added(app: Session, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    ask(out, FRAME.head(7))
    assert len(og.receipts()) == 7
    again = ask(out, FRAME.head(7))
    assert (again.found, again.answered, len(og.receipts())) == (7, 7, 7)
    more = ask(out)
    assert (more.found, more.answered, len(og.receipts())) == (7, 12, 12)
    assert list(more.frame.index) == list(range(12))


def test_what_is_in_the_receipts_is_not_paid_again(app: Session, tmp_path: Path) -> None:
    ask(tmp_path / "a.parquet")
    other = ask(tmp_path / "b.parquet")
    assert len(og.receipts()) == 12
    assert other.frame["replayed"].all()
    assert list(other.frame["receipt_id"]) == list(ask(tmp_path / "a.parquet").frame["receipt_id"])
    ask(tmp_path / "c.parquet", replay="off")
    assert len(og.receipts()) == 24


def test_rows_that_ask_the_same_are_asked_once(app: Session, tmp_path: Path) -> None:
    many = ask(tmp_path / "a.parquet", ["same"] * 6 + ["other"], template=None)
    assert len(og.receipts()) == 2
    assert list(many.frame["replayed"]).count(False) == 2
    assert many.frame["text"].notna().all()


def test_other_prompts_for_the_same_place_are_refused_before_anything_is_paid(app: Session, tmp_path: Path) -> None:
    ask(tmp_path / "a.parquet", FRAME.head(3))
    for changed in ({"template": "Rate: {text}"}, {"max_tokens": 6}, {"schema": Label}):
        with pytest.raises(ConfigError, match=r"another request than that of Row 0|another schema"):
            ask(tmp_path / "a.parquet", FRAME.head(3), **changed)
    (tmp_path / "file.parquet").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        ask(tmp_path / "file.parquet")
    with pytest.raises(ConfigError, match="Row 1 has nothing in the column 'text'"):
        ask(tmp_path / "b.parquet", pd.DataFrame({"text": ["a", None], "stars": [1, 2]}))
    with pytest.raises(ConfigError, match="private key"):
        ask(tmp_path / "c.parquet", ["a", "my private key is 0x" + "ab" * 32], template=None)
    assert len(og.receipts()) == 3


def test_a_table_has_what_a_folder_has_and_the_same_call_goes_on(app: Session, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/answers.db"
    first = ask(url, FRAME.head(7), schema=Label, max_tokens=60, table="labels")
    assert repr(first) == f"<StoredAnswers: 7 of 7 answered, in the table labels of {url}>"
    assert len(og.receipts()) == 7
    many = ask(url, schema=Label, max_tokens=60, table="labels")
    assert (many.found, many.answered, len(og.receipts())) == (7, 12, 12)
    folder = ask(tmp_path / "a.parquet", schema=Label, max_tokens=60)
    assert folder.frame["replayed"].all()
    same = [name for name in folder.frame.columns if name not in ("replayed", "status")]
    assert many.frame[same].astype(object).equals(folder.frame[same].astype(object))
    read = pd.read_sql_table("labels", url)
    assert list(read.sort_values("row")["prompt"]) == list(folder.frame["prompt"])
    with pytest.raises(ConfigError, match=r"table labels of sqlite.* holds the answer to another request than that of"):
        ask(url, schema=Label, max_tokens=61, table="labels")
    with pytest.raises(ConfigError, match="table names a table of a database"):
        ask(tmp_path / "a.parquet", table="labels")
    assert len(og.receipts()) == 12


def test_failures_are_rows_too_and_are_asked_again(app: Session, tmp_path: Path) -> None:
    prompts = ["a", "b [[fail:stream]]", "c", "d [[fail:stream]]"]
    many = ask(tmp_path / "a.parquet", prompts, template=None)
    assert (many.answered, dict(many.failures)) == (2, {"StreamError": 2})
    frame = many.frame
    assert list(frame["error"].isna()) == [True, False, True, False]
    assert frame["error"].iloc[1].startswith("StreamError: ")
    again = many.resume()
    assert (again.found, again.answered, again.failures.total()) == (2, 2, 2)
    assert len(og.receipts()) == 6
    assert len(again.frame) == 4


def test_after_max_failures_it_stops_and_resume_goes_on(app: Session, tmp_path: Path) -> None:
    prompts = [*["a [[fail:stream]]"] * 3, *[f"good {at}" for at in range(20)]]
    for out in (tmp_path / "a.parquet", None):
        with pytest.raises(StreamError, match="broke the stream off"):
            og.ask_many(prompts, 1, out=out, max_failures=3, max_tokens=2, progress=False, replay="off")
    many = og.ask_many(prompts[::-1], 1, max_failures=1, max_tokens=2, progress=False)
    assert many.answered == 20
    assert many.failures == {"StreamError": 1}
    assert many.resume() is many
    assert (many.answered, many.failures) == (20, {"StreamError": 1})


def test_an_answer_that_does_not_fit_is_kept_with_its_error_and_not_paid_again(app: Session, tmp_path: Path) -> None:
    seen: list[str] = []

    class Picky(Label):
        @field_validator("label")
        @classmethod
        def takes_the_first(cls, value: str) -> str:
            seen.append(value)
            if len(seen) > 1:
                raise ValueError("only the first is taken")
            return value

    prompts = ["good", "bad"]
    many = og.ask_many(prompts, 1, out=tmp_path / "a.parquet", schema=Picky, max_tokens=60, progress=False)
    assert (many.answered, dict(many.failures)) == (1, {"AnswerError": 1})
    assert many.frame["error"].iloc[1].startswith("AnswerError: The answer does not fit Picky")
    assert many.frame["text"].iloc[1]
    asked = len(og.receipts())
    many.resume()
    assert len(og.receipts()) == asked


def test_the_question_before_much_is_spent_holds_for_frames(
    app: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def no(estimate: Any, text: str) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("og_magics.session.many.confirm_estimate", no)
    app.update_settings(approve_above=10**15)
    for out in (None, tmp_path / "a.parquet"):
        with pytest.raises(PaymentRefused, match="You did not allow it"):
            ask(out)
    assert ["12 calls" in text for text in asked] == [True, True]
    assert len(og.receipts()) == 0
    told = og.estimate(FRAME, template=TEMPLATE, max_tokens=5)
    assert (told.questions, told.most_calls) == (12, 12)


def test_an_empty_wallet_stops_it_and_the_error_is_raised(
    app_of: Callable[..., Session], devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics.core.settings import Secret

    poor = app_of(devnet, private_key=Secret(devnet.accounts[2]["private_key"]))
    monkeypatch.setattr("og_magics.session.asking._app", poor)
    with pytest.raises(InsufficientBalance):
        og.ask_many(["a"] * 30, 2, out=tmp_path / "a.parquet", progress=False)
    assert len(og.receipts()) <= 2


@pytest.fixture
def gate(app_of: Callable[..., Session], devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(devnet.gateway_url_http)
    made = app_of(devnet, gateway_url=gate.url, retries=2)
    monkeypatch.setattr("og_magics.session.asking._app", made)
    return gate


@pytest.mark.ci
def test_a_gateway_that_goes_away_fails_no_row(gate: Gate) -> None:
    og.ask("warm", max_tokens=1)
    timer = threading.Timer(0.5, gate.go_away)
    back = threading.Timer(3.0, gate.come_back)
    for one in (timer, back):
        one.start()
    many = og.ask_many([f"[[slow:0.2]] {at}" for at in range(60)], 4, max_tokens=2, progress=False)
    back.join()
    assert (many.answered, many.failures, many.stopped_by) == (60, {}, None)


@pytest.mark.ci
def test_one_that_says_429_half_of_the_time_fails_no_row(gate: Gate) -> None:
    og.ask("warm", max_tokens=1)
    gate.busy = True
    many = og.ask_many([str(at) for at in range(40)], "auto", max_tokens=2, progress=False)
    assert (many.answered, many.failures) == (40, {})
    assert gate.refused >= 10
    assert len({receipt.receipt_id for receipt in many.receipts if receipt.status != "failed"}) == 40


def test_one_that_was_never_there_is_told_soon(gate: Gate) -> None:
    gate.go_away()
    with pytest.raises(OGError, match="cannot be reached"):
        og.ask_many(["a", "b"], progress=False, patience=1.0)


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_again_and_again_asks_nothing_twice(
    tmp_path: Path, bare_environment: Callable[[], dict[str, str]], report: Callable[[str], None]
) -> None:
    done = long_run(500, tmp_path, kills=3, away=5.0, environment=bare_environment())
    for line in done.lines():
        report(line)
    assert (done.answered, done.failed, done.twice, done.kills) == (500, 0, 0, 3)
    assert done.refused > 0
    assert done.away == 5.0


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_so_does_one_into_a_table_on_a_server(
    tmp_path: Path,
    bare_environment: Callable[[], dict[str, str]],
    report: Callable[[str], None],
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = f"postgresql+psycopg://{USER}@127.0.0.1:{postgres.port}/postgres"
    done = long_run(300, tmp_path, kills=3, away=1.0, environment=bare_environment(), out=url)
    for line in done.lines():
        report(line)
    assert (done.answered, done.failed, done.twice, done.kills) == (300, 0, 0, 3)


def test_in_memory_the_frame_has_the_fields_of_the_schema_too(app: Session) -> None:
    many = ask(None, FRAME.head(3), schema=Label, max_tokens=60)
    assert list(many.frame.columns[:4]) == ["prompt", "text", "label", "score"]
    assert list(many.frame["label"]) == [answer.parsed.label for answer in many.done]
    assert pickle.loads(pickle.dumps(many)).frame.equals(many.frame)
