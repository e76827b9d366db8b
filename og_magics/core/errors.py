"""Every error that og_magics raises.

    OGError
    ├── ConfigError (ValueError)      a setting or an argument is wrong; nothing was sent
    │   └── UnknownModel
    ├── WalletError                   the wallet cannot pay
    │   ├── InsufficientBalance
    │   └── AllowanceRequired
    ├── PaymentError
    │   ├── PaymentRefused            our policy said no; nothing was signed
    │   └── PaymentRejected           the gateway did not accept what was signed
    ├── GatewayError                  the gateway failed or could not be reached
    │   ├── GatewayUnreachable
    │   ├── GatewayProtocolError      an answer that is not the protocol (HTML, broken JSON)
    │   ├── ModelNotSupported
    │   └── StreamError               a stream that broke; `.partial` holds what had arrived
    ├── AnswerError                   answered and paid, and not what was asked for; `.answer` holds it
    │   └── ToolRoundsExceeded
    ├── ChainError                    a chain RPC failed
    ├── ProofError                    a proof does not hold
    ├── NotRecorded                   nothing is recorded for a question that may only be replayed
    ├── LedgerError                   the receipts' file cannot be read or written
    └── DevnetError                   the local network could not be started

Each carries what happened, what it means for the user's money, and what to do next; `str()` of it is all three.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from .secret import without_secrets

_CELL = re.compile(r"ipykernel_\d+|<ipython-input")
"""In the file names that IPython gives to cells."""


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


SEE_RECEIPTS = "The receipts say what each call cost; what has none was not paid."
ASK_AGAIN = "What each error says is to be done; then ask again."


class OGError(Exception):
    """Base of the tree.

    Attributes:
        what: What happened, in one sentence.
        money: What it means for the user's money; empty where no payment was in sight.
        remedy: What to do next; empty where there is nothing to do.
        details: What the system or a server said, for who repairs those; no part of the message.
    """

    folds: ClassVar[bool] = False
    """True where a front end shows the technical part by itself, folded."""

    def __init__(self, what: str, *, money: str = "", remedy: str = "", details: str = "") -> None:
        # What others said is in it: it must not be able to drive a terminal, nor to reorder what a person reads.
        what, money, remedy, details = (
            without_secrets(_UNPRINTABLE.sub("", text)) for text in (what, money, remedy, details)
        )
        self.what = what
        self.money = money
        self.remedy = remedy
        self.details = details
        super().__init__(" ".join(part for part in (what, money, remedy) if part))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is pickled: a process of a pool hands its errors over, whatever their constructors want."""
        return _again, (type(self), self.args), vars(self)

    def with_money(self, money: str) -> Self:
        """Return this error with another sentence on the user's money."""
        self.money = money
        self.args = (" ".join(part for part in (self.what, money, self.remedy) if part),)
        return self

    def technical(self) -> list[str]:
        """Return the technical part, in lines: the kind of error, the lines of the user's cells, and `details`.

        Where in this package it was raised is no help with a wallet that is empty, and a notebook keeps no paths.
        """
        lines, at = [type(self).__name__], self.__traceback__
        while at is not None:
            code = at.tb_frame.f_code
            if _CELL.search(code.co_filename):
                lines.append(f"line {at.tb_lineno} of the cell" + f", in {code.co_name}" * (code.co_name[0] != "<"))
            at = at.tb_next
        return [*lines, *([self.details] if self.details else [])]

    def _render_traceback_(self) -> list[str]:
        """Make what IPython shows for a traceback: the message; where nothing folds, the technical part below it."""
        return [str(self)] if self.folds else [str(self), f"({'; '.join(self.technical())})"]


def _again(kind: type[OGError], args: tuple[Any, ...]) -> OGError:
    return kind.__new__(kind, *args)


class ConfigError(OGError, ValueError):
    """A setting or an argument is wrong. Nothing was sent and nothing was paid."""


class UnknownModel(ConfigError):
    """A model name that is neither known nor of the form "provider/model"."""


