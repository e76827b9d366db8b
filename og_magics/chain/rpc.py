"""JSON-RPC to a node: one connection for each URL, calls in batches, every failure a `ChainError` a person can act on.

Results are the node's own JSON (0x hex), so no middleware has a say in them. Messages name a node by its host only: the
rest of an RPC URL is often an API key.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.connection_failure import LOGIN_PAGE, PRACTICE, connection_failure
from ..core.errors import ChainError, OGError
from ..core.fork import after_fork
from ..core.networks import Network
from ..core.secret import revealed
from ..core.untrusted_json import recursion_limit_kept
from ..core.urls import is_loopback
from . import abi

if TYPE_CHECKING:
    from requests import RequestException
    from web3 import Web3

TIMEOUT = 10.0
"""Seconds that a node has to answer."""

BATCH_LIMIT = 10
"""Calls in one batch: the least that a public node of Base allows."""

WIDE_LIMIT = 400
"""Calls in one batch where many are to be made; halved, for a node, when that node refuses so many.

Base's own software and most providers take 1,000 or 500, some 100: two halvings lead there.
"""

READ_ONLY = "No money moved: the chain was only read."

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
"""A number in JSON-RPC: no sign, no spaces, no underscores, all of which `int` would read."""

_TRANSIENT = (429, 502, 503, 504)
_PAUSES = (0.25, 1.0)

Call = tuple[str, list[Any]]
"""A JSON-RPC method and its parameters."""

_lock = threading.Lock()
_connections: dict[str, Web3] = {}
_without_batches: set[str] = set()
_widths: dict[str, int] = {}


def _renew() -> object:
    """In a forked child: leave the connections to the parent; who shares one reads the other's answers."""
    global _lock
    left, _lock = list(_connections.values()), threading.Lock()
    _connections.clear()
    return left


after_fork(_renew)


class NodeError(ChainError):
    """The node understood, and answered with a JSON-RPC error.

    Attributes:
        text: the node's words, shortened. Untrusted.
        code: the JSON-RPC error code.
        rate_limited: True when it wants fewer requests.
        reverted: True when a contract refused the call.
    """

    def __init__(self, host: str, error: Any, *, money: str, remedy: str) -> None:
        fields = error if isinstance(error, dict) else {"message": error}
        self.text = str(fields.get("message") or error)[:200]
        self.code = fields.get("code")
        self.rate_limited = _is_rate_limit(error)
        self.reverted = self.code == 3 or "revert" in self.text.lower()
        super().__init__(
            f"The blockchain node at {host} answered with an error: {self.text}.", money=money, remedy=remedy
        )


def connect(rpc_url: str) -> Web3:
    """Return a web3 for an RPC URL, the same one each time. Safe to share between threads."""
    with _lock:
        known = _connections.get(rpc_url)
        if known is None:
            known = _connections[rpc_url] = _connection(rpc_url)
        return known


def _connection(rpc_url: str) -> Web3:
    from .bounded_session import BoundedSession

    with recursion_limit_kept():
        from web3 import HTTPProvider, Web3
        from web3.middleware import ExtraDataToPOAMiddleware

    session = BoundedSession()
    # A proxy in the environment could not reach a node on this machine.
    session.trust_env = not is_loopback(rpc_url)
    provider = HTTPProvider(
        revealed(rpc_url), request_kwargs={"timeout": TIMEOUT}, session=session, exception_retry_configuration=None
    )
    web3 = Web3(provider)
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)  # does nothing to the blocks of other chains
    return web3


