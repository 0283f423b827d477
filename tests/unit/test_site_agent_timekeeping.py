"""The agent's clock, set right by the platform's stamps."""

from datetime import UTC, datetime, timedelta

import pytest

from tieline.base.time import RatedClock, VirtualClock
from tieline.ven.agent.timekeeping import GuidedClock, going_on

TRUE = datetime(2026, 7, 14, 18, tzinfo=UTC)
HOURS, SECOND = timedelta(hours=3), timedelta(seconds=1)


@pytest.mark.parametrize("off", [HOURS, -HOURS, timedelta(days=-20_000)])
def test_an_answer_sets_it_right_whichever_way_it_is_off(off: timedelta) -> None:
    clock = GuidedClock(VirtualClock(TRUE + off))
    clock.answered(TRUE, clock.asking())
    assert (clock.now(), clock.off_s) == (TRUE, off.total_seconds())


def test_a_command_shows_that_it_is_behind_but_not_that_it_is_ahead() -> None:
    late, early = GuidedClock(VirtualClock(TRUE - HOURS)), GuidedClock(VirtualClock(TRUE + HOURS))
    for clock in (late, early):
        clock.heard(TRUE)
    assert late.now() == TRUE
    assert early.now() == TRUE + HOURS  # it may have been on its way for three hours


async def test_what_is_near_enough_is_left_alone_and_a_slow_answer_proves_nothing() -> None:
    own = VirtualClock(TRUE)
    clock = GuidedClock(own)
    clock.heard(TRUE + SECOND)
    asked = clock.asking()
    await own.advance(60)
    clock.answered(TRUE + 30 * SECOND, asked)  # told half-way, heard a minute after it was asked
    assert clock.off_s == 0


async def test_a_clock_that_its_machine_sets_right_is_believed_again() -> None:
    own = VirtualClock(TRUE - HOURS)
    clock = GuidedClock(own)
    clock.answered(TRUE, clock.asking())
    await own.advance(HOURS.total_seconds())  # the network told it the time
    clock.answered(TRUE + SECOND, clock.asking())
    assert abs(clock.off_s) <= 2


async def test_a_clock_that_its_machine_turns_back_goes_on_until_the_platform_sets_it_right() -> None:
    wall, steady = TRUE.timestamp() + HOURS.total_seconds(), 50.0
    clock = GuidedClock(RatedClock(wall=going_on(lambda: wall, lambda: steady)))
    began = clock.now()
    wall, steady = wall - HOURS.total_seconds() + 60, steady + 60
    assert clock.now() == began + 60 * SECOND  # it does not stand for three hours
    clock.answered(TRUE + 60 * SECOND, clock.asking())
    wall, steady = wall + 10, steady + 10
    assert clock.now() == TRUE + 70 * SECOND
    wall += 3600  # as when it slept, or was set forward
    assert clock.now() == TRUE + 3670 * SECOND
