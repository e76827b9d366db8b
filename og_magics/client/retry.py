"""Retries: a few, a little later each time, and only while repeating is safe.

Safe means: no answer had begun, since it is paid then, and the payment that is sent again is the one that was sent
before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from ..core.errors import GatewayError, GatewayUnreachable, ModelNotSupported, PaymentRejected

_LONGEST_PAUSE = 30.0
"""Seconds; a gateway that asks for a longer one (Retry-After) is not waited for."""
_FIRST_PAUSE = 0.25
_LATER = (429, 500, 502, 503, 504)

_SETTLED_MEANWHILE = (
    "The gateway settled the payment session before the call could be repeated: the call may be charged, by no more "
    "than its authorization allows. Nothing more was signed."
)

_backoff = wait_random_exponential(multiplier=_FIRST_PAUSE, max=8.0)


class ReportedError:
    """The last error that the gateway reported for a call, to be raised where its repetition is refused.

    A session may be settled while a repetition waits. The gateway then no longer takes the payment, and no second
    authorization is signed: what the caller should see is why the call failed, and not that refusal.
    """

    def __init__(self) -> None:
        self.settled_meanwhile = False
        self._error: GatewayError | None = None

    @contextlib.contextmanager
    def remember(self) -> Iterator[None]:
        """Watch one attempt.

        Raises:
            GatewayError: the one reported before, where this attempt's payment was used up meanwhile.
        """
        try:
            yield
        except PaymentRejected as refusal:
            if refusal.reason != "already_used" or self._error is None:
                raise
            self.settled_meanwhile = True
            raise self._error.with_money(_SETTLED_MEANWHILE) from refusal
        except GatewayUnreachable:  # nobody reported anything: the answer may have been made, and lost
            raise
        except GatewayError as error:
            self._error = error
            raise


def attempts(
    retries: int,
    repeatable: Callable[[], bool],
    reported: ReportedError,
    note: Callable[[str], None],
    refused: Callable[[GatewayError], None] = lambda _: None,
) -> AsyncRetrying:
    """Return the attempts of a call, to be made by `async for attempt in ...: with attempt, reported.remember(): ...`.

    An attempt that fails is followed by another, after a pause, where that may help; the last one's error is raised.

    Args:
        retries: how many repetitions there may be; each resends the same payment.
        repeatable: True while no answer has begun.
        note: shows the state of the call: here, why and how long it waits.
        refused: is called with each failure after which there is another attempt.
    """

    def waiting(state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0.0
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, GatewayError):
            refused(error)
        if seconds >= 1 and isinstance(error, GatewayError):
            cause = f"the gateway answered {error.status}" if error.status else "the gateway failed"
            note(f"{cause}, asking again in {seconds:.0f} s")

    again = retry_if_exception(lambda error: not reported.settled_meanwhile and repeatable() and _may_pass(error))
    return AsyncRetrying(
        retry=again, stop=stop_after_attempt(retries + 1), wait=_pause, before_sleep=waiting, reraise=True
    )


def _may_pass(error: BaseException) -> bool:
    """Return True for a failure that another attempt may not meet."""
    if isinstance(error, ModelNotSupported) or not isinstance(error, GatewayError):
        return False
    if (error.retry_after or 0) > _LONGEST_PAUSE or error.retryable is False:
        return False
    if isinstance(error, GatewayUnreachable):
        return error.transient
    return error.status is None or error.status in _LATER


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, GatewayError) else None
    return max(retry_after or 0.0, _backoff(state))
