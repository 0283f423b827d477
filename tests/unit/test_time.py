"""Instants, spans and clocks."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.time import Anchor, RatedClock, Span, VirtualClock, from_micros, iso, later, micros, parse_instant

NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  zoned by st


@given(instants)
def test_an_instant_survives_its_text_and_its_column(at: datetime) -> None:
    assert parse_instant(iso(at)) == at
    assert from_micros(micros(at)) == at


@pytest.mark.parametrize("text", ["2026-07-15T12:00:00", "2026-07-15", "noon", "", "0001-01-01T00:00:00+05:00"])
def test_an_instant_without_a_zone_or_none_at_all_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_instant(text)


@given(instants, instants)
def test_a_change_is_later_than_the_one_before_it(now: datetime, before: datetime) -> None:
    changed = later(now, than=before)
    assert changed > before
    assert changed == now or (now <= before and micros(changed) == micros(before) + 1)


def test_a_span_has_its_start_but_not_its_end() -> None:
    span = Span(NOON, NOON + timedelta(hours=1))
    assert NOON in span
    assert NOON + timedelta(hours=1) not in span
    assert span.hours == 1


@pytest.mark.parametrize("end", [NOON, NOON - timedelta(seconds=1)])
def test_a_span_that_is_empty_or_reversed_is_refused(end: datetime) -> None:
    with pytest.raises(Refused, match="must end after it starts"):
        Span(NOON, end)


def test_a_span_compares_instants_not_wall_clocks() -> None:
    brasilia = timezone(timedelta(hours=-3))
    with pytest.raises(Refused):
        Span(NOON, datetime(2026, 7, 15, 9, tzinfo=brasilia))


@given(st.floats(0.01, 3600), st.floats(0, 1e6), st.floats(0.01, 3600), st.floats(0, 1e6))
def test_changing_the_speed_never_turns_a_clock_back(first: float, wait: float, second: float, more: float) -> None:
    wall = [1_700_000_000.0]
    clock = RatedClock(Anchor(NOON, wall[0], first), wall=lambda: wall[0])
    wall[0] += wait
    before = clock.now()
    clock.anchor = clock.rated(second)
    assert abs(clock.now() - before) <= timedelta(microseconds=1)
    wall[0] += more
    assert clock.now() >= before - timedelta(microseconds=1)


def test_a_clock_stands_rather_than_turns_back_and_begins_where_it_is_told() -> None:
    wall = [1000.0]
    clock = RatedClock(Anchor(NOON, 1000.0, 3600), wall=lambda: wall[0])
    wall[0] += 1
    ahead = clock.now()
    clock.anchor = Anchor(NOON, 1000.0, 1)  # another process has slowed it, a moment ago
    assert clock.now() == ahead
    wall[0] += 3599
    assert clock.now() == ahead
    wall[0] += 1
    assert clock.now() > ahead
    clock.start(Anchor(NOON, wall[0], 1))
    assert clock.now() == NOON


async def test_virtual_time_wakes_each_sleeper_at_its_own_instant() -> None:
    clock, woken = VirtualClock(NOON), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (30, 10, 20)]
    await clock.advance(25)
    assert woken == [(10, NOON + timedelta(seconds=10)), (20, NOON + timedelta(seconds=20))]
    assert clock.now() == NOON + timedelta(seconds=25)
    await clock.advance(5)
    await asyncio.gather(*tasks)
