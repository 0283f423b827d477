"""What is expected of VENs, and which report pays it: the User Guide's cases, and laws."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.time import iso
from tieline.vtn import expectations
from tieline.vtn.expectations import Answered, Due, Period, State, answers, asks, met, next_due_at
from tieline.wires.openadr31.duties import Duties
from tieline.wires.openadr31.messages import Event, Interval, IntervalPeriod, ReportDescriptor

START = datetime(2026, 7, 15, tzinfo=UTC)
BEFORE = START - timedelta(days=1)
HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=15)
AGES = timedelta(days=4000)


def event(count: int = 4, *, heard_at: datetime = BEFORE, each: str = "PT1H", **more: Any) -> Event:
    intervals: dict[str, Any] = {"intervals": tuple(Interval(id=n, payloads=()) for n in range(count))} if count else {}
    return Event(
        id="e",
        program_id="p",
        created_date_time=BEFORE,
        modification_date_time=heard_at,
        interval_period=IntervalPeriod(start=iso(START), duration=each),
        **intervals,
        **more,
    )


def asking(count: int = 4, *, kind: str = "USAGE", event_: dict[str, Any] | None = None, **how: Any) -> Event:
    return event(count, report_descriptors=(ReportDescriptor(payload_type=kind, **how),), **(event_ or {}))


def due(
    asked: Event, after: datetime = BEFORE, until: datetime = START + 48 * HOUR
) -> list[tuple[float, float, float]]:
    """The hours at which reports are due, and from which hour to which they are about."""
    found = expectations.due(asked, None, after=after, until=until)
    return [(hours(one.due_at), hours(one.start), hours(one.end)) for one in found]


def hours(at: datetime) -> float:
    return (at - START) / HOUR


def about(start: float, end: float, kind: str = "USAGE") -> Answered:
    return Answered(frozenset({kind}), period=Period(START + start * HOUR, START + end * HOUR))


def paid(asked: Event, answered: Answered, at: float) -> list[float]:
    """When those were due that such a report pays, coming at an hour."""
    found = met(asked, None, 0, answered, START + at * HOUR)
    assert found is not None
    return [hours(one.due_at) for one in found]


# --- when -------------------------------------------------------------------------------------------------------------


def test_all_intervals_are_reported_at_their_end() -> None:
    assert due(asking()) == [(4, 0, 4)]


def test_a_forecast_is_due_at_the_start() -> None:
    assert due(asking(historical=False)) == [(0, 0, 4)]


def test_reports_at_a_regular_period() -> None:
    assert due(asking(6, start_interval=1, num_intervals=2, frequency=2, repeat=3)) == [(2, 0, 2), (4, 2, 4), (6, 4, 6)]


def test_a_frequency_divides_a_lap_where_no_first_interval_is_named() -> None:
    assert due(asking(6, num_intervals=2, frequency=2, repeat=3)) == [(2, 0, 2), (4, 2, 4), (6, 4, 6)]
    assert due(asking(6, num_intervals=2, frequency=2)) == [(6, 4, 6)]


def test_rolling_forecasts_over_implied_intervals() -> None:
    """User Guide 8.7."""
    asked = asking(0, historical=False, start_interval=0, num_intervals=48, frequency=1, repeat=-1)
    assert due(asked, until=START + 2 * HOUR) == [(0, 0, 48), (1, 1, 49), (2, 2, 50)]


def test_an_event_that_repeats_is_reported_lap_after_lap() -> None:
    asked = asking(2, event_={"duration": "P9999Y"}, repeat=-1)
    assert due(asked, until=START + 5 * HOUR) == [(2, 0, 2), (4, 2, 4)]
    years = START + 3 * 365 * 24 * HOUR
    assert due(asked, after=years, until=years + 3 * HOUR) == [(hours(years) + 2, hours(years), hours(years) + 2)]


def test_of_what_had_passed_when_the_event_was_heard_of_only_the_latest_is_due_and_at_once() -> None:
    heard_at = START + 2.5 * HOUR
    asked = asking(event_={"heard_at": heard_at}, start_interval=0, num_intervals=1, frequency=1, repeat=-1)
    assert due(asked) == [(2.5, 1, 2), (3, 2, 3), (4, 3, 4)]


def test_a_ven_whose_dice_shift_the_start_has_so_much_longer() -> None:
    period = IntervalPeriod(start=iso(START), duration="PT1H", randomize_start="PT30M")
    shifted = Event(
        id="e",
        program_id="p",
        created_date_time=BEFORE,
        modification_date_time=BEFORE,
        interval_period=period,
        intervals=(Interval(id=0, payloads=()),),
        report_descriptors=(ReportDescriptor(payload_type="USAGE"),),
    )
    assert [one for one, _, _ in due(shifted)] == [1.5]


@pytest.mark.parametrize(
    "asked",
    [
        asking(frequency=0),
        asking(repeat=0),
        asking(event_={"each": "PT0S"}),
        asking(event_={"each": "P9999Y"}),
        asking(0, event_={"each": "P9999Y"}),
        asking(start_interval=9),
        event(),
    ],
)
def test_some_ask_for_nothing_that_is_ever_due(asked: Event) -> None:
    assert due(asked, until=START + AGES) == []
    assert next_due_at(asked, None, after=BEFORE) is None


descriptors = st.builds(
    ReportDescriptor,
    payload_type=st.sampled_from(["USAGE", "DEMAND"]),
    start_interval=st.integers(-1, 5),
    num_intervals=st.integers(-1, 6),
    historical=st.booleans(),
    frequency=st.integers(-1, 4),
    repeat=st.integers(-1, 6),
)
instants = st.integers(-120, 2000).map(lambda minutes: START + timedelta(minutes=minutes))
events = st.builds(
    lambda count, each, loops, heard_at, asked: event(
        count,
        each=each,
        heard_at=heard_at,
        report_descriptors=tuple(asked),
        **({"duration": "P9999Y"} if loops else {}),
    ),
    st.integers(0, 4),
    st.sampled_from(["PT1H", "PT10M", "PT37M"]),
    st.booleans(),
    instants,
    st.lists(descriptors, min_size=1, max_size=2),
)


@given(asked=events, cuts=st.lists(instants, min_size=3, max_size=3).map(sorted))
def test_looking_often_finds_the_same_as_looking_once(asked: Event, cuts: list[datetime]) -> None:
    first, middle, last = cuts
    halves = [expectations.due(asked, None, after=a, until=b) for a, b in ((first, middle), (middle, last))]
    whole = expectations.due(asked, None, after=first, until=last)
    assert halves[0] + halves[1] == whole
    assert whole == sorted(whole)
    assert len({(one.descriptor, one.turn) for one in whole}) == len(whole)
    following = next_due_at(asked, None, after=first)
    assert (following == whole[0].due_at) if whole else (following is None or following > last)


@given(asked=events)
def test_what_is_due_is_what_a_ven_finds_due_when_it_looks_at_every_minute(asked: Event) -> None:
    """The VEN's own way through its duties (`Duties.due`), from when it heard of the event on."""
    until = START + timedelta(hours=8)
    for index, descriptor in enumerate(asked.report_descriptors or ()):
        duties, done, found = Duties(asked, descriptor, None, draw=1.0), -1, list[int]()
        now = asked.modification_date_time
        while now <= until:
            duty, _ = duties.due(now, done)
            if duty is not None:
                found.append(done := duty.number)
            now += timedelta(minutes=1)
        mine = duties.between(BEFORE, until, asked.modification_date_time)
        assert [one.number for one in mine] == found, index


