"""How often a program may call a VEN: by its own days and months, and with a rest in between."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tieline.base.time import Span
from tieline.dispatch.planning import CallLimits, Reason, limited

LISBON, BRISBANE = ZoneInfo("Europe/Lisbon"), ZoneInfo("Australia/Brisbane")
ZONES = {"home-1": LISBON, "home-2": BRISBANE}
HOUR = timedelta(hours=1)
START = datetime(2026, 7, 15, 17, tzinfo=UTC)
EVENT = Span(START, START + 2 * HOUR)
Call = tuple[str, datetime, datetime]


def call(ven_id: str, start: datetime, hours: float = 1.0) -> Call:
    return ven_id, start, start + hours * HOUR


def test_without_limits_nobody_is_limited() -> None:
    assert limited(EVENT, [call("home-1", START - HOUR)] * 50, CallLimits(), ZONES) == {}


def test_without_calls_nobody_is_limited() -> None:
    assert limited(EVENT, [], CallLimits(events_a_day=1, hours_a_month=2, rest_h=24), ZONES) == {}


def test_an_event_too_long_for_the_month_is_for_nobody() -> None:
    assert set(limited(EVENT, [], CallLimits(hours_a_month=1.9), ZONES)) == {"home-1", "home-2"}


def test_a_day_is_that_of_the_site() -> None:
    """At 17:00 UTC it is still 15 July in Lisbon, and 16 July in Brisbane, since 14:00 UTC."""
    limits = CallLimits(events_a_day=1)
    before = datetime(2026, 7, 15, 13, tzinfo=UTC)
    assert limited(EVENT, [call("home-1", before), call("home-2", before)], limits, ZONES) == {
        "home-1": Reason.CALL_LIMIT_DAY
    }
    yesterday = datetime(2026, 7, 14, 22, 59, tzinfo=UTC)  # 23:59 in Lisbon
    assert limited(EVENT, [call("home-1", yesterday)], limits, ZONES) == {}
    assert limited(EVENT, [call("home-1", yesterday + timedelta(minutes=1))], limits, ZONES) != {}


def test_a_day_may_have_23_hours() -> None:
    """29 March 2026 in Lisbon: from midnight UTC to 23:00 UTC."""
    event = Span(datetime(2026, 3, 29, 12, tzinfo=UTC), datetime(2026, 3, 29, 13, tzinfo=UTC))
    limits = CallLimits(events_a_day=1)
    assert limited(event, [call("home-1", datetime(2026, 3, 29, 22, 59, tzinfo=UTC))], limits, ZONES) != {}
    assert limited(event, [call("home-1", datetime(2026, 3, 29, 23, tzinfo=UTC))], limits, ZONES) == {}


def test_several_a_day() -> None:
    calls = [call("home-1", START - n * HOUR) for n in (3, 6)]
    assert limited(EVENT, calls, CallLimits(events_a_day=3), ZONES) == {}
    assert limited(EVENT, calls, CallLimits(events_a_day=2), ZONES) == {"home-1": Reason.CALL_LIMIT_DAY}


def test_the_hours_of_a_month() -> None:
    in_june, in_july = datetime(2026, 6, 30, 22, 59, tzinfo=UTC), datetime(2026, 6, 30, 23, tzinfo=UTC)
    limits = CallLimits(hours_a_month=10)
    assert limited(EVENT, [call("home-1", in_july, 8)], limits, ZONES) == {}
    assert limited(EVENT, [call("home-1", in_july, 8.01)], limits, ZONES) == {"home-1": Reason.CALL_LIMIT_MONTH}
    assert limited(EVENT, [call("home-1", in_june, 8.01)], limits, ZONES) == {}


@pytest.mark.parametrize(
    ("start", "rested"),
    [
        (START - 13 * HOUR, True),
        (START - 12.5 * HOUR, False),
        (START, False),
        (START + 13.5 * HOUR, False),
        (START + 14 * HOUR, True),
    ],
)
def test_rest_is_before_and_after(start: datetime, rested: bool) -> None:
    found = limited(EVENT, [call("home-1", start)], CallLimits(rest_h=12), ZONES)
    assert found == ({} if rested else {"home-1": Reason.REST})


def test_the_day_is_told_before_the_month_and_the_month_before_the_rest() -> None:
    calls = [call("home-1", START - 2 * HOUR)]
    assert limited(EVENT, calls, CallLimits(1, 2, 24), ZONES) == {"home-1": Reason.CALL_LIMIT_DAY}
    assert limited(EVENT, calls, CallLimits(None, 2, 24), ZONES) == {"home-1": Reason.CALL_LIMIT_MONTH}


def test_calls_of_strangers_do_not_matter() -> None:
    assert limited(EVENT, [call("stranger", START)], CallLimits(1, 2, 24), ZONES) == {}
