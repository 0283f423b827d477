"""Intervals of baselines: they hold as often as is said, of meters in groups, of sums, day after day."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from tieline.settlement.baseline.alike import Standing, like_days, looked_at
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.intervals import Groups, History, followed, interval, weighed
from tieline.settlement.baseline.markets import CAISO_10_IN_10, DAY_BEFORE, METER_BEFORE
from tieline.settlement.baseline.sureness import sureness
from tieline.settlement.baseline.tournament import alike

DAYS, METERS = 70, 60


def past(error_kw: Floats, lift_kw: Floats | None = None) -> History:
    """Of meters that all draw 1 kW: errors are by a scale of 1."""
    ones = np.ones(error_kw.shape)
    return History(error_kw[..., None], ones, np.zeros(error_kw.shape) if lift_kw is None else lift_kw, ones)


def test_it_is_made_of_earlier_days_of_the_same_kind_alone() -> None:
    business = np.arange(100) % 3 > 0
    errors = np.where(business, 1.0, 50.0)[:, None] * np.linspace(1, 2, 100)[:, None]
    low, high = followed(past(errors), business)
    later = errors.copy()
    later[60:] = -99.0
    again, _ = followed(past(later), business)
    np.testing.assert_array_equal(again[:61], low[:61])
    known = business & ~np.isnan(high[:, 0])
    assert known.sum() > 40
    assert high[known].max() <= 2.0


def test_where_errors_grow_the_level_follows() -> None:
    """Of errors that are ever larger the earlier ones hold too few; the level rises until they hold."""
    random = np.random.default_rng(5)
    errors = random.normal(size=(200, 20)) * np.linspace(1, 4, 200)[:, None]
    low, high = followed(past(errors), np.ones(200, bool))
    held = ((low <= errors) & (errors <= high))[100:]
    fixed = np.stack([interval(errors[day - 60 : day].reshape(-1, 1))[:, 0] for day in range(100, 200)])
    unled = (fixed[:, :1] <= errors[100:]) & (errors[100:] <= fixed[:, 1:])
    assert abs(held.mean() - 0.9) < abs(unled.mean() - 0.9)
    assert held.mean() == pytest.approx(0.9, abs=0.02)


def test_who_stands_high_has_the_interval_of_those_that_stood_as_high() -> None:
    """Errors grow with how high a meter stands: a tenth of it, above or below."""
    random = np.random.default_rng(0)
    lift = random.gamma(1.0, 1.0, (41, 200))
    errors = lift * random.uniform(-0.1, 0.1, lift.shape)
    errors[-1] = np.nan
    sure = sureness(past(errors, lift))
    stood = Standing(np.where(np.arange(200) < 100, 0.1, 6.0), np.ones(200), np.zeros(200))
    low, high = (end[:, -1] for end in sure.each(np.ones(200), stood))
    assert (high - low)[:100].max() < 0.1
    assert (high - low)[100:].min() > 0.5
    assert sure.held == pytest.approx(0.9, abs=0.03)


def test_the_sum_is_surer_than_its_parts_unless_they_err_together() -> None:
    random = np.random.default_rng(1)
    chance, common = random.normal(0, 1, (DAYS, METERS)), random.normal(0, 1, (DAYS, 1))
    chance[-1] = np.nan
    stood = Standing(np.zeros(METERS), np.ones(METERS), np.zeros(METERS))
    ones = np.ones(METERS)
    apart, together = (
        np.diff(sureness(past(errors)).together(ones, stood, ones[:, None]), axis=0)[0, -1]
        for errors in (chance, chance + common)
    )
    each = np.diff([end[:, -1] for end in sureness(past(chance)).each(ones, stood)], axis=0)[0]
    assert apart < 0.35 * each.sum()
    assert together > 3 * apart


@pytest.mark.parametrize("of", [6, 30, 400])
def test_a_sum_of_fewer_or_more_than_the_sample_is_held_as_often(of: int) -> None:
    """Errors of a day in common, and each meter's own: the sample has 30 meters, the sum any number of others."""
    random = np.random.default_rng(of)
    held = []
    for _ in range(150):
        sample = random.normal(0, 0.3, (60, 1)) + random.normal(0, 1, (60, 30))
        groups = Groups.of(sample[..., None], np.zeros(sample.shape))
        weight = weighed(np.ones((of, 1)), np.zeros(of, np.int64), groups.count)
        low, high = groups.shared.ends(*weight, 0.9)[:, 0]
        held.append(low <= of * random.normal(0, 0.3) + random.normal(0, 1, of).sum() <= high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.07)


