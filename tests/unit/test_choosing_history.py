"""Steps of time put where the clock was: days on which clocks change, and who was called on which of them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tieline.base.time import micros
from tieline.settlement.baseline.fleet import Fleet
from tieline.settlement.choosing.history import MOST_VENS, Homes, by_clock, sampled, with_calls

ZONE = ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 6, 1), 24), (date(2026, 11, 1), 25)])
def test_a_day_has_its_clocks_hours(day: date, hours: int) -> None:
    """Each hour draws its number on the clock; the one that is skipped is unknown, the one that comes twice is
    averaged: of 0 and 2 kW it is 1 kW."""
    start = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    starts = [start + timedelta(minutes=15 * n) for n in range(4 * hours)]
    kw = np.array([float(at.astimezone(ZONE).hour) for at in starts])
    if hours == 25:
        kw[4:8], kw[8:12] = 0, 2
    found = by_clock(kw[None], np.array([micros(at) for at in starts]), ZONE, [day])
    by_hour = found.reshape(24, 4)
    expected = np.arange(24.0)
    if hours == 23:
        expected[2] = np.nan
    np.testing.assert_array_equal(by_hour, np.repeat(expected[:, None], 4, axis=1))


def test_a_call_beyond_midnight_is_on_both_its_days() -> None:
    homes = Homes(["a", "b"], ZONE, Fleet(np.ones((2, 5, 96)), date(2026, 7, 1)))
    call = (datetime(2026, 7, 2, 23, tzinfo=ZONE), datetime(2026, 7, 3, 1, tzinfo=ZONE))
    long_ago = (datetime(2026, 6, 2, tzinfo=ZONE), datetime(2026, 6, 3, tzinfo=ZONE))
    called = with_calls(homes, {"b": [call, long_ago], "c": [call]}).fleet.called
    assert called is not None
    assert np.argwhere(called).tolist() == [[1, 1], [1, 2]]


def test_a_large_program_is_told_by_the_same_sample_every_time() -> None:
    everybody = [f"home-{n}" for n in range(1000)]
    some = sampled(everybody, "summer")
    assert some == sampled(everybody[::-1], "summer") != sampled(everybody, "winter")
    assert len(some) == MOST_VENS
    assert sampled(["a"], "summer") == {"a"}
