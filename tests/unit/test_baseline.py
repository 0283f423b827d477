"""Day matching, 10-in-10: worked figures and laws."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tieline.settlement.baseline import (
    CAISO_10_IN_10,
    CAPPED,
    NO_LOAD,
    TOUCHED,
    UNKNOWN,
    Baselines,
    DayMatch,
    Floats,
    candidates,
)

WEDNESDAY = date(2026, 7, 15)
SUNDAY = date(2026, 7, 19)
WINDOW, STEPS = 3, 2
History = Mapping[date, tuple[Floats, Floats]]
"""Of each day: power in the adjustment window and in the event's hours, [vens, steps]."""


def match(
    event_day: date,
    history: History,
    before_kw: Floats,
    *,
    called: frozenset[date] = frozenset(),
    holidays: frozenset[date] = frozenset(),
    touched: bool = False,
) -> Baselines:
    n = len(before_kw)
    days = DayMatch(CAISO_10_IN_10, event_day, n, holidays)
    for day in candidates(CAISO_10_IN_10, event_day, holidays):
        if day in history and days.wanting.any():
            days.offer(day, *history[day], np.full(n, day in called))
    return days.result(before_kw, np.full(n, touched))


def flat(before_kw: float, event_kw: float, days: int = 45, end: date = WEDNESDAY) -> History:
    """One VEN that draws the same on each of the days before."""
    kw = (np.full((1, WINDOW), before_kw), np.full((1, STEPS), event_kw))
    return {end - timedelta(days=n): kw for n in range(1, days + 1)}


def today(kw: float) -> Floats:
    return np.full((1, WINDOW), kw)


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
    got = match(WEDNESDAY, flat(usual, 1.8), today(now))
    np.testing.assert_allclose(got.kw, [[expected] * STEPS])
    assert got.notes[0] == note


def test_a_home_that_usually_feeds_in_during_the_event_is_not_adjusted() -> None:
    """A factor over 1 would turn more load in the morning into less in the baseline."""
    got = match(WEDNESDAY, flat(0.5, -3.0), today(0.6))
    np.testing.assert_allclose(got.kw, [[-3.0] * STEPS])
    assert got.notes[0] == NO_LOAD


def test_ten_newest_business_days() -> None:
    got = match(WEDNESDAY, flat(1.0, 1.0), today(1.0))
    assert got.days(0) == [date(2026, 7, d) for d in (14, 13, 10, 9, 8, 7, 6, 3, 2, 1)]


def test_four_newest_other_days() -> None:
    got = match(SUNDAY, flat(1.0, 1.0, end=SUNDAY), today(1.0))
    assert got.days(0) == [date(2026, 7, d) for d in (18, 12, 11, 5)]


def test_a_holiday_counts_as_no_business_day() -> None:
    friday = date(2026, 7, 3)
    got = match(WEDNESDAY, flat(1.0, 1.0), today(1.0), holidays=frozenset([friday]))
    assert friday not in got.days(0)
    other = match(SUNDAY, flat(1.0, 1.0, end=SUNDAY), today(1.0), holidays=frozenset([date(2026, 7, 17)]))
    assert date(2026, 7, 17) in other.days(0)


def test_days_on_which_it_was_called_do_not_count() -> None:
    called = frozenset([date(2026, 7, 14), date(2026, 7, 9)])
    got = match(WEDNESDAY, flat(1.0, 1.0), today(1.0), called=called)
    assert len(got.days(0)) == 10
    assert not called & set(got.days(0))


def test_a_day_with_a_hole_does_not_count() -> None:
    history = dict(flat(1.0, 1.0))
    history[date(2026, 7, 14)] = (np.full((1, WINDOW), 1.0), np.array([[1.0, np.nan]]))
    history[date(2026, 7, 13)] = (np.array([[1.0, np.nan, 1.0]]), np.full((1, STEPS), 1.0))
    got = match(WEDNESDAY, history, today(1.0))
    assert got.days(0)[0] == date(2026, 7, 10)
    assert len(got.days(0)) == 10


