"""When reports are due: the User Guide's cases, and random access to intervals against walking along them."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tieline.wires.openadr31.duties import MOST_STEPS, Duties, Step
from tieline.wires.openadr31.messages import Event, Interval, IntervalPeriod, ReportDescriptor, ValuesMap
from tieline.wires.openadr31.timeline import laps

START = datetime(2026, 7, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)


def event(count: int = 4, each: str = "PT1H", **more: Any) -> Event:
    payload = ValuesMap(type="PRICE", values=(0.1, 0.2))
    intervals = tuple(Interval(id=10 + number, payloads=(payload,)) for number in range(count))
    plain = Event(
        id="e-1",
        program_id="p-1",
        created_date_time=START,
        modification_date_time=START,
        interval_period=IntervalPeriod(start="2026-07-14T00:00:00Z", duration=each),
        **more,
    )
    return replace(plain, intervals=intervals) if count else plain


def descriptor(**asked: Any) -> ReportDescriptor:
    return ReportDescriptor(payload_type="USAGE", **asked)


def told(asked: Event, most: int = 10, **how: Any) -> list[tuple[float, list[float]]]:
    """Of each report in turn: the hour it is due, and the hours at which the intervals start that it is about."""
    duties, found, now = Duties(asked, descriptor(**how), None), list[tuple[float, list[float]]](), START
    done = -1
    while len(found) < most:
        duty, next_at = duties.due(now, done)
        if duty:
            found.append((hours(duty.due_at), [hours(step.start) for step in duty.steps]))
            done = duty.number
        if next_at is None:
            return found
        now = max(now, next_at)
    return found


def hours(at: datetime) -> float:
    return (at - START) / HOUR


def test_by_default_one_report_comes_at_the_end_about_all() -> None:
    assert told(event()) == [(4, [0, 1, 2, 3])]


def test_a_forecast_comes_at_the_beginning() -> None:
    assert told(event(), historical=False) == [(0, [0, 1, 2, 3])]


def test_reports_at_a_regular_period() -> None:
    found = told(event(6), start_interval=1, num_intervals=2, frequency=2, repeat=3)
    assert found == [(2, [0, 1]), (4, [2, 3]), (6, [4, 5])]


def test_rolling_forecasts() -> None:
    found = told(event(5), start_interval=0, num_intervals=3, frequency=1, repeat=3, historical=False)
    assert found == [(0, [0, 1, 2]), (1, [1, 2, 3]), (2, [2, 3, 4])]


def test_a_forecast_ends_where_the_event_does() -> None:
    found = told(event(3), start_interval=0, num_intervals=2, frequency=1, repeat=-1, historical=False)
    assert found == [(0, [0, 1]), (1, [1, 2]), (2, [2])]


def test_a_repeated_event_is_reported_lap_after_lap() -> None:
    looping = event(3, duration="P9999Y")
    assert told(looping, most=3, repeat=-1) == [(3, [0, 1, 2]), (6, [3, 4, 5]), (9, [6, 7, 8])]
    assert told(looping) == [(3, [0, 1, 2])]


def test_an_event_cut_short_is_reported_as_far_as_it_goes() -> None:
    assert told(event(4, duration="PT2H30M")) == [(2.5, [0, 1, 2])]
    assert told(event(2, duration="PT3H"), repeat=-1, start_interval=0, frequency=1) == [
        (1, [0]),
        (2, [0, 1]),
        (3, [1, 2]),
    ]


def test_implied_intervals_go_on_for_ever() -> None:
    """User Guide 8.7."""
    found = told(event(0), most=3, start_interval=0, num_intervals=3, historical=False, frequency=1, repeat=-1)
    assert found == [(0, [0, 1, 2]), (1, [1, 2, 3]), (2, [2, 3, 4])]
    assert told(event(0, duration="PT2H"), repeat=-1) == [(1, [0]), (2, [1])]


def test_months_are_the_calendars() -> None:
    monthly = event(0, "P1M", duration="P1Y")
    ends = [due / 24 for due, _ in told(monthly, most=3, repeat=-1)]
    assert ends == [31, 62, 92]
    looping = event(1, "P1M", duration="P9999Y")
    assert [due / 24 for due, _ in told(looping, most=3, repeat=-1)] == ends


@pytest.mark.parametrize(
    ("asked", "how"),
    [
        (event(), {"frequency": 0}),
        (event(), {"repeat": 0}),
        (event(2), {"start_interval": 7}),
        (event(1, "P9999Y"), {}),
        (event(1, "PT0S"), {}),
        (event(0, "P9999Y"), {}),
        (event(0, "PT0S"), {"repeat": -1}),
        (event(2, duration="PT0S"), {}),
        (event(2), {"start_interval": 2**31 - 1, "repeat": -1}),
    ],
)
def test_some_ask_for_nothing_that_is_ever_due(asked: Event, how: dict[str, Any]) -> None:
    assert told(asked, **how) == []


def test_of_what_was_missed_only_the_latest_is_told() -> None:
    """User Guide 7.5, "do it now"."""
    duties = Duties(event(2, duration="P9999Y"), descriptor(repeat=-1, start_interval=0, frequency=1), None)
    late = START + timedelta(days=3 * 365, minutes=30)
    duty, next_at = duties.due(late)
    assert duty is not None
    assert (duty.due_at, next_at) == (late - HOUR / 2, late + HOUR / 2)
    assert duties.due(late, duty.number) == (None, next_at)


def test_what_nobody_can_keep_is_bounded() -> None:
    for asked in (event(0), event(2, duration="P9999Y")):
        how = {"start_interval": 0, "num_intervals": 2**31 - 1, "frequency": 1, "repeat": -1, "historical": False}
        duty, _ = Duties(asked, descriptor(**how), None).due(START)
        assert duty is not None
        assert len(duty.steps) == MOST_STEPS
    how = {"start_interval": 2**31 - 1, "frequency": 2**31 - 1, "repeat": -1}
    assert Duties(event(1, "P1M", duration="P9999Y"), descriptor(**how), None).due(START) == (None, None)


@given(
    count=st.integers(1, 4),
    minutes=st.integers(1, 200),
    gap=st.integers(0, 90),
    draw=st.floats(-1, 1),
    jump=st.integers(0, 40),
)
def test_any_interval_is_found_as_if_one_had_walked_there(
    count: int, minutes: int, gap: int, draw: float, jump: int
) -> None:
    own = IntervalPeriod(start=f"{START + timedelta(minutes=(count - 1) * minutes + gap):%Y-%m-%dT%H:%M:%SZ}")
    plain = event(count, f"PT{minutes}M", duration="P30D")
    period = IntervalPeriod(start="2026-07-14T00:00:00Z", duration=f"PT{minutes}M", randomize_start="PT10M")
    last = Interval(id=99, interval_period=own, payloads=())
    uneven = replace(plain, interval_period=period, intervals=(*(plain.intervals or ())[:-1], last))
    walked = itertools.islice(itertools.chain.from_iterable(laps(bare(uneven), None, START, draw=draw)), jump, jump + 1)
    expected = [Step(slot.interval_id, slot.start, slot.end) for slot in walked]
    how = descriptor(start_interval=jump, num_intervals=1, historical=False)
    duty, _ = Duties(uneven, how, None, draw=draw).due(START + timedelta(days=40))
    assert ([duty.steps[0]] if duty else []) == expected


def bare(asked: Event) -> Event:
    """Without payloads, whose values would divide the intervals."""
    return replace(asked, intervals=tuple(replace(one, payloads=()) for one in asked.intervals or ()))
