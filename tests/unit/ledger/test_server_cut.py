"""A way to the server that breaks after it has done what it was asked, and before it said so: each step is made once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger

from ...postgres import Server
from .conftest import by_hand, journal_of

pytestmark = pytest.mark.ci


class Way:
    """A way to a server, which breaks where it is told to.

    Attributes:
        said: words of the server at which it breaks, instead of passing them on. asked: the same, of a client.
        cuts: how often it broke.
    """

    def __init__(self, port: int) -> None:
        self._server, self.said, self.asked, self.cuts = port, b"", b"", 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                for source, other, is_server in ((server, client, True), (client, server, False)):
                    threading.Thread(target=self._pass, args=(source, other, is_server), daemon=True).start()

    def _pass(self, source: socket.socket, other: socket.socket, is_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                words = self.said if is_server else self.asked
                if words and words in data:
                    self.said = self.asked = b""
                    self.cuts += 1
                    break
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)  # so that who passes the other way ends, too
        source.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def way(postgres: Server) -> Iterator[Way]:
    made = Way(postgres.port)
    yield made
    made.close()


@pytest.fixture
def ledger(postgres: Server, way: Way) -> Iterator[Ledger]:
    with Ledger(postgres.url().replace(f":{postgres.port}/", f":{way.port}/")) as opened:
        opened.receipts()
        yield opened


def cut(way: Way, step: Callable[[], Any]) -> Any:
    """Make a step of which the server's last word is lost."""
    before, way.said = way.cuts, b"COMMIT"
    found = step()
    assert way.cuts == before + 1, "the way broke"
    return found


def test_a_receipts_steps_whose_answers_were_lost_are_made_once(ledger: Ledger, way: Way, make: Any) -> None:
    paying = make.authorization()
    ledger.authorize(paying)
    receipt = cut(way, lambda: make.opened(ledger))
    cut(way, lambda: ledger.attach(receipt, paying.hash, "session"))
    cut(way, lambda: make.serve(ledger, receipt))
    cut(way, lambda: ledger.recordings.keep(receipt, [(0.1, "42")], ()))
    assert [kind for kind, _ in journal_of(ledger)] == ["authorized", "opened", "attached", "served"]
    assert [(one.receipt_id, one.status) for one in ledger.receipts()] == [(receipt, "served")]
    assert [one.deltas for one in ledger.recordings.recorded(make.question().fingerprint)] == [((0.1, "42"),)]
    assert not ledger._running
    assert ledger.audit().ok


def test_an_authorization_whose_answer_was_lost_is_not_taken_for_written_and_is_there_once(
    ledger: Ledger, way: Way, make: Any
) -> None:
    with pytest.raises(LedgerError, match="cannot be reached"):
        cut(way, lambda: ledger.authorize(make.authorization()))
    assert way.cuts == 1
    ledger.authorize(make.authorization())
    assert [kind for kind, _ in journal_of(ledger)] == ["authorized"]
    assert ledger.audit().ok


def test_an_end_is_kept_where_the_way_breaks_while_what_failed_is_undone(ledger: Ledger, way: Way, make: Any) -> None:
    paying = make.authorization()
    receipt = make.attached(ledger, paying)
    with Ledger(ledger.path) as other:
        other.fail(receipt, "ended elsewhere", None)  # so that the end's statement fails, and is undone
    way.asked = b"ROLLBACK"
    make.serve(ledger, receipt)
    assert way.cuts == 1
    assert ledger.receipt(receipt).error == "ended elsewhere"
    assert ledger.audit().ok


def test_a_document_that_a_server_lost_in_a_crash_is_written_again(ledger: Ledger, make: Any) -> None:
    document = b"of the hardware"
    ledger.authorize(make.authorization())

    def served() -> str:
        receipt = make.opened(ledger)
        ledger.attach(receipt, make.authorization().hash, None)
        outcome = make.outcome(attestation=document)
        ledger.serve(receipt, outcome, cost_usd=None, weight=1, enclave=make.verdict)
        return str(ledger.receipt(receipt).attestation_hash)

    hash = served()
    with by_hand(ledger) as hand:  # a crash loses what nobody waited for, and ends all connections
        hand.execute("DELETE FROM attestations")
        hand.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
    assert ledger.attestations([hash]) == {}
    assert served() == hash
    assert ledger.attestations([hash]) == {hash: document}
    assert ledger.audit().ok
