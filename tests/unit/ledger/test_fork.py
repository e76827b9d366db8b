"""A process that forks: no ledger is spoiled, no child hangs, and one that cannot go on says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import og_magics

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

_PROLOGUE = """
import multiprocessing, os, sys, threading
from pathlib import Path
from og_magics.core.fork import new_lock
from og_magics.ledger import FrameCache, Ledger, file
from og_magics.core.types import *

def ask(ledger):
    return ledger.open(ChatRequest("/v1", "openai/gpt-5", {}, x402SettlementMode.PRIVATE), "devnet", 1.0)

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print("child:", type(error).__name__, error)
        sys.stdout.flush()
        os._exit(0)
    return child

ledger = Ledger(Path(sys.argv[1]) / ".og" / "n.db")
ask(ledger)
"""


def run(folder: Path, script: str) -> list[str]:
    root = str(Path(og_magics.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _PROLOGUE + script, str(folder)],
        env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_parent_that_closes_its_ledger_takes_nothing_from_a_child_that_writes(tmp_path: Path) -> None:
    script = """
came, sent = os.pipe()
goes, go = os.pipe()
def work():
    ask(ledger)
    os.write(sent, b".")
    os.read(goes, 1)
    ask(ledger), ask(ledger)
child = in_child(work)
os.read(came, 1)
ledger.close()  # the last connection, as far as this process knows: SQLite removes its log
os.write(go, b".")
os.waitpid(child, 0)
with Ledger(ledger.path) as afresh:
    print(len(afresh.receipts()), afresh.audit().ok)
"""
    assert run(tmp_path, script) == ["4 True"]


def test_a_fork_waits_for_the_transaction_that_another_thread_has_open(tmp_path: Path) -> None:
    script = """
inside, goes_on = threading.Event(), threading.Event()
def write():
    with ledger._file.writing() as connection:
        connection.execute("UPDATE receipts SET cell = 'held'")
        inside.set()
        goes_on.wait()
        connection.execute("UPDATE receipts SET cell = 'whole'")
writer = threading.Thread(target=write)
writer.start()
inside.wait()
os.register_at_fork(before=goes_on.set)  # the last that is registered is called first
child = in_child(lambda: (ask(ledger), print(*sorted(one.cell for one in ledger.receipts()))))
os.waitpid(child, 0)
writer.join()
ask(ledger)
print(len(ledger.receipts()))
"""
    assert run(tmp_path, script) == [" whole", "3"]


@pytest.mark.parametrize("how", ["ledger._file.writing()", "ledger._file.reading_beside()"])
def test_a_child_of_a_fork_that_could_not_wait_says_what_to_do_and_the_parent_goes_on(tmp_path: Path, how: str) -> None:
    script = f"""
file._PATIENCE = 0.05
inside, goes_on = threading.Event(), threading.Event()
def use():
    with {how}:
        inside.set()
        goes_on.wait()
user = threading.Thread(target=use)
user.start()
inside.wait()
os.waitpid(in_child(lambda: ask(ledger)), 0)
os.waitpid(in_child(lambda: ledger.receipts()), 0)
goes_on.set()
user.join()
ask(ledger)
print(len(ledger.receipts()))
"""
    *refused, last = run(tmp_path, script)
    assert len(refused) == 2
    for line in refused:
        assert line.startswith("child: LedgerError .og/n.db") or "n.db was read or written while" in line
        assert 'set_start_method("spawn")' in line
    assert last == "2"


def test_processes_of_a_pool_write_and_read_at_once(tmp_path: Path) -> None:
    script = """
cache = FrameCache(ledger)
cache.current()
def work(number):
    for _ in range(5):
        ask(ledger)
        cache.current()
    return len(cache.current()) >= 6
with multiprocessing.get_context("fork").Pool(3) as pool:
    answers = pool.map_async(work, range(6))
    for _ in range(5):
        ask(ledger)
    print(all(answers.get(60)))
print(len(cache.current()), len(ledger.receipts()), ledger.audit().ok)
"""
    assert run(tmp_path, script) == ["True", "36 36 True"]


def test_a_lock_that_another_thread_holds_is_free_in_a_child(tmp_path: Path) -> None:
    script = """
lock, cache = new_lock(), FrameCache(ledger)
cache.current()
held, goes_on = threading.Event(), threading.Event()
def hold():
    with lock, cache._lock:
        held.set()
        goes_on.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
os.waitpid(in_child(lambda: print(lock.acquire(timeout=1), len(cache.current()))), 0)
print(lock.acquire(blocking=False))
goes_on.set()
holder.join()
"""
    assert run(tmp_path, script) == ["True 1", "False"]


def test_a_ledger_that_was_deleted_after_a_fork_is_missed(tmp_path: Path) -> None:
    script = """
receipt = ask(ledger)
os.waitpid(in_child(lambda: None), 0)
for path in ledger.path.parent.iterdir():
    path.unlink()
try:
    ledger.mark_verified(receipt)
except Exception as error:
    print("deleted or moved" in str(error))
print(ledger.path.exists())
"""
    assert run(tmp_path, script) == ["True", "False"]


def test_two_threads_that_fork_at_once_leave_no_lock_held(tmp_path: Path) -> None:
    script = """
def fork():
    for _ in range(5):
        os.waitpid(in_child(lambda: ask(ledger)), 0)
threads = [threading.Thread(target=fork) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(10):
    ask(ledger)
for thread in threads:
    thread.join()
writer = threading.Thread(target=ask, args=(ledger,))
writer.start()
writer.join()
print(len(ledger.receipts()), ledger.audit().ok)
"""
    assert run(tmp_path, script) == ["27 True"]
