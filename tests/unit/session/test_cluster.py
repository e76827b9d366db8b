"""Shares of rows for workers: what travels with them, what they show of themselves, and which worker is refused."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from og_magics.conversation import Options, StoredAnswers, fingerprint_of, prompt_rows, url_for_workers
from og_magics.core.errors import ConfigError, OGError, StreamError
from og_magics.core.settings import Secret, Settings
from og_magics.session import Session
from og_magics.session.asking import TurnMaker
from og_magics.session.cluster import ClusterRun
from og_magics.session.cluster_share import Share, ShareState, Terms, _as_event, _portable, ask_share, terms_of
from og_magics.session.many import BatchRequest

KEY = "0x" + "4f" * 32
PRIVATE = "a private question"


@pytest.fixture
def app(tmp_path: Path) -> Session:
    settings = Settings(
        private_key=Secret(KEY), network="devnet", ledger=str(tmp_path / "a.db"), devnet='{"private_key": "0x99"}',
        rpc_url="https://user:password99@rpc.example/v2/abcdef0123456789abcdef", max_tokens=7, system="be brief",
    )  # fmt: skip
    return Session(settings)


def terms(app: Session, options: Options | None = None) -> Terms:
    more: dict[str, Any] = {"most": 8, "adapts": False, "patience": 1.0, "max_failures": None, "agreed": False}
    return terms_of(app, options or Options(), out="/shared/a.parquet", table="answers", total=2, **more)


def share(app: Session) -> Share:
    return Share("run-000001", terms(app), {0: PRIVATE, 1: "another"}, "Prompt", b"0" * 32)


def test_no_key_and_no_private_url_travels(app: Session) -> None:
    sent = pickle.dumps(share(app))
    assert PRIVATE.encode() in sent
    for secret in (KEY, KEY[2:], "password99", "abcdef0123456789abcdef", "0x99"):
        assert secret.encode() not in sent
    assert (terms(app).options.max_tokens, terms(app).options.system) == (7, "be brief")
    assert pickle.loads(sent).prompts == {0: PRIVATE, 1: "another"}


def test_a_share_shows_no_prompt_where_dask_shows_its_task(app: Session) -> None:
    from dask._task_spec import Task

    one = share(app)
    shown = [repr(one), str(one), f"{one}", repr(Task("key", ask_share, one)), repr(one.terms)]
    assert shown[0] == "<Share run-000001: 2 rows>"
    assert not [text for text in shown if PRIVATE in text or "be brief" in text]
    state = ShareState("run-000001", "a", 1, {"StreamError": 1}, Decimal(1), "", OGError(PRIVATE), OGError(PRIVATE))
    assert PRIVATE not in str(_as_event(state))
    assert PRIVATE not in repr(state)


def test_a_worker_that_is_set_up_otherwise_is_told_and_asks_nothing(
    app: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = share(app)
    refused = ask_share(replace(one, terms=replace(one.terms, version="0.0.1")))
    assert isinstance(refused.stopped_by, ConfigError)
    assert "you have 0.0.1" in str(refused.stopped_by)
    assert refused.ended
    monkeypatch.setenv("OG_GATEWAY_URL", "https://other.example")
    assert "another OG_GATEWAY_URL" in str(ask_share(one).stopped_by)
    monkeypatch.delenv("OG_GATEWAY_URL")
    assert "does not know the practice network" in str(ask_share(one).stopped_by)
    monkeypatch.setenv("OG_DEVNET", "{}")
    other = replace(one, terms=replace(one.terms, place="elsewhere"))
    assert "keeps its receipts elsewhere" in str(ask_share(other).stopped_by)
    assert "would ask something else" in str(ask_share(one).stopped_by)


def test_an_error_is_handed_over_without_what_it_holds() -> None:
    error = StreamError("it broke", money="paid", remedy="ask")
    error.answer = lambda: None  # type: ignore[attr-defined]  # which cannot be pickled
    copy = pickle.loads(pickle.dumps(_portable(error)))
    assert (type(copy), str(copy), copy.money) == (StreamError, str(error), "paid")
    assert "ValueError" in str(_portable(ValueError("x")))
    assert _portable(None) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schema": "Label"}, "schema is the name 'Label'"),
        ({"tools": "look_up"}, "tools is the name 'look_up'"),
        ({"context": "all"}, "of this notebook alone"),
    ],
)
def test_names_that_only_this_notebook_knows_are_refused(app: Session, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        terms(app, Options(**options))


@pytest.mark.parametrize(
    ("out", "cluster", "said"),
    [
        (None, "tcp://127.0.0.1:1", "need a place"),
        ("postgresql://me:pa55word@host/x", "tcp://127.0.0.1:1", "would go to the workers through the scheduler"),
        ("a.parquet", 7, "cluster is a int"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    app: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: Any, cluster: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("og_magics.session.asking._app", app)
    request = BatchRequest(["a"], 8, None, out, None, 1.0, False, Options(), None, cluster)
    for _ in range(2):  # the place is free again
        with pytest.raises(ConfigError, match=said) as raised:
            request.start()
        assert "pa55word" not in str(raised.value) + repr(request)


def test_a_database_in_a_file_has_one_path_for_all_and_a_worker_that_does_not_see_it_asks_nothing(
    app: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert url_for_workers("sqlite:///a.db") == f"sqlite:///{tmp_path / 'a.db'}"
    for url in ("sqlite:///:memory:", "sqlite://", "postgresql://me@host/x"):
        assert url_for_workers(url) == url
    monkeypatch.setattr("og_magics.session.asking._app", app)
    with pytest.raises(ConfigError, match="in memory ends with this process"):
        BatchRequest(["a"], 8, None, "sqlite://", None, 1.0, False, Options(), None, "tcp://127.0.0.1:1").start()
    monkeypatch.setenv("OG_DEVNET", "{}")
    one = share(app)
    away = replace(one, terms=replace(one.terms, out=f"sqlite:///{tmp_path / 'not here.db'}"))
    right = TurnMaker(app, prompt_rows([PRIVATE, "another"], None), one.terms.options).plain(0).request
    refused = ask_share(replace(away, fingerprint=fingerprint_of(right)))
    assert "does not see" in str(refused.stopped_by)
    assert not list(tmp_path.glob("not here*"))


def test_the_cost_of_an_attempt_that_died_stays_in_the_sum() -> None:
    run = ClusterRun.__new__(ClusterRun)
    result: Any = StoredAnswers.__new__(StoredAnswers)
    run.stopped_by, run._result, run._before, run._states, run._costs = None, result, 10, {}, {}
    run._terms = type("Terms", (), {"max_failures": 2})  # type: ignore[assignment]
    run._woken = threading.Event()
    for state in (
        ShareState("s1", "first", 3, {}, Decimal("0.3")),
        ShareState("s1", "second", 4, {"StreamError": 1}, Decimal("0.1")),
        ShareState("s2", "only", 5, {}, Decimal("0.5")),
    ):
        run._heard((0.0, _as_event(state)))
    assert (result.answered, result.cost, dict(result.failures)) == (19, Decimal("0.9"), {"StreamError": 1})
    assert run.stopped_by is None
    run._heard((0.0, _as_event(ShareState("s2", "only", 5, {"StreamError": 1}, Decimal("0.5")))))
    assert "max_failures is 2" in str(run.stopped_by)
