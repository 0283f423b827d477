"""The timeline's laws, and the examples of the User Guide (7.1, 7.3, 7.4, 7.9) in hours since an arbitrary midnight."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.timeline_events import (
    HEARD,
    NOW,
    at,
    contiguous,
    event,
    hour_of,
    hourly,
    hours,
    interval,
    law,
    minutes,
    price,
    slots,
)
from tieline.base.errors import Refused
from tieline.base.time import iso
from tieline.wires.openadr31.duration import length
from tieline.wires.openadr31.messages import EventRequest, ProgramRequest, ValuesMap
from tieline.wires.openadr31.timeline import Slot, lifespan, timeline

# ---------------------------------------------------------------- examples


def test_intervals_follow_each_other_from_the_events_start() -> None:
    asked = event(interval(0), interval(1), interval(2), period=hourly())
    assert hours(asked) == [(0, 1, 0), (1, 2, 1), (2, 3, 2)]
    assert lifespan(asked, None, HEARD) == (at(0), at(3))


def test_an_interval_may_bring_its_own_duration() -> None:
    """Example 7.4-1."""
    assert hours(event(interval(0), interval(1, duration="PT2H"), period=hourly())) == [(0, 1, 0), (1, 3, 1)]


def test_an_interval_may_bring_its_own_start_and_so_make_a_gap_or_an_overlap() -> None:
    gap = event(interval(0), interval(1, start=iso(at(5))), interval(2), period=hourly())
    assert hours(gap) == [(0, 1, 0), (5, 6, 1), (6, 7, 2)]
    assert lifespan(gap, None, HEARD) == (at(0), at(7))
    overlap = event(interval(0, duration="PT4H"), interval(1, start=iso(at(1))), period=hourly())
    assert hours(overlap) == [(0, 4, 0), (1, 2, 1)]
    assert lifespan(overlap, None, HEARD) == (at(0), at(4))


@pytest.mark.parametrize("start", [NOW, "0001-01-01T00:00:00", "0001-01-01T00:00:00Z"])
def test_the_beginning_of_time_is_now_or_after_the_interval_before(start: str) -> None:
    at_event = event(interval(0), interval(1, start=start), period={"start": start, "duration": "PT1H"})
    assert hours(at_event) == [(6, 7, 0), (7, 8, 1)]
    like_its_event = event(interval(0, start=start), interval(1, start=start), period=hourly())
    assert hours(like_its_event) == [(0, 1, 0), (1, 2, 1)]
    alone = event(interval(0, start=start, duration="PT2H"))
    assert hours(alone) == [(6, 8, 0)]


def test_for_ever_has_no_end_and_no_follower() -> None:
    asked = event(interval(0), interval(1), period={"start": NOW, "duration": "P9999Y"})
    assert hours(asked) == [(6, None, 0)]
    assert lifespan(asked, None, HEARD) == (HEARD, None)
    ended_by_its_own_start = event(interval(0), interval(1, start=iso(at(9))), period={"start": NOW})
    assert hours(ended_by_its_own_start) == [(6, None, 0), (9, None, 1)]


def test_what_names_no_time_holds_from_when_it_was_heard() -> None:
    assert hours(event(interval(0))) == [(6, None, 0)]
    assert lifespan(event(), None, HEARD) == (HEARD, None)


def test_an_event_that_only_asks_for_reports_lives_for_its_period() -> None:
    assert lifespan(event(period=hourly()), None, HEARD) == (at(0), at(1))
    assert lifespan(event(period=hourly(), duration="PT9H"), None, HEARD) == (at(0), at(9))
    assert slots(event(period=hourly())) == []


def test_a_period_comes_from_the_program_where_neither_event_nor_interval_has_one() -> None:
    program = msgspec.convert({"programName": "p", "intervalPeriod": hourly(3)}, ProgramRequest)
    assert hours(event(interval(0), interval(1)), program=program) == [(3, 4, 0), (4, 5, 1)]
    assert hours(event(interval(0), period=hourly(1)), program=program) == [(1, 2, 0)]
    assert hours(event(interval(0, duration="PT2H")), program=program) == [(6, 8, 0)]
    assert lifespan(event(), program, HEARD) == (at(3), at(4))


@pytest.mark.parametrize(
    "asked",
    [
        event(interval(0), interval(1), period={"start": NOW, "duration": "PT0S"}),
        event(interval(0), interval(1), period={"start": NOW, "duration": "PT0S"}, duration="P9999Y"),
        event(interval(0), interval(1), period=hourly(), duration="PT0S"),
        event(interval(0), period={"start": NOW, "duration": "-PT1H"}),
    ],
)
def test_an_event_of_no_duration_is_cancelled(asked: EventRequest) -> None:
    start, end = lifespan(asked, None, HEARD)
    assert start == end
    assert slots(asked) == []


def test_event_duration_cuts_and_repeats() -> None:
    two = (interval(0), interval(1))
    assert hours(event(*two, period=hourly(), duration="PT90M")) == [(0, 1, 0), (1, 1.5, 1)]
    assert hours(event(*two, period=hourly(), duration="PT3H")) == [(0, 1, 0), (1, 2, 1), (2, 3, 0)]
    assert lifespan(event(*two, period=hourly(), duration="PT3H"), None, HEARD) == (at(0), at(3))
    assert hours(event(*two, period=hourly(), duration="P9999Y"), most=3) == [(0, 1, 0), (1, 2, 1), (2, 3, 0)]
    assert lifespan(event(*two, period=hourly(), duration="P9999Y"), None, HEARD) == (at(0), None)


def test_several_prices_divide_their_interval() -> None:
    """Example 7.3-1."""
    asked = event(interval(0, price(0.17, 0.03, 0.11), start=iso(at(0)), duration="PT3H"))
    told = [(hour_of(s.start), s.payloads[0].values) for s in slots(asked)]
    assert told == [(0, (0.17,)), (1, (0.03,)), (2, (0.11,))]


@pytest.mark.parametrize(
    "payload",
    [
        price(0.1, 0.2, kind="OLS"),
        {"type": "CURVE", "values": [{"x": 1, "y": 2}, {"x": 2, "y": 3}]},
        {"type": "CONTROL_SETPOINT", "values": [{"x": 1, "y": 2}, {"x": 2, "y": 3}]},
        {"type": "DISPATCH_INSTRUCTION", "values": ["a", "b"]},
        {"type": "PRIVATE", "values": [1, 2]},
        {"type": "PRICE", "values": []},
    ],
)
def test_payloads_that_have_several_values_by_nature_are_left_whole(payload: dict[str, Any]) -> None:
    asked = event(interval(0, payload), period=hourly())
    assert [slot.payloads for slot in slots(asked)] == [(msgspec.convert(payload, ValuesMap),)]


def test_payloads_of_different_counts_share_their_interval() -> None:
    asked = event(interval(0, price(1, 2), price(5, 6, 7, kind="GHG"), price(9, kind="SIMPLE")), period=hourly())
    told = [(round(hour_of(s.start) * 60), [p.values[0] for p in s.payloads]) for s in slots(asked)]
    assert told == [(0, [1, 5, 9]), (20, [1, 6, 9]), (30, [2, 6, 9]), (40, [2, 7, 9])]


def test_randomize_start_shifts_followers_until_an_interval_brings_its_own() -> None:
    asked = event(
        interval(0),
        interval(1),
        interval(2, start=iso(at(4))),
        interval(3, start=iso(at(8)), randomizeStart="PT2H"),
        interval(4),
        interval(5, start=iso(at(12))),
        period=hourly(randomizeStart="PT1H"),
    )
    starts = [0, 1, 4, 8, 9, 12]
    assert [start for start, _, _ in hours(asked)] == starts
    assert [start for start, _, _ in hours(asked, draw=0.5)] == [0.5, 1.5, 4.5, 9, 10, 13]
    assert [start for start, _, _ in hours(asked, draw=-1)] == [-1, 0, 3, 6, 7, 10]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("P1M", datetime(2024, 2, 29, tzinfo=UTC)),
        ("P1Y1M", datetime(2025, 2, 28, tzinfo=UTC)),
        ("P1W", datetime(2024, 2, 7, tzinfo=UTC)),
        ("P1DT1H1M1.5S", datetime(2024, 2, 1, 1, 1, 1, 500_000, tzinfo=UTC)),
        ("PT0S", datetime(2024, 1, 31, tzinfo=UTC)),
        ("-P1Y", datetime(2024, 1, 31, tzinfo=UTC)),
        ("P9999Y", None),
        ("P999999999D", None),
        ("PT" + "9" * 5000 + "H", None),
        ("P" + "9" * 5000 + "W", None),
        ("PT" + "0" * 5000 + "S", datetime(2024, 1, 31, tzinfo=UTC)),
    ],
)
def test_durations_follow_the_calendar_and_end_with_it(text: str, end: datetime | None) -> None:
    assert length(text).after(datetime(2024, 1, 31, tzinfo=UTC)) == end


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(Refused, match="PT1H"):
        length("one hour")


def test_a_long_running_loop_is_entered_where_it_is() -> None:
    started = iso(datetime(1975, 1, 31, tzinfo=UTC))
    by_the_second = event(interval(0), interval(1), period={"start": started, "duration": "PT1S"}, duration="P9999Y")
    first = slots(by_the_second, after=HEARD, most=1)[0]
    assert first.start <= HEARD < first.start + timedelta(seconds=2)
    by_the_month = event(interval(0), interval(1), period={"start": started, "duration": "P1M"}, duration="P9999Y")
    first, second = slots(by_the_month, after=HEARD, most=2)
    assert first.start <= HEARD
    assert second.end is not None
    assert second.end > HEARD


def test_a_loop_at_the_end_of_time_ends_with_it() -> None:
    late = iso(datetime(9999, 12, 31, 22, tzinfo=UTC))
    asked = event(interval(0), period={"start": late, "duration": "PT1H"}, duration="P9999Y")
    assert [slot.end for slot in slots(asked)][-1] is None
    wild = event(interval(0), period={"start": late, "duration": "PT1H", "randomizeStart": "P8000Y"})
    assert len(slots(wild, draw=1.0)) == len(slots(wild, draw=-1.0)) == 1


@pytest.mark.parametrize("start", ["0001-01-01T00:00:05+02:00", "9999-12-31T23:00:00-02:00"])
def test_what_an_offset_takes_out_of_the_calendar_ends_with_it(start: str) -> None:
    asked = event(interval(0), period={"start": start, "duration": "PT1H", "randomizeStart": "PT1H"}, duration="P9999Y")
    begin, _ = lifespan(asked, None, HEARD)
    assert begin.year in (1, 9999)
    assert slots(asked, draw=-1.0, most=3)
    assert slots(asked, draw=1.0, most=3)


def test_many_values_in_one_interval_are_quickly_told() -> None:
    many = event(interval(0, price(*range(20_000)), price(*range(30), kind="GHG")), period=hourly())
    assert len(slots(many, most=30_000)) == 20_020


# ---------------------------------------------------------------- laws


def _ends(told: list[Slot]) -> list[datetime]:
    return [slot.end for slot in told if slot.end]


@law
@given(contiguous())
def test_no_gap_is_invented_and_nothing_overlaps(asked: EventRequest) -> None:
    told = slots(asked, most=1000)
    begin, end = lifespan(asked, None, HEARD)
    assert [begin, *_ends(told)] == [*(slot.start for slot in told), end]


@law
@given(contiguous(), st.integers(1, 5))
def test_a_loop_is_repetition(asked: EventRequest, times: int) -> None:
    begin, end = lifespan(asked, None, HEARD)
    assert end is not None
    assume(end > begin)
    seconds = int((end - begin).total_seconds())
    once = slots(asked, most=1000)
    told = slots(msgspec.structs.replace(asked, duration=f"PT{times * seconds}S"), most=10_000)
    assert told == [
        slot._replace(start=slot.start + late, end=slot.end + late)
        for late in (lap * (end - begin) for lap in range(times))
        for slot in once
        if slot.end
    ]


@law
@given(contiguous(), st.integers(0, 2000))
def test_a_cut_is_a_prefix(asked: EventRequest, kept: int) -> None:
    end = at(0) + timedelta(minutes=kept)
    full = slots(msgspec.structs.replace(asked, duration="P9999Y"), most=2500)
    told = slots(msgspec.structs.replace(asked, duration=f"PT{kept}M"), most=2500)
    assert told == [slot._replace(end=min(slot.end or end, end)) for slot in full if slot.start < end][: len(told)]
    assert all(slot.end and slot.end <= end for slot in told)


@law
@given(contiguous(), st.floats(-1, 1), minutes)
def test_a_shift_shifts_all_followers_alike(asked: EventRequest, draw: float, width: int) -> None:
    shifted = msgspec.convert(
        msgspec.to_builtins(asked) | {"intervalPeriod": hourly(randomizeStart=f"PT{width}M")}, EventRequest
    )
    by = timedelta(minutes=width) * draw
    moved = [s._replace(start=s.start + by, end=s.end + by) for s in slots(asked, most=1000) if s.end]
    assert slots(shifted, draw=draw, most=1000) == moved


@law
@given(contiguous(), st.floats(-1, 9))
def test_entering_late_misses_nothing_that_still_holds(asked: EventRequest, late: float) -> None:
    begin, end = lifespan(asked, None, HEARD)
    assert end is not None
    assume(begin != end)
    endless = msgspec.structs.replace(asked, duration="P9999Y")
    when = begin + (end - begin) * late
    entered = slots(endless, after=when, most=1)[0]
    before = list(itertools.takewhile(lambda slot: slot != entered, timeline(endless, None, HEARD)))
    assert all(slot.end and slot.end <= when for slot in before)
    assert entered.start <= max(when, begin)