def test_more_than_can_be_looked_at_together_is_looked_at_in_order() -> None:
    every_minute = ReportDescriptor(payload_type="A", start_interval=0, num_intervals=1, frequency=1, repeat=-1)
    hourly = ReportDescriptor(payload_type="B", start_interval=59, num_intervals=1, frequency=60, repeat=-1)
    asked = event(0, each="PT1M", report_descriptors=(every_minute, hourly))
    found, after = list[Due](), BEFORE
    while some := expectations.due(asked, None, after=after, until=START + 100 * HOUR):
        found += some
        after = some[-1].due_at
    assert len(found) == 6000 + 100
    assert found == sorted(found)


# --- whom -------------------------------------------------------------------------------------------------------------


def test_targets_of_event_and_descriptor_narrow_who_is_asked() -> None:
    asked = event(targets=("north", "south"))
    narrow = ReportDescriptor(payload_type="USAGE", targets=("meters",))
    assert asks(ReportDescriptor(payload_type="USAGE"), asked, {"north"})
    assert not asks(ReportDescriptor(payload_type="USAGE"), asked, {"west"})
    assert not asks(narrow, asked, {"north"})
    assert asks(narrow, asked, {"north", "meters"})
    assert asks(ReportDescriptor(payload_type="USAGE"), event(), set())


