"""What is done to money and identity, what came of it in the first release, and what comes of it now.

`python -m tests.money_table [POINT ...]` prints a line for each row, or for those of the points that are named (`5`, or
a letter), and ends with 1 if one fails. The scenarios are those of the tests: each row names them, they are run, and
what they tell (`report`) is shown behind what they assert. The long ones, with ten thousand kills and faults,
are in CONTRIBUTING.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LETTERS = {
    "A": "What was paid is never called unpaid, and the other way round",
    "B": "Budgets hold for a wallet, however many kernels spend it",
    "C": "Nothing in a file spends the owner's money",
    "D": "A complete answer is never thrown away",
    "E": "A notebook is the same after a rename, and another after a copy",
    "F": "The ledger under real conditions",
}
_FIRST = {1: "A", 5: "B", 8: "C", 10: "D", 13: "E", 15: "F"}


@dataclass(frozen=True)
class Row:
    """One thing that is done.

    Attributes:
        point: its number.
        done: what is done.
        before: what came of it in the first release.
        now: what must come of it, as its tests assert.
        tests: their node ids, without "tests/"; all cases of each.
    """

    point: int
    done: str
    before: str
    now: str
    tests: tuple[str, ...]

    def __init__(self, point: int, done: str, before: str, now: str, *tests: str) -> None:
        for name, value in zip(
            ("point", "done", "before", "now", "tests"), (point, done, before, now, tests), strict=True
        ):
            object.__setattr__(self, name, value)

    @property
    def letter(self) -> str:
        return next(letter for first, letter in reversed(_FIRST.items()) if self.point >= first)


_WATCH, _OPEN = "unit/client/test_settlement_watcher.py", "unit/client/test_open_payments.py"
_STATES, _WALKS = "unit/core/test_payment_states.py", "unit/client/test_money_walks.py"
_SETTINGS, _BUDGETS, _WALLET = (
    "unit/core/test_settings.py",
    "unit/ledger/test_budgets.py",
    "unit/ledger/test_wallet_file.py",
)
_MODES, _APPROVAL, _ESTIMATE = "replay/test_modes.py", "unit/client/test_approval.py", "kernel/test_estimate.py"
_SECRET, _PRIVATE = "unit/core/test_secret.py", "unit/ledger/test_private_file.py"
_KEYS, _REDACTION, _SPOOL = "kernel/test_keys.py", "unit/core/test_redaction.py", "unit/ledger/test_spool.py"
_ONCE, _SLOW, _COSTS = "devnet/client/test_paid_once.py", "devnet/client/test_slow_disk.py", "unit/client/test_costs.py"
_INDEX, _PLACE = "unit/ledger/test_notebook_index.py", "unit/ledger/test_place.py"
_SYSTEM, _FORK = "unit/ledger/test_file_system.py", "unit/ledger/test_fork.py"
_CHECK, _DOCTOR = "unit/ledger/test_money_check.py", "unit/cli/test_doctor.py"

_NOT = "not recorded"

ROWS = [
    Row(1, "the payment is on chain; the node hides it: empty logs, pruned, lagging, a stale state, no first block",
        "expired: nothing was paid, for good",
        "pending with the reason, or paid and its transaction not found yet; an honest node then finds it",
        f"{_WATCH}::test_what_was_paid_is_not_called_unpaid_by_a_node_that"),
    Row(1, "the RPC is another chain's, or a fork's", "expired: nothing was paid",
        "an error that names both chains; the ledger is as it was",
        f"{_WATCH}::test_an_rpc_of_another_chain_is_an_error_and_changes_nothing"),
    Row(1, "this machine's clock is one hour, and two hours, ahead", "expired: nothing was paid",
        "pending until the chain's own time is past the deadline; the payment is found",
        f"{_WATCH}::test_a_clock_that_is_ahead_expires_nothing_and_finds_the_payment"),
    Row(1, "what counted as expired is found; what is settled is looked at through a node that is behind",
        "expired for good; a settled receipt went back to served", "corrected by better evidence, never by less",
        f"{_WATCH}::test_a_payment_that_is_found_later_corrects_what_counted_as_expired",
        f"{_WATCH}::test_a_settled_payment_is_not_taken_back_by_less",
        f"{_WATCH}::test_a_payment_that_the_chain_undid_is_pending_again_only_when_that_is_deep"),
    Row(2, "the kernel is restarted with another wallet, on another network, with payments open",
        "nobody looked at them again", "all that is open is looked for, whoever signed it, and settled",
        f"{_OPEN}::test_what_was_left_open_is_looked_for_when_the_network_is_used_again",
        f"{_OPEN}::test_another_network_than_the_one_in_use_is_looked_at_without_a_key",
        f"{_WATCH}::test_whoever_signed_is_looked_at"),
    Row(2, "og-magics receipts --settle, without a kernel and without a key", _NOT,
        "settles, and says why the rest is open",
        f"{_OPEN}::test_the_command_settles_a_ledger_and_says_why_the_rest_is_open"),
    Row(3, "every event in every state, and every order of events",
        _NOT,
        "one table; no order leads from paid to nothing was paid", _STATES),
    Row(3, "random walks over payments, reorganizations, lying nodes and kernels that come and go", _NOT,
        "the ledger is never wrong on the way, and right at the end",
        f"{_WALKS}::test_no_walk_of_chain_nodes_and_kernels_calls_unpaid_what_was_paid",
        f"{_WALKS}::test_the_ledger_follows_the_table_whatever_comes"),
    Row(4, "BASE_MAINNET_RPC is set, and another network is used", "it replaced that network's RPC", "it is Base's only",
        f"{_SETTINGS}::test_the_sdks_rpc_variable_is_of_base_only",
        f"{_OPEN}::test_the_rpc_of_the_network_in_use_is_not_asked_about_another"),
    Row(5, "20 processes ask at once, one notebook; the budget has room for 7", "three kernels signed three times the budget",
        "7 sign", f"{_BUDGETS}::test_twenty_processes_that_ask_at_once_sign_what_the_budget_has_room_for"),
    Row(5, "20 processes ask at once, in 20 folders; the wallet has room for 7", "each notebook had the whole budget",
        "7 sign", f"{_WALLET}::test_twenty_processes_in_twenty_folders_sign_what_the_wallet_has_room_for"),
    Row(5, "processes that sign are killed at any moment; the disk is full; the folder cannot be written",
        _NOT, "never more than there is room for, and nothing is signed that is not noted",
        f"{_WALLET}::TestKills", f"{_WALLET}::TestAFolderThatCannotBeWritten"),
    Row(6, "OG_REPLAY=only, and cells that say auto, off, or build settings of their own", "322 calls were paid",
        "each cell is refused; 0 receipts", f"{_MODES}::test_a_cell_cannot_lift_the_environments_word"),
    Row(6, "the same questions asked three times in a cell, and again in another, with replay=auto",
        "300, 600, 900 receipts: paid each time", "paid once; the rows that are shown again keep their cost, marked",
        f"{_MODES}::test_what_is_recorded_is_not_paid_again_in_the_same_cell",
        "unit/client/test_replay.py::test_what_a_script_paid_is_not_paid_again_by_it_nor_by_the_next"),
    Row(6, "a notebook raises the budget or the limit that its surroundings set", "it was raised", "lowered only",
        "unit/core/test_allowance.py", f"{_APPROVAL}::TestTheEnvironment"),
    Row(7, "a call, a cell and a batch above OG_APPROVE_ABOVE, with a person and headless", _NOT,
        "one question for the sum; headless it is refused with what to set, nothing is signed",
        f"{_APPROVAL}::TestACellOrABatch", f"{_ESTIMATE}::test_headless_it_is_refused_before_anything_is_signed"),
    Row(7, "--dry-run of %%ogchat and %%ogcompare, og.estimate", _NOT,
        "calls, tokens, at most and likely OPG and USD, what is recorded; no receipt, no request",
        f"{_ESTIMATE}::TestDryRun"),
    Row(8, "a session's id is looked for in ledgers, exports and notebooks, those of earlier releases too",
        "it stood in all of them, in files of mode 0644", "a salted hash; .og/ is 0700 and its files 0600",
        "unit/ledger/test_sessions.py", f"{_PRIVATE}::test_the_folder_and_all_files_in_it_are_the_owners_alone",
        f"{_PRIVATE}::test_doctor_says_that_others_can_read_it"),
    Row(9, "keys, keystore passwords, logins and tokens of URLs are planted in a session, and every file scanned",
        "in receipts, ledgers, exports, scrubbed copies and errors", "in none",
        "kernel/test_secrets.py"),
    Row(9, "repr, str, f-strings, format, json, pickle, copy, tracebacks and logs of a key and of Settings",
        _NOT, "by none", f"{_SECRET}::test_nothing_private_is_had_by",
        f"{_SECRET}::test_logs_of_libraries_are_without_it", f"{_SETTINGS}::test_a_secret_shows_itself_nowhere",
        "unit/payment/test_wallet.py::TestItsKeyIsNotHad"),
    Row(9, "a key without a name, a seed phrase and a keystore's password are typed into cells; so is a hash",
        "known by the name before it only", "refused, in no history and no context; the hash may be typed",
        f"{_KEYS}::TestAKeyWithoutAName", f"{_KEYS}::TestWhatIsNoKey", f"{_REDACTION}::TestWhatItIs"),
    Row(10, "another program holds the ledger when an answer ends", "the answer was lost after 12 s",
        "shown at once with its receipt, which is taken in later, once; other calls go on meanwhile",
        _SLOW, f"{_SPOOL}::TestALockedLedger"),
    Row(10, "the kernel is killed while an answer waits for its ledger; ten open it at once", "the answer was lost",
        "neither lost nor doubled", f"{_SPOOL}::TestAnotherProcess"),
    Row(11, "a paid answer is cut at 21 places, whole and streamed", "sent and charged four times",
        "sent once; what came is kept", f"{_ONCE}::test_wherever_it_is_cut_it_is_asked_for_once_and_what_came_is_kept"),
    Row(11, "a proxy answers a stream with whole JSON, or whole JSON with a stream", "charged four times, the text lost",
        "charged once, the text shown", f"{_ONCE}::test_a_complete_answer_is_shown_in_whatever_form_it_came"),
    Row(12, "several models in one session", "cost_opg wrong by 3 to 10 times",
        "shares add up to the settlement to the last unit; what is not known says so", _COSTS,
        "unit/core/test_shares.py", "devnet/client/test_costs.py"),
    Row(12, "OG_PRICES names a file of prices", _NOT, "its prices stand in place of the list's",
        "unit/core/test_own_prices.py"),
    Row(13, "a notebook is renamed, moved and copied, and a new file gets its old name, as 24 kinds of evidence",
        "a rename lost all; the next Untitled sent the other's conversation",
        "the same, the same, another, another; nothing of another notebook is sent", _INDEX),
    Row(13, "a kernel's Untitled.ipynb is renamed while it runs; papermill runs four in one folder",
        "receipts and threads lost; one thread for all four", "goes on; four threads (tests.identity_table has each front end)",
        "kernel/test_identity.py"),
    Row(14, "names of 255 bytes, of emoji, of bytes that are no text, that begin alike", _NOT,
        "each has one of its own", f"{_INDEX}::test_a_notebook_of_any_name_has_a_ledger",
        f"{_INDEX}::test_a_name_that_is_no_text_has_a_ledger",
        f"{_INDEX}::test_long_names_that_begin_alike_have_ledgers_of_their_own"),
    Row(15, "a read-only folder is read, replayed, verified and asked in", _NOT,
        "nothing is written there; asking goes on in the state directory and says so",
        f"{_PLACE}::TestAFolderThatCannotBeWritten"),
    Row(15, "the ledger is deleted, moved and put back under a running kernel", "receipts went nowhere, silently",
        "noticed at the next write", f"{_PLACE}::TestAFileThatGoesAwayInUse"),
    Row(15, "file systems without locks and without shared memory; a full disk; a kill between two writes",
        _NOT, "another mode, or a refusal with the remedy; the chain holds", _SYSTEM,
        "unit/ledger/test_file.py::test_a_full_disk_is_an_error_and_loses_nothing_that_was_there",
        "unit/ledger/test_durability.py::TestProcesses"),
    Row(16, "a process that has asked forks; pools; two threads that fork at once", "the child hung",
        "parent and child ask, pay and keep their receipts", _FORK, "devnet/client/test_fork.py"),
    Row(16, "og.receipts() of a large ledger, and after one more row (times: python -m benchmarks)",
        "4.2 s, and 97 ms; the loop stood still", "only what changed is read; the frame is that of a full reading",
        "unit/ledger/test_frame.py::TestCache"),
    Row(17, "links, and files of others, are planted in .og/", _NOT, "neither",
        f"{_PRIVATE}::test_what_was_planted_is_not_opened", f"{_PRIVATE}::test_what_belongs_to_another_is_not_opened"),
    Row(17, "a ledger is edited by hand: caps below zero, rows added, taken away, put back",
        "negative caps loosened the budget", "nothing is signed before it is noticed", _CHECK,
        "devnet/client/test_wallet_budget.py::test_a_ledger_that_was_changed_by_hand_asks_nothing_that_is_paid"),
    Row(18, "a lock file that is not the captured one", "doctor recommended to install from it", "it does not",
        f"{_DOCTOR}::TestTheEnvironment::test_a_lock_file_that_is_not_the_captured_one_is_not_installed_from"),
    Row(19, "og.settle() with three LLM objects and one payment", "counted three times", "counted once",
        f"{_OPEN}::test_a_payment_counts_once_however_many_llms_there_are"),
    Row(19, "Python without what Windows lacks", _NOT, "every module is imported, and the extension runs",
        "test_windows.py"),
]  # fmt: skip


@dataclass
class Ran:
    """How the cases of some tests ended, and the lines that they told."""

    passed: int
    failed: list[str]
    told: list[str]


def run(rows: Sequence[Row]) -> Iterator[tuple[Row, Ran]]:
    """Run the tests of all rows, once each, and yield each row with what came of it."""
    nodes = sorted({f"tests/{node}" for row in rows for node in row.tests})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *nodes],
            cwd=ROOT, env={**os.environ, "CI": "true"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not report.exists():
            raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
        cases = list(ElementTree.parse(report).iter("testcase"))
    for row in rows:
        ended = Ran(0, [], [])
        for node in row.tests:
            mine = [case for case in cases if _is_of(case, node)]
            bad = [f"{case.get('name')}: {why}" for case in mine for why in _failures(case)]
            # What does not run here proves nothing: a row of tests that were all skipped does not hold.
            ran = [case for case in mine if case.find("skipped") is None]
            ended.passed += len(ran) - len(bad)
            ended.failed += bad or ([] if ran else [f"{node} did not run"])
            ended.told += [str(one.get("value")) for case in mine for one in case.iter("property")]
        yield row, ended


def _failures(case: ElementTree.Element) -> list[str]:
    """Return the first line of each failure of a case."""
    found = [one for kind in ("failure", "error") for one in case.findall(kind)]
    return [" ".join(str(one.get("message")).split())[:200] for one in found]


def _is_of(case: ElementTree.Element, node: str) -> bool:
    """Return True for a case of a node: of a file, a class or a test."""
    file, *inner = node.split("::")
    wanted = ["tests", *Path(file).with_suffix("").parts, *inner]
    parts = [*str(case.get("classname")).split("."), str(case.get("name")).partition("[")[0]]
    return parts[: len(wanted)] == wanted


def lines(row: Row, ran: Ran) -> str:
    """Return a row as text, in four columns."""
    now = f"{row.now}: {'; '.join(ran.told)}" if ran.told else row.now
    verdict = f"FAIL: {', '.join(ran.failed)}" if ran.failed else f"ok, {ran.passed} case{'s' * (ran.passed != 1)}"
    columns = [textwrap.wrap(one, 44) for one in (row.done, row.before, now)]
    height = max(map(len, columns))
    cells = [[*column, *[""] * (height - len(column))] for column in columns]
    text = [
        f"{row.point if not n else '':>3}  {a:<44}  {b:<44}  {c:<44}  {verdict if not n else ''}".rstrip()
        for n, (a, b, c) in enumerate(zip(*cells, strict=True))
    ]
    return "\n".join(text)


def main(*points: str) -> int:
    """Print the table; return how many rows fail."""
    chosen = [row for row in ROWS if not points or str(row.point) in points or row.letter in points]
    print(f"{'':>3}  {'what is done':<44}  {'the first release':<44}  {'now':<44}")
    failed, letter = 0, ""
    for row, ran in run(chosen):
        if row.letter != letter:
            letter = row.letter
            print(f"\n{letter}. {LETTERS[letter]}")
        print(lines(row, ran), flush=True)
        failed += bool(ran.failed)
    print(f"\n{len(chosen)} rows, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
