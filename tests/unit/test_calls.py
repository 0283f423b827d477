"""A call of the fleet is an OpenADR event, and back; what only signals calls nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.dispatch.calls import FLEET_REDUCTION, FOR_EVER, as_request, levels, window
from tieline.dispatch.model import Level, NewEvent
from tieline.wires.openadr31.messages import (
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    ValuesMap,
)

PROGRAM = ProgramRequest(program_name="peak")
START = datetime(2026, 7, 15, 17, tzinfo=UTC)


def event(*asked: object, duration: str = "PT1H", units: str | None = "KW") -> EventRequest:
    payload = [(ValuesMap(type=FLEET_REDUCTION, values=(one,)),) for one in asked]  # type: ignore[arg-type]
    return EventRequest(
        program_id="p",
        payload_descriptors=(EventPayloadDescriptor(payload_type=FLEET_REDUCTION, units=units),),
        interval_period=IntervalPeriod(start="2026-07-15T17:00:00Z", duration=duration),
        intervals=tuple(Interval(id=n, payloads=one) for n, one in enumerate(payload)),
    )


def called(request: EventRequest) -> float:
    return max((level.target_kw for level in levels(request, PROGRAM, START)), default=0.0)


@given(
    start=st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC)),
    seconds=st.integers(1, 86_400),
    micros=st.integers(0, 999_999),
    kw=st.floats(0.001, 1e9),
)
def test_a_call_survives_being_said_in_openadr(start: datetime, seconds: int, micros: int, kw: float) -> None:
    length = min(timedelta(seconds=seconds, microseconds=micros), timedelta(hours=24))
    new = NewEvent("p", start, start + length, kw)
    request = as_request(new)
    assert window(request, PROGRAM, START) == (new.start_at, new.end_at)
    assert called(request) == kw


def test_every_ven_is_told_that_there_is_an_event() -> None:
    request = as_request(NewEvent("p", START, START + timedelta(hours=1), 60.0, targets=["north"]))
    assert request.targets == ("north",)
    assert ValuesMap(type="SIMPLE", values=(1,)) in request.intervals[0].payloads  # type: ignore[index]


def test_equal_intervals_are_one_call() -> None:
    assert called(event(60.0, 60, duration="PT30M")) == 60.0


def test_intervals_that_ask_differently_are_a_profile() -> None:
    asked = levels(event(60.0, 30.0, 30.0, 90.0, duration="PT15M"), PROGRAM, START)
    quarter = timedelta(minutes=15)
    assert asked == [Level(START, 60.0), Level(START + quarter, 30.0), Level(START + 3 * quarter, 90.0)]


@given(st.lists(st.tuples(st.integers(1, 3600), st.floats(0, 1e6)), max_size=20), st.integers(1, 3600))
def test_a_profile_survives_being_said_in_openadr(steps: list[tuple[int, float]], last_s: int) -> None:
    at, profile, before = START, list[Level](), 100.0
    for seconds, kw in steps:
        at += timedelta(seconds=seconds)
        if kw != before:
            profile.append(Level(at, kw))
        before = kw
    new = NewEvent("p", START, at + timedelta(seconds=last_s), 100.0, profile=profile)
    assert levels(as_request(new), PROGRAM, START) == [Level(START, 100.0), *profile]
    assert window(as_request(new), PROGRAM, START) == (START, new.end_at)


def test_a_price_calls_nobody() -> None:
    price = EventRequest(
        program_id="p",
        interval_period=IntervalPeriod(start="0001-01-01", duration="P9999Y"),
        intervals=(Interval(id=0, payloads=(ValuesMap(type="PRICE", values=(0.17,)),)),),
    )
    assert window(price, PROGRAM, START) == (START, FOR_EVER)
    assert called(price) == 0.0


def test_an_event_without_any_time_goes_on_from_when_it_was_heard() -> None:
    assert window(EventRequest(program_id="p"), PROGRAM, START)[0] == START


def test_a_cancelled_call_calls_nobody() -> None:
    gone = EventRequest(
        program_id="p",
        interval_period=IntervalPeriod(start="0001-01-01", duration="PT0S"),
        intervals=(Interval(id=0, payloads=(ValuesMap(type=FLEET_REDUCTION, values=(60.0,)),)),),
    )
    assert called(gone) == 0.0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (event(60.0, units="KWH"), "is in KW"),
        (event(60.0, duration="P2D"), "lasts at most"),
        (event(-1.0), "from 0 to"),
        (event("sixty"), "one number"),
        (event(True), "one number"),
    ],
)
def test_a_call_that_cannot_be_says_why(request_: EventRequest, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        called(request_)