# --- which ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "told", "yes"),
    [
        ({}, {}, True),
        ({"payload_type": "DEMAND"}, {}, False),
        ({"aggregate": True}, {}, False),
        ({"aggregate": True}, {"aggregated": True}, True),
        ({}, {"aggregated": True}, True),
        ({"reading_type": "FORECAST"}, {}, True),
        ({"reading_type": "FORECAST"}, {"reading_types": frozenset({("USAGE", "FORECAST")})}, True),
        ({"reading_type": "FORECAST"}, {"reading_types": frozenset({("USAGE", "PEAK")})}, False),
        ({"reading_type": "FORECAST"}, {"reading_types": frozenset({("DEMAND", "PEAK")})}, True),
        ({}, {"reading_types": frozenset({("USAGE", "PEAK")})}, True),
    ],
)
def test_a_report_answers_what_it_tells_of(how: dict[str, Any], told: dict[str, Any], yes: bool) -> None:
    descriptor = ReportDescriptor(**({"payload_type": "USAGE"} | how))
    assert answers(descriptor, Answered(frozenset({"USAGE"}), **told)) is yes


HOURLY: dict[str, Any] = {"start_interval": 0, "num_intervals": 1, "frequency": 1, "repeat": -1}


def test_a_report_pays_the_time_it_covers_whenever_it_comes() -> None:
    asked = asking(6, **HOURLY)
    for hour in range(6):
        for came in (hour + 0.5, hour + 1, hour + 1.9, hour + 30):
            assert paid(asked, about(hour, hour + 1), came) == [hour + 1]


def test_one_report_pays_all_that_it_covers() -> None:
    assert paid(asking(6, **HOURLY), about(1, 4), 4.1) == [2, 3, 4]


def test_a_report_of_a_part_pays_the_time_it_touches() -> None:
    asked = asking(6, **HOURLY)
    assert paid(asked, about(2.1, 2.9), 5) == [3]
    assert paid(asked, about(2.5, 3.4), 3.7) == [4]  # two are touched: the nearest to when it came
    assert paid(asked, about(10, 11), 3) == []


def test_a_report_that_names_no_time_pays_what_is_nearest() -> None:
    unsaid = Answered(frozenset({"USAGE"}))
    assert paid(asking(6, **HOURLY), unsaid, 2.2) == [2]
    assert paid(asking(6, **HOURLY), unsaid, 2.8) == [3]
    assert paid(asking(), unsaid, 1) == [4]


def test_what_comes_when_the_ven_likes_pays_nothing() -> None:
    assert met(asking(frequency=0), None, 0, about(0, 1), START) is None


@given(first=st.integers(0, 30), count=st.integers(1, 6), late=st.integers(0, 600))
def test_rolling_forecasts_pay_their_own_turn(first: int, count: int, late: int) -> None:
    asked = asking(0, historical=False, start_interval=0, num_intervals=count, frequency=1, repeat=-1)
    assert paid(asked, about(first, first + count), first + late / 60) == [first]


@given(asked=events, index=st.integers(0, 1), came=instants)
def test_every_report_about_the_time_of_one_that_is_due_pays_it(asked: Event, index: int, came: datetime) -> None:
    index %= len(asked.report_descriptors or ())
    for one in expectations.due(asked, None, after=BEFORE, until=START + 6 * HOUR):
        if one.descriptor == index:
            told = Answered(frozenset(), period=Period(one.start, one.end))
            found = met(asked, None, index, told, came) or ()
            assert one.turn in [each.turn for each in found]


def test_grace_decides_what_is_late() -> None:
    assert expectations.state(START, START - HOUR, GRACE) is State.RECEIVED
    assert expectations.state(START, START + GRACE, GRACE) is State.RECEIVED
    assert expectations.state(START, START + GRACE + timedelta(microseconds=1), GRACE) is State.LATE