class WalletError(OGError):
    """The wallet cannot do what was asked."""


class InsufficientBalance(WalletError):
    """Not enough OPG (or gas) in the wallet."""


class AllowanceRequired(WalletError):
    """Permit2 may not move the wallet's OPG yet: an approval is needed once."""


class PaymentError(OGError):
    """Something about a payment."""


class PaymentRefused(PaymentError):
    """The gateway asked for a payment outside the policy. Nothing was signed."""


class PaymentRejected(PaymentError):
    """The gateway refused the signed payment.

    Attributes:
        reason: The gateway's own code, for example ``invalid_permit2_signature``.
        cap: Base units that the payment allowed at most; 0 when not known.
    """

    def __init__(self, what: str, *, reason: str = "", cap: int = 0, money: str = "", remedy: str = "") -> None:
        super().__init__(what, money=money, remedy=remedy)
        self.reason = without_secrets(reason)
        self.cap = cap


class GatewayError(OGError):
    """The gateway failed.

    Attributes:
        status: HTTP status, or None when there was no answer.
        body: The start of the answer's body, as text. Untrusted.
        retry_after: Seconds after which the gateway wants to be asked again, if it said so.
        retryable: False if it said that the same request would fail again, True if not, None if it said neither.
        provider_status: HTTP status that the model's provider gave it, None if it did not say.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        body: str = "",
        money: str = "",
        remedy: str = "",
        details: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, money=money, remedy=remedy, details=details)
        self.status = status
        self.body = without_secrets(body)
        self.retry_after = retry_after
        self.retryable: bool | None = None
        self.provider_status: int | None = None

    def technical(self) -> list[str]:
        """Return the same, with what the server answered."""
        status = [] if self.status is None else [f"HTTP status {self.status}"]
        return [*super().technical(), *status, *([self.body] if self.body else [])]


class GatewayUnreachable(GatewayError):
    """No connection, a TLS certificate that is not the pinned one, or no answer in time.

    Attributes:
        transient: False where trying again at once is no use: a certificate that is not the one to trust, or a
            gateway that let all the time pass.
        lost: True where a connection that was there broke.
    """

    def __init__(
        self,
        what: str,
        *,
        transient: bool = True,
        lost: bool = False,
        money: str = "",
        remedy: str = "",
        details: str = "",
    ) -> None:
        super().__init__(what, money=money, remedy=remedy, details=details)
        self.transient, self.lost = transient, lost


class GatewayProtocolError(GatewayError):
    """The answer is not what the protocol says: HTML, broken JSON, missing fields."""


class ModelNotSupported(GatewayError):
    """The gateway does not serve this model."""


class StreamError(GatewayError):
    """A stream that did not end as it should.

    Attributes:
        partial: What had arrived, a ``types.TextGenerationOutput`` or None.
        cut: True where the connection ended before the answer did.
    """

    def __init__(
        self, what: str, *, partial: Any = None, body: str = "", money: str = "", remedy: str = "", cut: bool = False
    ) -> None:
        super().__init__(what, body=body, money=money, remedy=remedy)
        self.partial = partial
        self.cut = cut


class AnswerError(OGError):
    """The model answered, and the answer is not what was asked for: it does not fit its schema, or is no JSON.

    Attributes:
        answer: What it answered, a ``conversation.Answer``, with the receipts of all rounds.
    """

    def __init__(self, what: str, *, answer: Any = None, money: str = "", remedy: str = "") -> None:
        super().__init__(what, money=money, remedy=remedy)
        self.answer = answer


class ToolRoundsExceeded(AnswerError):
    """The model still asks for functions after all rounds that were allowed, and has said nothing."""


class ChainError(OGError):
    """A chain RPC could not be reached, or answered with an error."""


class ProofError(OGError):
    """A proof was checked and does not hold."""


class NotRecorded(OGError):
    """A question that may only be answered from what is recorded, and is not. Nothing was paid."""


class LedgerError(OGError):
    """The receipts' file cannot be read or written."""


class DevnetError(OGError):
    """The local development network could not be started or reached."""
