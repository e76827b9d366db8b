"""Failures to connect, in words: a name that is not found, no network, a file of certificates that is missing."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

PRACTICE = "Without a network, the practice network works: OG_NETWORK=devnet, or `%og network devnet`."
LOGIN_PAGE = (
    "A login page of the network (hotel, train, company) may stand in between: open any page in a browser first."
)

_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_NO_ANSWER = (socket.EAI_AGAIN, socket.EAI_FAIL)


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """A failure to connect.

    Attributes:
        reason: in words, without a full stop.
        remedy: what to do; "" where the reason says nothing of that.
        untrusted: True where there is a server, and TLS with it failed.
        details: what the system said, where the reason does not say more.
    """

    reason: str
    remedy: str = ""
    untrusted: bool = False
    details: str = ""


def connection_failure(error: BaseException, host: str) -> ConnectionFailure:
    """Return why a connection to a host could not be made, from what an HTTP library raised."""
    root = root_of(error)
    if isinstance(root, socket.gaierror):
        if root.errno in _NO_ANSWER:
            return ConnectionFailure(
                f"no name server answers for {host}: this machine is probably offline",
                f"Check the network connection. {PRACTICE}",
            )
        return ConnectionFailure(
            f"no address is known for the name {host}",
            f"Check how it is written; where no other name is found either, this machine is offline. {PRACTICE}",
        )
    if isinstance(root, ssl.SSLError):
        certificate = isinstance(root, ssl.SSLCertVerificationError)
        reason = "its certificate does not hold" if certificate else "TLS failed"
        return ConnectionFailure(reason, untrusted=True, details=message_of(root))
    if isinstance(root, OSError) and root.errno in _NO_NETWORK:
        return ConnectionFailure(
            f"no network leads to {host}: this machine is probably offline",
            f"Check the network connection (an address of IPv6 needs a network that has it). {PRACTICE}",
        )
    refused = isinstance(root, ConnectionRefusedError)
    return ConnectionFailure("nothing answers there" if refused else "the connection failed", details=message_of(root))


def root_of(error: BaseException) -> BaseException:
    """Return the first cause of a chain of exceptions: what the operating system said."""
    seen = {id(error)}
    while True:
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
        if (
            cause is None or id(cause) in seen or isinstance(cause, LookupError)
        ):  # no word of the system: an empty queue
            return error
        error = cause
        seen.add(id(error))


def message_of(error: BaseException) -> str:
    """Return the first cause in words: some of those exceptions have none."""
    root = root_of(error)
    return str(root).rstrip(".") or type(root).__name__