@pytest.mark.parametrize(("days", "found"), [(6, 4), (7, 5)])
def test_at_least_five_business_days(days: int, found: int) -> None:
    got = match(WEDNESDAY, flat(1.0, 1.0, days), today(1.0))
    assert (0 in got.reasons) == (found < 5)
    assert np.isnan(got.kw).all() == (found < 5)
    if found < 5:
        assert "4 business days" in got.reasons[0]
        assert "needs 5" in got.reasons[0]


def test_at_least_four_other_days() -> None:
    assert 0 in match(SUNDAY, flat(1.0, 1.0, 13, SUNDAY), today(1.0)).reasons
    assert 0 not in match(SUNDAY, flat(1.0, 1.0, 14, SUNDAY), today(1.0)).reasons


def test_the_ratio_is_taken_where_today_has_readings() -> None:
    kw = (np.array([[1.0, 2.0, 3.0]]), np.full((1, STEPS), 1.0))
    history = dict.fromkeys(flat(0, 0), kw)
    got = match(WEDNESDAY, history, np.array([[1.1, 2.2, np.nan]]))
    np.testing.assert_allclose(got.factor, [1.1])
    nothing = match(WEDNESDAY, history, today(np.nan))
    assert nothing.factor[0] == 1
    assert nothing.notes[0] == UNKNOWN


def test_an_earlier_event_in_the_window_says_nothing_of_the_usual_load() -> None:
    got = match(WEDNESDAY, flat(1.0, 1.0), today(0.5), touched=True)
    assert (got.factor[0], got.notes[0]) == (1.0, TOUCHED)


loads = st.floats(0.25, 8.0)


@st.composite
def histories(draw: st.DrawFn, vens: int = 3) -> tuple[History, Floats]:
    n_days = draw(st.integers(8, 20))
    kw = draw(arrays(np.float64, (n_days + 1, vens, WINDOW + STEPS), elements=loads))
    history = {WEDNESDAY - timedelta(days=n): (kw[n, :, :WINDOW], kw[n, :, WINDOW:]) for n in range(1, n_days + 1)}
    return history, kw[0, :, :WINDOW]


def same(one: Baselines, other: Baselines) -> None:
    np.testing.assert_array_equal(one.kw, other.kw)
    assert one.reasons == other.reasons


@given(histories(), st.sampled_from([0.5, 2.0, 1000.0]))
def test_scaling_the_load_scales_the_baseline(given_: tuple[History, Floats], by: float) -> None:
    history, before = given_
    scaled = {day: (w * by, e * by) for day, (w, e) in history.items()}
    np.testing.assert_allclose(match(WEDNESDAY, scaled, before * by).kw, match(WEDNESDAY, history, before).kw * by)


@given(histories(), st.integers(46, 400))
def test_a_day_outside_the_look_back_changes_nothing(given_: tuple[History, Floats], days_ago: int) -> None:
    history, before = given_
    wild = (np.full((3, WINDOW), 999.0), np.full((3, STEPS), 999.0))
    same(
        match(WEDNESDAY, {**history, WEDNESDAY - timedelta(days=days_ago): wild}, before),
        match(WEDNESDAY, history, before),
    )


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_in_which_days_are_known_never_matters(given_: tuple[History, Floats], random: object) -> None:
    history, before = given_
    days = random.sample(sorted(history), len(history))  # type: ignore[attr-defined]
    same(match(WEDNESDAY, {day: history[day] for day in days}, before), match(WEDNESDAY, history, before))


@given(histories())
def test_a_ven_never_depends_on_its_neighbours(given_: tuple[History, Floats]) -> None:
    history, before = given_
    whole = match(WEDNESDAY, history, before)
    for ven in range(3):
        alone = {day: (w[[ven]], e[[ven]]) for day, (w, e) in history.items()}
        np.testing.assert_array_equal(match(WEDNESDAY, alone, before[[ven]]).kw[0], whole.kw[ven])


@given(histories())
def test_the_baseline_stays_within_its_days_and_the_cap(given_: tuple[History, Floats]) -> None:
    history, before = given_
    got = match(WEDNESDAY, history, before)
    events = np.stack([history[day][1] for day in got.days(0)])[:, 0]
    assert (got.kw[0] <= events.max(axis=0) * 1.2 + 1e-9).all()
    assert (got.kw[0] >= events.min(axis=0) * 0.8 - 1e-9).all()
