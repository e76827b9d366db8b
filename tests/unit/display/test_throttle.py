"""The pace of a streamed display."""

from __future__ import annotations

from og_magics.display.throttle import FramePace


def test_a_large_frame_is_followed_later_than_a_small_one() -> None:
    small, large = FramePace(), FramePace()
    small.sent(1_000)
    large.sent(60_000)
    assert 0 < small.wait() <= 0.05
    assert 0.3 < large.wait() <= 0.4


def test_what_takes_long_to_make_once_does_not_hold_up_what_comes() -> None:
    pace = FramePace()
    pace.sent(1_000, 2.0)
    assert 0.05 < pace.wait() <= 0.1


def test_what_is_sent_whole_may_send_half_as_much_again_as_printing() -> None:
    pace = FramePace()
    assert pace.affords(0, 0)
    pace.sent(32_800)
    assert not pace.affords(0, 0)
    assert pace.affords(1, 0)
    pace.sent(800_000)
    assert not pace.affords(1_000, 1)
    assert pace.affords(1_001, 1)


def test_a_slow_answer_may_send_more_than_printing_would() -> None:
    pace = FramePace()
    pace.sent(32_000 + 1_200_000)
    assert not pace.affords(40 * 9, 9.0)
    assert pace.affords(40 * 10, 10.0)
