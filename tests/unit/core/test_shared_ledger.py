"""The URL of a shared ledger, and the file that stands for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from og_magics.core.errors import ConfigError
from og_magics.core.redaction import private_in, redacted
from og_magics.core.secret import without_secrets
from og_magics.core.settings import Settings, ledger_path
from og_magics.core.shared_ledger import SUFFIX, is_server, ledger_argument, shared_at, shared_ledger

URL = "postgresql://anna:w0rd%2Fof%40mine@db.example:5433/team?schema=spring&sslmode=require"
WORD = "w0rd/of@mine"


def test_it_is_read_into_what_libpq_is_told() -> None:
    found = shared_ledger(URL)
    assert found.options == {
        "host": "db.example", "port": "5433", "dbname": "team", "user": "anna", "password": WORD, "sslmode": "require",
    }  # fmt: skip
    assert found.schema == "spring"
    assert found.shown == "postgresql://anna@db.example:5433/team?schema=spring"


def test_its_password_is_in_nothing_that_is_shown(state_folder: Path) -> None:
    found = shared_ledger(URL)
    settings = Settings(ledger=URL)
    shown = (
        f"{found!r} {found.shown} {found.path} {settings!r} {settings.ledger} {without_secrets(f'no, {WORD} it said')}"
    )
    assert WORD not in shown
    assert "w0rd" not in shown
    assert found.path.is_relative_to(state_folder.resolve())


def test_a_password_in_such_a_url_is_found_and_removed_wherever_it_stands() -> None:
    text = "OG_LEDGER=postgresql://bob:another-one@host/db"
    assert "a login in a URL" in private_in(text)
    assert "another-one" not in redacted(text)


@pytest.mark.parametrize("text", ["postgres://h/db", "postgresql://h/db", " PostgreSQL://h/db", "postgresql:/h/db"])
def test_what_is_one(text: str) -> None:
    assert is_server(text)
    assert is_server(Path(text)) or text.startswith(" ")


@pytest.mark.parametrize("text", ["", "ledger.db", "/a/postgresql.db", "postgresql.db", "sqlite:///x"])
def test_what_is_none(text: str) -> None:
    assert not is_server(text)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secretword@host:port/db",
        "postgresql://me:secretword@host",
        "postgresql://me:secretword@host/db?options=-csearch_path%3Dx",
        "postgresql://me@host/db?password=secretword",
        "postgresql://me:secretword@host/db?schema=a;drop",
        "postgresql://me:secretword@[host/db",
    ],
)
def test_a_wrong_one_is_told_in_plain_words_and_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="URL of the shared ledger") as caught:
        shared_ledger(url)
    assert "secretword" not in f"{caught.value} {caught.value.__cause__}"
    assert "nothing was paid" in caught.value.money
    assert caught.value.remedy


class TestTheFileThatStandsForIt:
    def test_it_is_the_path_of_the_ledger(self, state_folder: Path) -> None:
        path = ledger_path(Settings(ledger=URL), Path("any.ipynb"))
        assert (path.suffix, path.stem) == (SUFFIX, "spring")
        assert ledger_argument(URL) == path
        assert ledger_argument("a.db") == Path("a.db")
        assert shared_at(path) == shared_ledger(URL)
        assert not path.exists(), "it is written when the server is reached"

    def test_two_passwords_and_users_are_one_ledger_and_two_schemas_are_not(self, state_folder: Path) -> None:
        path = shared_ledger(URL).path
        assert shared_ledger("postgres://bob@db.example:5433/team?schema=spring").path == path
        assert shared_ledger("postgres://bob@db.example:5433/team").path != path

    def test_who_was_not_told_the_url_reads_it_there(self, state_folder: Path) -> None:
        path = state_folder / "elsewhere" / f"x{SUFFIX}"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"url": "postgresql://anna@other.example/team"}))
        found = shared_at(path)
        assert found is not None
        assert found.options == {"host": "other.example", "dbname": "team", "user": "anna"}

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 7}', '{"url": "file.db"}', "\x00"])
    def test_a_file_of_something_else_stands_for_nothing(self, state_folder: Path, content: str) -> None:
        path = state_folder / f"x{SUFFIX}"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        assert shared_at(path) is None
        assert shared_at(state_folder / "ledger.db") is None
