"""Day matching, 10-in-10: worked figures, which days count, what forbids an adjustment."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.unit.baseline_homes import BEFORE, DURING, SUNDAY, WEDNESDAY, baselines, day, event, home
from tieline.settlement.baseline.adjusting import CAPPED, NO_LOAD, TOUCHED, UNKNOWN
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.markets import CAISO_10_IN_10
from tieline.settlement.baseline.result import Baselines


def drawn(before_kw: float, event_kw: float) -> Floats:
    """A day with that load in the adjustment window and in the event's hours."""
    kw = day()
    kw[BEFORE], kw[DURING] = before_kw, event_kw
    return kw


def match(today: Floats, usual: Floats, until: date = WEDNESDAY, days: int = 45) -> Baselines:
    """A home that drew the same on each of so many days."""
    unknown = np.full(24, np.nan)
    return baselines(CAISO_10_IN_10, home(today, lambda ago: usual if ago <= days else unknown, until), event(until))


@pytest.mark.parametrize(
    ("usual", "now", "expected", "note"),
    [
        (0.600, 0.630, 1.890, ""),
        (0.600, 0.600, 1.800, ""),
        (0.600, 3.000, 2.160, CAPPED),
        (0.600, 0.000, 1.440, CAPPED),
        (0.600, -0.500, 1.440, CAPPED),
        (0.000, 3.000, 1.800, NO_LOAD),
        (-2.000, 1.000, 1.800, NO_LOAD),
    ],
)
def test_worked_figures(usual: float, now: float, expected: float, note: str) -> None:
    """Ten days of 1,800 W: the adjustment window decides."""
    got = match(drawn(now, 0), drawn(usual, 1.8))
    np.testing.assert_allclose(got.kw, [[expected] * 2])
    assert got.note(0) == note


def test_a_home_that_usually_feeds_in_during_the_event_is_not_adjusted() -> None:
    """A factor over 1 would turn more load in the morning into less in the baseline."""
    got = match(drawn(0.6, 0), drawn(0.5, -3.0))
    np.testing.assert_allclose(got.kw, [[-3.0] * 2])
    assert got.note(0) == NO_LOAD


def test_ten_newest_business_days() -> None:
    assert match(day(), day()).days(0) == [date(2026, 7, d) for d in (14, 13, 10, 9, 8, 7, 6, 3, 2, 1)]


def test_four_newest_other_days() -> None:
    assert match(day(), day(), SUNDAY).days(0) == [date(2026, 7, d) for d in (18, 12, 11, 5)]


def test_a_holiday_counts_as_no_business_day() -> None:
    friday = date(2026, 7, 3)
    fleet = replace(home(day(), lambda _: day()), holidays=[friday])
    assert friday not in baselines(CAISO_10_IN_10, fleet).days(0)
    sundays = replace(home(day(), lambda _: day(), SUNDAY), holidays=[date(2026, 7, 17)])
    assert date(2026, 7, 17) in baselines(CAISO_10_IN_10, sundays, event(SUNDAY)).days(0)


@pytest.mark.parametrize("how", ["called", "out"])
def test_days_of_other_events_and_of_outages_do_not_count(how: str) -> None:
    spoilt = date(2026, 7, 14), date(2026, 7, 9)
    fleet = home(day(), lambda _: day())
    marks = np.array([[one in spoilt for one in fleet.days]])
    marked = replace(fleet, called=marks) if how == "called" else replace(fleet, out=marks)
    got = baselines(CAISO_10_IN_10, marked)
    assert len(got.days(0)) == 10
    assert not set(spoilt) & set(got.days(0))


def test_a_day_with_a_hole_does_not_count() -> None:
    holes = {1: 18, 2: 14, 5: 3}  # days ago: the hour; the last is none that the rule looks at
    got = baselines(CAISO_10_IN_10, home(day(), lambda ago: day(**{f"h{holes[ago]}": np.nan} if ago in holes else {})))
    assert got.days(0)[:2] == [date(2026, 7, 10), date(2026, 7, 9)]
    assert len(got.days(0)) == 10


@pytest.mark.parametrize(("days", "found"), [(6, 4), (7, 5)])
def test_at_least_five_business_days(days: int, found: int) -> None:
    got = match(day(), day(), days=days)
    assert (0 in got.reasons) == (found < 5)
    assert np.isnan(got.kw).all() == (found < 5)
    if found < 5:
        assert "4 business days" in got.reasons[0]
        assert "needs 5" in got.reasons[0]


def test_at_least_four_other_days() -> None:
    assert 0 in match(day(), day(), SUNDAY, days=13).reasons
    assert 0 not in match(day(), day(), SUNDAY, days=14).reasons


def test_the_ratio_is_taken_where_today_has_readings() -> None:
    usual = day(h13=1.0, h14=2.0, h15=3.0)
    np.testing.assert_allclose(match(day(h13=1.1, h14=2.2, h15=np.nan), usual).factor, [1.1])
    nothing = match(drawn(np.nan, 0), usual)
    assert nothing.factor[0] == 1
    assert nothing.note(0) == UNKNOWN


def test_an_earlier_event_in_the_window_says_nothing_of_the_usual_load() -> None:
    frame = home(drawn(0.5, 0), lambda _: day()).frame(slice(None), event(), [CAISO_10_IN_10])
    got = apply(CAISO_10_IN_10, replace(frame, touched=np.array([True])))
    assert (got.factor[0], got.note(0)) == (1.0, TOUCHED)


def test_the_event_day_itself_is_never_looked_at_in_the_event() -> None:
    np.testing.assert_array_equal(match(drawn(1, 99), day()).kw, match(drawn(1, np.nan), day()).kw)


def test_hours_beyond_midnight() -> None:
    """An event at one in the morning is adjusted by the evening before it, against the evenings before the others."""
    yesterday = day(h21=1.1, h22=1.1, h23=1.1)
    fleet = home(day(), lambda ago: yesterday if ago == 1 else day())
    got = baselines(CAISO_10_IN_10, fleet, event(start_h=1, hours=1))
    np.testing.assert_allclose(got.factor, [1.1])
    np.testing.assert_allclose(got.kw, [[1.1]])
