"""The pace of many calls: fewer after a refusal, one while the gateway is gone, more while all goes well."""

from __future__ import annotations

import httpx
import pytest

from og_magics.conversation.throttle import FIRST_PATIENCE, Throttle, is_gone, is_lost, is_too_many
from og_magics.core.errors import ChainError, GatewayError, GatewayUnreachable, StreamError


def refused(retry_after: float | None = None, status: int | None = 429) -> GatewayError:
    return GatewayError("Too many.", status=status, retry_after=retry_after)


def gone() -> GatewayUnreachable:
    error = GatewayUnreachable("It cannot be reached.")
    error.__cause__ = httpx.ConnectError("refused")
    return error


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answer(throttle: Throttle, clock: Clock, seconds: float = 0.1) -> None:
    begun = throttle.begin()
    clock.now += seconds
    throttle.end(begun)


def fail(throttle: Throttle, clock: Clock, error: Exception) -> None:
    begun = throttle.begin()
    clock.now += 0.01
    throttle.end(begun, error)


class TestWhatAnErrorSays:
    def test_too_many(self) -> None:
        of_provider = GatewayError("It failed.", status=503)
        of_provider.provider_status = 429
        assert is_too_many(refused())
        assert is_too_many(of_provider)
        assert is_too_many(refused(3.0, status=503))
        assert not is_too_many(GatewayError("It failed.", status=503))
        assert not is_too_many(ValueError())

    def test_gone_is_what_was_never_sent(self) -> None:
        assert is_gone(gone())
        assert is_gone(ChainError("No answer."))
        assert not is_gone(GatewayUnreachable("The connection was lost.", lost=True))
        untrusted = GatewayUnreachable("Another certificate.", transient=False)
        untrusted.__cause__ = httpx.ConnectError("certificate")
        assert not is_gone(untrusted)
        assert not is_lost(untrusted)

    def test_lost_is_what_may_be_charged(self) -> None:
        assert is_lost(GatewayUnreachable("The connection was lost.", lost=True))
        assert not is_lost(GatewayUnreachable("No answer in time.", transient=False))
        assert is_lost(StreamError("It was cut.", cut=True))
        assert not is_lost(StreamError("It reported a failure."))


class TestHowMany:
    def test_a_number_is_the_most(self, clock: Clock) -> None:
        throttle = Throttle(3, clock=clock)
        for _ in range(3):
            assert throttle.is_ready
            throttle.begin()
        assert not throttle.is_ready

    def test_auto_begins_with_few_and_finds_more(self, clock: Clock) -> None:
        throttle = Throttle(adapts=True, clock=clock)
        assert throttle.limit == 8
        for _ in range(8):
            answer(throttle, clock)
        assert throttle.limit == 16
        for _ in range(200):
            answer(throttle, clock)
        assert throttle.limit == 64

    def test_a_refusal_halves_it_once_for_all_that_were_on_their_way(self, clock: Clock) -> None:
        throttle = Throttle(64, clock=clock)
        begun = [throttle.begin() for _ in range(64)]
        clock.now += 1
        for one in begun[:20]:
            throttle.end(one, refused())
        assert throttle.limit == 32
        fail(throttle, clock, refused())
        assert throttle.limit == 16

    def test_after_a_refusal_it_grows_by_one_for_each_round(self, clock: Clock) -> None:
        throttle = Throttle(64, clock=clock)
        fail(throttle, clock, refused())
        assert throttle.limit == 32
        for _ in range(32):
            answer(throttle, clock)
        assert 32.9 < throttle.limit < 33.1

    def test_it_waits_as_long_as_it_is_asked_to(self, clock: Clock) -> None:
        throttle = Throttle(4, clock=clock)
        fail(throttle, clock, refused(7.0))
        assert not throttle.is_ready
        assert throttle.waits == "the gateway asks to wait 7 s"
        clock.now += 7
        assert throttle.is_ready
        assert throttle.waits == ""

    def test_a_call_that_is_tried_again_tells_of_its_refusals_too(self, clock: Clock) -> None:
        throttle = Throttle(8, clock=clock)
        begun = throttle.begin()
        throttle.refused(refused(), begun)
        assert (throttle.limit, throttle.running) == (4, 1)

    def test_it_is_lowered_where_answers_take_much_longer(self, clock: Clock) -> None:
        throttle = Throttle(adapts=True, clock=clock)
        for _ in range(100):
            answer(throttle, clock, 0.1)
        before = throttle.limit
        for _ in range(20):
            answer(throttle, clock, 3.0)
        assert throttle.limit < before

    def test_a_recorded_answer_says_nothing(self, clock: Clock) -> None:
        throttle = Throttle(adapts=True, clock=clock)
        throttle.end(throttle.begin(), called=False)
        assert (throttle.limit, throttle.answered, throttle.running) == (8, 0, 0)


class TestAGatewayThatIsGone:
    def test_one_call_tries_it_a_little_later_each_time(self, clock: Clock) -> None:
        throttle = Throttle(16, clock=clock)
        answer(throttle, clock)
        begun = [throttle.begin() for _ in range(16)]
        clock.now += 1
        for one in begun:
            throttle.end(one, gone())
        assert throttle.limit == 1
        assert throttle.waits.startswith("paused: the gateway cannot be reached")
        pauses = []
        for _ in range(7):
            began = clock.now
            while not throttle.is_ready:
                clock.now += 0.1
            pauses.append(round(clock.now - began, 1))
            fail(throttle, clock, gone())
        assert pauses == sorted(pauses)
        assert pauses[0] <= 0.6
        assert 14.9 <= pauses[-1] <= 15.2

    def test_its_first_answer_brings_half_of_them_back(self, clock: Clock) -> None:
        throttle = Throttle(16, clock=clock)
        fail(throttle, clock, gone())
        clock.now += 1
        answer(throttle, clock)
        assert 8 <= throttle.limit < 9
        assert throttle.is_ready
        assert throttle.waits == ""

    def test_any_answer_of_it_shows_that_it_is_back(self, clock: Clock) -> None:
        throttle = Throttle(16, clock=clock)
        fail(throttle, clock, gone())
        clock.now += 1
        fail(throttle, clock, GatewayError("A bad request.", status=400))
        assert throttle.limit == 8

    def test_one_broken_connection_among_answers_is_no_outage(self, clock: Clock) -> None:
        throttle = Throttle(16, clock=clock)
        broken = throttle.begin()
        answer(throttle, clock)
        throttle.end(broken, StreamError("It was cut.", cut=True))
        assert throttle.limit == 16

    def test_patience_ends_sooner_where_it_never_answered(self, clock: Clock) -> None:
        never, before = Throttle(4, clock=clock), Throttle(4, clock=clock)
        answer(before, clock)
        for throttle in (never, before):
            fail(throttle, clock, gone())
        clock.now += FIRST_PATIENCE + 1
        assert never.out_of_patience
        assert not before.out_of_patience
        clock.now += 600
        assert before.out_of_patience
