"""The file of users, the file of what they spend, and how spending is shown: without a server."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from og_magics.core.errors import ConfigError, LedgerError
from og_magics.core.settings import Settings
from og_magics.ledger import Ledger
from og_magics.serve.admission import Admission
from og_magics.serve.asking_process import has_ended, this_process
from og_magics.serve.budget_file import BudgetExceeded, BudgetFile, Spent
from og_magics.serve.usage_page import usage_csv, usage_html
from og_magics.serve.users import User, UserFile, read_users
from tests.unit.ledger.conftest import Make

HASH = "sha256:" + "ab" * 32
ANNA = User("anna", day=100, total=250)
NOON = 1_800_014_400.0
DAY = 24 * 3600


class TestUsers:
    def test_limits_are_their_own_or_those_of_all(self, tmp_path: Path) -> None:
        path = tmp_path / "users.toml"
        path.write_text(f'[defaults]\nday = 0.1\n[users.anna]\nkey = "{HASH}"\ntotal = "2"\nmodels = ["openai/*"]\n')
        anna = read_users(path).users["anna"]
        assert (anna.day, anna.total) == (10**17, 2 * 10**18)
        assert (anna.may_ask("openai/gpt-5"), anna.may_ask("google/gemini")) == (True, False)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[users.anna]", "has no key"),
            ('[users.anna]\nkey = "og-serve-in-plain-words"', "has no key"),
            (f'[users.anna]\nkey = "{HASH}"\n[users.bert]\nkey = "{HASH}"', "has the key of anna"),
            (f'[users.anna]\nkey = "{HASH}"\nbudget = 1', "not known"),
            (f'[users.anna]\nkey = "{HASH}"\nday = -1', "negative"),
            (f'[users.anna]\nkey = "{HASH}"\nday = true', "not an amount"),
            (f'[users.anna]\nkey = "{HASH}"\nmodels = "openai/*"', "not a list"),
            (f'[users.anna]\nkey = "{HASH}"\nrequests_a_minute = 0', "requests_a_minute"),
            (f'[users."=cmd"]\nkey = "{HASH}"', "not a name"),
            (f'[owner]\nkey = "{HASH}"\n[users.anna]\nkey = "{HASH}"', "has the key of anna"),
            ("opg_usd = 0", "opg_usd"),
            ("users = 1", "not a table"),
            ("[users", "not TOML"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_its_name(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "users.toml").write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_users(tmp_path / "users.toml")

    def test_a_change_that_cannot_be_read_is_told_once_and_changes_nothing(self, tmp_path: Path) -> None:
        path, heard = tmp_path / "users.toml", list[str]()
        path.write_text(f'[users.anna]\nkey = "{HASH}"')
        file = UserFile(path, tell=heard.append)
        path.write_text("[users")
        assert [set(file.table.users) for _ in range(3)] == [{"anna"}] * 3
        assert len(heard) == 1

    def test_a_hub_knows_its_users_without_keys(self, tmp_path: Path) -> None:
        (tmp_path / "users.toml").write_text("[users.anna]\nday = 1")
        assert set(read_users(tmp_path / "users.toml", keyless=True).users) == {"anna"}


class TestBudgets:
    def test_a_day_begins_anew_and_the_total_does_not(self, tmp_path: Path) -> None:
        now = [NOON]
        file = BudgetFile(tmp_path / "users.db", clock=lambda: now[0])
        for _ in range(2):
            file.reserve(ANNA, "openai/gpt-5", 100)
            with pytest.raises(BudgetExceeded, match="for a day"):
                file.reserve(ANNA, "openai/gpt-5", 1)
            now[0] += DAY
        file.reserve(ANNA, "openai/gpt-5", 50)
        with pytest.raises(BudgetExceeded, match="The budget of anna does not"):
            file.reserve(ANNA, "openai/gpt-5", 1)
        assert [one.amount for one in file.spent()] == [100, 100, 50]

    def test_what_was_not_paid_is_free_again_and_what_is_final_stays(self, tmp_path: Path) -> None:
        file = BudgetFile(tmp_path / "users.db")
        paid, free = file.reserve(ANNA, "m", 60), file.reserve(ANNA, "m", 40)
        file.count(paid, 70, final=True)
        file.count(free, 0, final=True, asked=False)
        file.count(paid, 0, final=True)
        (spent,) = file.spent()
        assert (spent.amount, spent.calls) == (70, 1)
        assert file.open_charges() == []
        with pytest.raises(BudgetExceeded):
            file.reserve(ANNA, "m", 31)
        file.reserve(ANNA, "m", 30)

    def test_amounts_are_exact_however_large(self, tmp_path: Path) -> None:
        rich = User("rich", total=10**40)
        file = BudgetFile(tmp_path / "users.db")
        file.reserve(rich, "m", 10**40 - 1)
        with pytest.raises(BudgetExceeded):
            file.reserve(rich, "m", 2)
        file.reserve(rich, "m", 1)

    def test_threads_and_processes_that_ask_at_once_never_go_over(self, tmp_path: Path) -> None:
        path = tmp_path / "users.db"
        code = (
            "import sys; from pathlib import Path\n"
            "from og_magics.serve.budget_file import BudgetExceeded, BudgetFile\n"
            "from og_magics.serve.users import User\n"
            "file = BudgetFile(Path(sys.argv[1]))\n"
            "for _ in range(40):\n"
            "    try: file.reserve(User('anna', day=100, total=100), 'm', 3)\n"
            "    except BudgetExceeded: pass\n"
        )
        others = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
        file = BudgetFile(path)

        def reserve(_: int) -> bool:
            try:
                return bool(file.reserve(User("anna", day=100, total=100), "m", 3))
            except BudgetExceeded:
                return False

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(reserve, range(40)))
        assert [one.wait(60) for one in others] == [0, 0]
        assert sum(one.amount for one in file.spent()) == 99

    def test_it_survives_its_process_and_is_its_owners_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "users.db"
        first = BudgetFile(path)
        id = first.reserve(ANNA, "m", 60)
        first.note_receipt(id, "01ab")
        again = BudgetFile(path)
        assert [(one.id, one.receipt, one.counted) for one in again.open_charges("anna")] == [(id, "01ab", 60)]
        if sys.platform != "win32":
            assert path.stat().st_mode & 0o077 == 0

    def test_a_file_of_another_program_is_left_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "users.db").write_bytes(b"no database, but a text of another program" * 50)
        with pytest.raises(LedgerError, match="cannot be"):
            BudgetFile(tmp_path / "users.db").spent()


class TestShown:
    HOSTILE = Spent("<script>alert(1)</script>", "2026-04-01", '=HYPERLINK("https://x.example")', 10**17, 2)

    def test_no_text_is_html(self) -> None:
        page = usage_html([self.HOSTILE], [User('"><img src=x onerror=alert(1)>')], "2026-04-01")
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    def test_no_cell_is_a_formula(self) -> None:
        (row,) = csv.DictReader(io.StringIO(usage_csv([self.HOSTILE])))
        assert row["model"] == '\'=HYPERLINK("https://x.example")'
        assert (row["opg"], row["calls"]) == ("0.1", "2")


RESERVES = """
import sys
from pathlib import Path
from og_magics.serve.budget_file import BudgetFile
from og_magics.serve.users import User
BudgetFile(Path(sys.argv[1])).reserve(User("anna", total=250), "m", 200)
print("reserved", flush=True)
sys.stdin.read()
"""


@pytest.mark.ci
@pytest.mark.skipif(not this_process(), reason="the system does not tell processes apart")
def test_what_a_killed_server_reserved_before_it_signed_is_free_when_the_next_one_starts(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    budgets = BudgetFile(path)
    admission = Admission(budgets, Ledger(tmp_path / "serve.db"), Settings, "devnet")
    with subprocess.Popen(
        [sys.executable, "-c", RESERVES, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "reserved\n"
        asyncio.run(admission.recover())
        assert [one.amount for one in budgets.spent()] == [200], "it still asks"
        (charge,) = budgets.open_charges()
        server.kill()
        server.wait()
    asyncio.run(admission.recover())
    assert [(one.amount, one.calls) for one in budgets.spent()] == [(0, 0)]
    assert has_ended(charge.process)
    assert not has_ended(this_process())
    elsewhere = charge.process.replace(charge.process.split()[0], "another-boot")
    assert not has_ended(elsewhere), "of another machine's processes nothing is known"
    assert not has_ended("")


ASKS = """
import sys
from dataclasses import replace
from pathlib import Path
from og_magics.ledger import Ledger
from og_magics.serve.budget_file import BudgetFile
from og_magics.serve.users import User
from tests.unit.ledger.conftest import Make
make, ledger = Make(), Ledger(sys.argv[2])
id = BudgetFile(Path(sys.argv[1])).reserve(User("anna", total=250), "m", 200)
receipt = ledger.open(make.question(cell=id, paid_for="anna"), "devnet", 1_800_000_000.0)
ledger.authorize(make.authorization())
ledger.attach(receipt, make.authorization().hash, None)
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.ci
@pytest.mark.skipif(not this_process(), reason="the system does not tell processes apart")
def test_what_a_killed_server_had_signed_counts_where_another_one_of_its_budgets_goes_on(tmp_path: Path) -> None:
    path, root = tmp_path / "users.db", Path(__file__).parents[3]
    budgets, ledger = BudgetFile(path), Ledger(tmp_path / "serve.db")
    admission = Admission(budgets, ledger, Settings, "devnet")
    with subprocess.Popen(
        [sys.executable, "-c", ASKS, str(path), str(ledger.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=root,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert server.stdout.readline() == "sent\n"
        server.kill()  # before it noted the receipt
        server.wait()
    (spent,) = asyncio.run(admission.spent())
    assert (spent.amount, spent.calls) == (200, 1), "what was sent may be charged"
    (charge,) = budgets.open_charges()
    assert charge.receipt == ledger.receipts()[0].receipt_id
    ledger.settle(Make().settlement(Make().authorization(), 70))
    assert [one.amount for one in asyncio.run(admission.spent())] == [70]


def test_a_file_of_before_processes_were_noted_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    file = BudgetFile(path)
    file.reserve(ANNA, "m", 60)
    file.close()
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.execute("ALTER TABLE charges DROP COLUMN process")
    assert [one.process for one in file.open_charges()] == [""]
    file.reserve(ANNA, "m", 40)
    assert sorted(one.process for one in file.open_charges()) == sorted(["", this_process()])
