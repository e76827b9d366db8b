"""When a call is made again: a few times, a little later each time, and only while repeating it is safe.

Safe means: nothing of the answer was shown, and the payment that is sent again is the one that was sent before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from ..errors import GatewayError, GatewayUnreachable, ModelNotSupported

T = TypeVar("T")

_LONGEST_PAUSE = 30.0
"""Seconds; a gateway that asks for a longer one (Retry-After) is not waited for."""
_FIRST_PAUSE = 0.25
_LATER = (429, 500, 502, 503, 504)

_backoff = wait_random_exponential(multiplier=_FIRST_PAUSE, max=8.0)


async def repeated(attempt: Callable[[], Awaitable[T]], retries: int, repeatable: Callable[[], bool]) -> T:
    """The result of an attempt, or of one of its repetitions.

    Args:
        attempt: what is tried; it resends the same payment.
        retries: how many repetitions there may be.
        repeatable: whether it can still be repeated: nothing of the answer has been shown.

    Raises:
        OGError: of the last attempt.
    """
    again = retry_if_exception(lambda error: repeatable() and _may_pass(error))
    retrying = AsyncRetrying(retry=again, stop=stop_after_attempt(retries + 1), wait=_pause, reraise=True)
    return await retrying(attempt)


def _may_pass(error: BaseException) -> bool:
    """Whether this failure is one that another attempt may not meet."""
    if isinstance(error, ModelNotSupported) or not isinstance(error, GatewayError):
        return False
    if (error.retry_after or 0) > _LONGEST_PAUSE:
        return False
    if isinstance(error, GatewayUnreachable):
        return error.transient
    return error.status is None or error.status in _LATER


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after if isinstance(error, GatewayError) else None
    return max(told or 0.0, _backoff(state))