@contextmanager
def guard(rpc_url: str, *, setting: str = "OG_RPC_URL", money: str = READ_ONLY) -> Iterator[None]:
    """Turn whatever an RPC client raises inside into a `ChainError`.

    Args:
        rpc_url: of the node that is spoken to.
        setting: the environment variable that names another node.
        money: the sentence about the user's money in a failure.
    """
    import requests

    with recursion_limit_kept():
        from web3.exceptions import Web3Exception

    host = _host(rpc_url)
    elsewhere, details = f"Name another node with {setting}.", ""
    try:
        yield
    except requests.Timeout:
        what, remedy = (
            f"The blockchain node at {host} did not answer within {TIMEOUT:.0f} s.",
            f"Try again. {PRACTICE} Or: {elsewhere}",
        )
    except requests.HTTPError as error:
        status = _status(error)
        what, remedy = f"The blockchain node at {host} answered with HTTP {status}.", elsewhere
        if status == 429:
            what, remedy = (
                f"The blockchain node at {host} allows no more requests for now.",
                f"Wait a minute, or: {elsewhere}",
            )
        elif status in (401, 403):
            what = f"The blockchain node at {host} refuses this client (HTTP {status}): its key or host is not allowed."
    except requests.ConnectionError as error:
        what, remedy, details = _unreachable(error, rpc_url, elsewhere)
    except requests.RequestException as error:
        what, remedy = (
            f"The address of a blockchain node with host {host!r} cannot be used ({type(error).__name__}).",
            elsewhere,
        )
    except OSError:
        what = "The certificates that the environment names (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) cannot be read."
        remedy = "Name a file that is there, or unset the variable: certifi's certificates are used then."
    except (
        Web3Exception, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        if isinstance(error, OGError):
            raise
        what = f"The answer of the blockchain node at {host} is not Ethereum JSON-RPC ({type(error).__name__})."
        raise ChainError(what, money=money, remedy=f"Check the URL in {setting}. {LOGIN_PAGE}") from None  # as below
    else:
        return
    raise ChainError(
        what, money=money, remedy=remedy, details=details
    )  # without its cause, which has the whole URL in its words


def _unreachable(error: Exception, rpc_url: str, elsewhere: str) -> tuple[str, str, str]:
    """Return what happened, what to do, and what the system said, where no connection could be made."""
    host, name = _host(rpc_url), urlsplit(rpc_url).hostname or ""
    what = f"The blockchain node at {host} cannot be reached"
    failure = connection_failure(error, name)
    if is_loopback(rpc_url):
        again = "If it was a practice network, restart the kernel, or start one with `og-magics devnet`, or:"
        return f"{what}.", f"{again} {elsewhere}", failure.details
    if failure.untrusted:
        return f"{what}: {failure.reason}.", f"{LOGIN_PAGE} Or: {elsewhere}", failure.details
    remedy = failure.remedy or f"Check the connection. {PRACTICE}"
    return f"{what}: {failure.reason}.", f"{remedy} Or: {elsewhere}", failure.details


@dataclass(frozen=True, slots=True)
class Node:
    """A node to ask.

    Attributes:
        url: its JSON-RPC endpoint.
        setting: the environment variable that names another one.
    """

    url: str
    setting: str = "OG_RPC_URL"

    @property
    def host(self) -> str:
        return _host(self.url)

    def one(self, method: str, *params: Any, money: str = READ_ONLY, retry: bool = True) -> Any:
        """Return the result of one call.

        Raises:
            NodeError: the node answered with an error. ChainError: it did not answer properly.
        """
        return self._result(self._post([(method, list(params))], money, retry), money)

    def ask(self, calls: Sequence[Call], *, wide: bool = False) -> list[Any]:
        """Return the results of several calls that change nothing, in as few requests as the node allows.

        Args:
            wide: there may be hundreds: try batches longer than every public node allows.

        Shape: one result for each call, in order.

        Raises:
            NodeError, ChainError: as for `one`, when any of them fails.
        """
        results = self.ask_each(calls, wide=wide)
        for result in results:
            if isinstance(result, NodeError):
                raise result
        return results

    def ask_each(self, calls: Sequence[Call], *, wide: bool = False) -> list[Any]:
        """Ask as `ask` does, but return the `NodeError` of a call that the node refuses in its place.

        Raises:
            ChainError: the node did not answer properly, or wants fewer requests (a `NodeError`).
        """
        results: list[Any] = []
        while len(results) < len(calls):
            width = _widths.get(self.url, WIDE_LIMIT) if wide else BATCH_LIMIT
            batch = calls[len(results) : len(results) + width]
            answers = self._batch(batch)
            if answers is None:
                _widths[self.url] = max(len(batch) // 2, BATCH_LIMIT)
            else:
                results += answers
        return results

    def read(self, address: str, function: abi.Function, *arguments: Any) -> tuple[Any, ...]:
        """Return the values of a contract's view function. Raises as `one` does."""
        method, params = view(address, function, *arguments)
        return self.decode(address, function, self.one(method, *params))

    def decode(self, address: str, function: abi.Function, result: Any) -> tuple[Any, ...]:
        """Return the values in the result of an `eth_call`.

        Raises:
            ChainError: they are not there, which is what an address without that contract looks like.
        """
        try:
            return function.decode_result(bytes.fromhex(result.removeprefix("0x")))
        except (ValueError, AttributeError):
            raise ChainError(
                f"{address} does not answer {function.name} on the chain behind {self.host}.",
                money=READ_ONLY,
                remedy=f"Check that {self.setting} is a node of the right chain, and any address that was overridden.",
            ) from None

    def number(self, value: Any, *, below: int = 2**256) -> int:
        """Return the int of a 0x quantity that the node sent. Raises ChainError when it is not one."""
        with guard(self.url, setting=self.setting):
            return quantity(value, below=below)

    def _batch(self, calls: Sequence[Call]) -> list[Any] | None:
        """Return the result or error of each call; None when the node refuses so many at once and may take fewer."""
        if len(calls) > 1 and self.url not in _without_batches:
            answers = self._post(calls, READ_ONLY, retry=True)
            if isinstance(answers, list) and len(answers) == len(calls):
                return [self._outcome(answer) for answer in answers]
            if len(calls) > BATCH_LIMIT:
                return None
            if _is_rate_limit(answers):
                self._result(answers, READ_ONLY)
            _without_batches.add(self.url)
        return [self._outcome(self._post([call], READ_ONLY, retry=True)) for call in calls]

    def _outcome(self, answer: Any) -> Any:
        """Return the result in an answer, or its error. Raises when the whole request failed, not this call."""
        try:
            return self._result(answer, READ_ONLY)
        except NodeError as error:
            if error.rate_limited:
                raise
            return error

    def _result(self, answer: Any, money: str) -> Any:
        with guard(self.url, setting=self.setting, money=money):
            if answer.get("error") is not None:
                wait = "Wait a minute, or" if _is_rate_limit(answer) else "If it stays so,"
                remedy = f"{wait} name another node with {self.setting}."
                raise NodeError(self.host, answer["error"], money=money, remedy=remedy)
            return answer["result"]

    def _post(self, calls: Sequence[Call], money: str, retry: bool) -> Any:
        """Post calls. Return an object for one, a list for several (an object, where batches are refused)."""
        import requests

        pauses = _PAUSES if retry else ()
        with guard(self.url, setting=self.setting, money=money):
            for pause in (*pauses, None):
                try:
                    answer = self._post_once(calls)
                except requests.Timeout:
                    raise
                except (requests.ConnectionError, requests.HTTPError) as error:
                    if pause is None or _status(error) not in (None, *_TRANSIENT):
                        raise
                else:
                    if pause is None or not _is_rate_limit(answer):
                        return answer
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _post_once(self, calls: Sequence[Call]) -> Any:
        import requests

        provider: Any = connect(self.url).provider
        try:
            return provider.make_batch_request(list(calls)) if len(calls) > 1 else provider.make_request(*calls[0])
        except requests.HTTPError as error:
            # Some nodes send their JSON-RPC errors, or their refusal of a batch, with a status of 4xx or 5xx.
            explained = _explanation(error.response)
            if explained is None and (len(calls) == 1 or _status(error) in (*_TRANSIENT, 401, 403)):
                raise
            return explained


def payments(network: Network) -> Node:
    """Return the node of a network's payment chain."""
    return Node(network.rpc_url, "OG_RPC_URL")


def registry(network: Network) -> Node:
    """Return the node of the chain with a network's enclave registry."""
    return Node(network.registry_rpc_url, "OG_REGISTRY_RPC_URL")


def quantity(value: Any, *, below: int = 2**63) -> int:
    """Return the int of a 0x quantity, which no node may make negative or larger than its kind allows.

    Args:
        below: what it must be less than; by default what the ledger can hold.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError(f"{str(value)[:70]!r} is not a quantity")
    number = int(value, 16)
    if number >= below:
        raise ValueError(f"{value} is too large")
    return number


def view(address: str, function: abi.Function, *arguments: Any, block: str = "latest") -> Call:
    """Return the call of a contract's view function, on a block: the latest, or a number in 0x hex."""
    return "eth_call", [{"to": address, "data": function.encode(*arguments)}, block]


def _host(rpc_url: str) -> str:
    return urlsplit(rpc_url).netloc.rpartition("@")[2] or rpc_url[:20]


def _status(error: RequestException) -> int | None:
    """Return the HTTP status behind an error, None when there was no answer."""
    return None if error.response is None else error.response.status_code


def _explanation(response: Any) -> Any:
    """Return the JSON-RPC error in the body of an HTTP error, or None."""
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and "error" in body else None


def _is_rate_limit(answer: Any) -> bool:
    """Return True if a JSON-RPC answer (or one of a batch, or a bare error) says "slow down"."""
    if isinstance(answer, list):
        return any(_is_rate_limit(one) for one in answer)
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return False
    text = str(error.get("message")).lower()
    return error.get("code") in (-32016, -32029, 429) or "rate limit" in text or "too many requests" in text