@pytest.mark.filterwarnings("error")
def test_who_stands_where_nobody_stood_has_the_interval_of_the_highest_that_did() -> None:
    """Most homes are empty and stand just at their usual load."""
    sure = sureness(past(np.random.default_rng(4).normal(size=(DAYS, METERS))))
    stood = Standing(np.full(1, 5.0), np.ones(1), np.zeros(1))
    assert np.isfinite(sure.each(np.ones(1), stood)).all()


def test_of_whom_nothing_was_ever_drawn_nothing_is_told_nor_of_a_sum_with_them() -> None:
    errors = np.random.default_rng(5).normal(size=(DAYS, METERS))
    sure = replace(sureness(past(errors)), typical_kw=-1.0)
    stood = Standing(np.zeros(2), np.array([1.0, -1.0]), np.zeros(2))
    low, high = sure.each(np.ones(2), stood)
    assert np.isfinite([low[0], high[0]]).all()
    assert np.isnan([low[1], high[1]]).all()
    assert np.isnan(sure.together(np.ones(2), stood, np.ones((2, 2)))).all()


def test_where_nobody_was_read_of_late_it_is_said_why_there_is_none() -> None:
    known = past(np.random.default_rng(6).normal(size=(DAYS, METERS)))
    known.highest_kw[-1] = np.nan
    assert "nobody has readings" in sureness(known).why_not


def test_where_little_is_known_it_is_said_why_there_is_none() -> None:
    errors = np.random.default_rng(2).normal(size=(6, 3))
    few = sureness(past(errors))
    assert few.why_not == "15 errors on 5 like days; 19 on 5 are needed"
    assert few.why_no_sum == "5 like days on which the rule has a baseline; 19 are needed"
    nothing = sureness(past(np.full((5, 3), np.nan)))
    assert nothing.why_not == "0 errors on 0 like days; 19 on 5 are needed"
    assert np.isnan([nothing.held, nothing.sum_held]).all()


# --- days alike -------------------------------------------------------------------------------------------------------


def test_like_days_are_of_the_same_kind_and_not_long_ago() -> None:
    tuesday = date(2026, 5, 5)
    days = like_days(tuesday, [tuesday - timedelta(days=1)])
    assert len(days) == 60
    assert days[0] == date(2026, 5, 1)
    assert all(day.weekday() < 5 for day in days)
    weekend = like_days(date(2026, 5, 2), [])
    assert weekend[:2] == [date(2026, 4, 26), date(2026, 4, 25)]
    assert len(weekend) == 34
    assert min(looked_at(CAISO_10_IN_10, tuesday, [])) < min(days)
    assert looked_at(METER_BEFORE, tuesday, []) == like_days(tuesday, [])


def fleet(days: int = DAYS) -> Fleet:
    return Fleet(np.random.default_rng(3).gamma(4.0, 0.25, (METERS, days, 24)), date(2026, 1, 5))


def test_each_like_day_is_tried_as_if_it_had_the_event() -> None:
    homes = fleet()
    sure, stood = alike(homes, DAY_BEFORE, Event(homes.days[-1], 17 * 3600, 2 * 3600))
    drawn = homes.kw[:, :, 17:19].mean(axis=2)
    assert sure.days == len([day for day in homes.days[1:-1] if (day.weekday() < 5) == (homes.days[-1].weekday() < 5)])
    assert sure.held == pytest.approx(0.9, abs=0.05)
    low, high = (end[:, -1] for end in sure.each(drawn[:, -2], stood))
    assert ((drawn[:, -2] + low <= drawn[:, -1]) & (drawn[:, -1] <= drawn[:, -2] + high)).mean() > 0.75


def test_what_was_called_or_comes_later_says_nothing() -> None:
    homes = fleet()
    called = np.zeros((METERS, DAYS), bool)
    called[:30, 50] = True
    spoilt = homes.kw.copy()
    spoilt[:30, 50] = 99.0
    spoilt[:, -2:] = 77.0
    on = Event(homes.days[-3], 17 * 3600, 2 * 3600)
    one, other = (
        alike(replace(each, called=called), CAISO_10_IN_10, on)[0] for each in (homes, Fleet(spoilt, homes.first_day))
    )
    np.testing.assert_array_equal(one.ends, other.ends)
    np.testing.assert_array_equal(one.shared.means, other.shared.means)
