"""Baselines that are no mean of days: the regression on weather and hour of week, and the matched control group."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.baseline_homes import WEDNESDAY, baselines, event
from tieline.settlement.baseline.fleet import Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.markets import (
    CAISO_5_IN_10,
    CONTROL_GROUP,
    FORECAST,
    HOUR_OF_WEEK,
    PJM_4_OF_5,
    PJM_SAME_DAY,
    WEATHER,
)

DAYS = 61
FIRST = WEDNESDAY - timedelta(days=60)
RANDOM = np.random.default_rng(7)
TEMPERATURE = RANDOM.normal(20, 8, (DAYS, 24))


def weekdays() -> Floats:
    return np.array([(FIRST + timedelta(days=n)).weekday() for n in range(DAYS)])


def truth(temperature_c: Floats, level: Floats, heating: float, cooling: float) -> Floats:
    """A home whose load is a level for each weekday, and so much for each degree under 15 °C and over 20 °C."""
    kw: Floats = (
        level[weekdays()][:, None]
        + heating * np.maximum(15 - temperature_c, 0)
        + cooling * np.maximum(temperature_c - 20, 0)
    )
    return kw


def test_the_regression_finds_what_the_weather_does() -> None:
    """A hot event day, hotter than any before: 3 kW of its 4 are cooling."""
    temperature = TEMPERATURE.copy()
    temperature[-1] = 40.0
    homes = np.stack([truth(temperature, np.ones(7), 0.1, 0.15), truth(temperature, np.full(7, 2.0), 0.0, 0.0)])
    got = baselines(WEATHER, Fleet(homes, FIRST, temperature_c=temperature))
    np.testing.assert_allclose(got.kw, [[1 + 0.15 * 20] * 2, [2.0] * 2], rtol=1e-4)
    assert len(got.days(0)) == 60


def test_each_weekday_has_its_level() -> None:
    """It shrinks towards the mean of all days as if one more day had been like them."""
    level = np.array([1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    for rule in (WEATHER, HOUR_OF_WEEK):
        got = baselines(rule, Fleet(truth(TEMPERATURE, level, 0, 0)[None], FIRST, temperature_c=TEMPERATURE))
        np.testing.assert_allclose(got.kw, 3.0, rtol=0.1)
        assert (got.kw < 3.0).all()


def test_a_holiday_is_a_sunday_to_the_regression() -> None:
    level = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    fleet = replace(Fleet(truth(TEMPERATURE, level, 0, 0)[None], FIRST), holidays=[WEDNESDAY])
    assert baselines(HOUR_OF_WEEK, fleet).kw.max() < 1.3


def test_meters_with_different_days_are_each_fitted_to_their_own() -> None:
    kw = RANDOM.gamma(2.0, 0.5, (5, DAYS, 24))
    for meter in range(4):
        kw[meter, RANDOM.choice(60, 4 * meter, replace=False)] = np.nan
    kw[4, 25:60] = np.nan
    fleet = Fleet(kw, FIRST, temperature_c=TEMPERATURE)
    together = baselines(WEATHER, fleet)
    assert list(together.reasons) == [4]
    for meter in range(4):
        alone = baselines(WEATHER, replace(fleet, kw=kw[[meter]]))
        np.testing.assert_allclose(alone.kw[0], together.kw[meter])


def test_the_fit_is_that_of_least_squares() -> None:
    """Against numpy's own, on the same columns with the same shrinking."""
    kw = RANDOM.gamma(2.0, 0.5, (1, DAYS, 24))
    got = baselines(WEATHER, Fleet(kw, FIRST, temperature_c=TEMPERATURE))
    for step, hour in enumerate((17, 18)):
        celsius = TEMPERATURE[:, hour]
        columns = np.stack([np.ones(DAYS), *np.eye(7)[:, weekdays()], np.maximum(15 - celsius, 0)], axis=1)
        columns = np.column_stack([columns, np.maximum(celsius - 20, 0)])
        one_day_more = np.zeros((7, columns.shape[1]))
        one_day_more[:, 1:8] = np.eye(7)
        design = np.vstack([columns[:60], one_day_more])
        fit = np.linalg.lstsq(design, np.append(kw[0, :60, hour], np.zeros(7)), rcond=None)[0]
        np.testing.assert_allclose(got.kw[0, step], columns[60] @ fit, rtol=1e-4)


def test_without_temperature_there_is_no_weather_regression() -> None:
    fleet = Fleet(np.ones((1, DAYS, 24)), FIRST)
    assert "needs the temperature" in baselines(WEATHER, fleet).reasons[0]
    unknown = TEMPERATURE.copy()
    unknown[-1, 17] = np.nan
    assert "needs the temperature" in baselines(WEATHER, replace(fleet, temperature_c=unknown)).reasons[0]


def test_a_day_without_temperature_does_not_count() -> None:
    temperature = TEMPERATURE.copy()
    temperature[10, 18] = np.nan
    got = baselines(WEATHER, Fleet(np.ones((1, DAYS, 24)), FIRST, temperature_c=temperature))
    assert FIRST + timedelta(days=10) not in got.days(0)
    np.testing.assert_allclose(got.kw, 1.0, rtol=1e-3)


# --- controls ---------------------------------------------------------------------------------------------------------


def habits(levels: Floats, today: Floats) -> Fleet:
    """Homes of the same power all day, every day; on the event day of another."""
    kw = np.repeat(levels[:, None, None], DAYS, axis=1) * np.ones(24)
    kw[:, -1] = today[:, None]
    return Fleet(kw, FIRST)


def test_a_home_is_told_by_those_that_are_usually_like_it() -> None:
    """The small ones rose by half on the event day, the large ones fell by half: so would the meter of their kind."""
    small, large = np.array([0.9, 1.0, 1.0, 1.1, 1.2]), np.array([3.8, 3.9, 4.0, 4.1, 4.3])
    controls = habits(np.append(small, large), np.append(small * 1.5, large * 0.5))
    called = habits(np.array([1.04, 4.02]), np.array([1.56, 2.01]))
    got = baselines(CONTROL_GROUP, replace(called, controls=controls))
    np.testing.assert_allclose(got.kw, [[1.56] * 2, [2.01] * 2])  # their mean, shifted by the hours before
    assert len(got.days(0)) == 10


@pytest.mark.parametrize("known", [0, 4, 5])
def test_too_few_controls_are_refused(known: int) -> None:
    controls = habits(np.ones(known), np.ones(known)) if known else None
    got = baselines(CONTROL_GROUP, replace(habits(np.ones(1), np.ones(1)), controls=controls))
    assert (got.reasons == {}) == (known == 5)
    if known < 5:
        assert f"there are {known}" in got.reasons[0]


def test_a_control_that_is_unknown_on_the_day_is_none() -> None:
    controls = habits(np.ones(5), np.array([1.0, 1.0, 1.0, 1.0, np.nan]))
    got = baselines(CONTROL_GROUP, replace(habits(np.ones(1), np.ones(1)), controls=controls))
    assert "known that day" in got.reasons[0]


def test_an_event_must_fit() -> None:
    fleet = Fleet(np.ones((1, DAYS, 24)), FIRST)
    from tieline.base.errors import Refused

    for wrong in (event(hours=0), event(date(2030, 1, 1)), replace(event(), start_s=1800)):
        with pytest.raises(Refused):
            baselines(HOUR_OF_WEEK, fleet, wrong)


# --- the forecast of the group ----------------------------------------------------------------------------------------


def foretold(group_kw: float, forecast_kw: float) -> Fleet:
    """Homes of 1 and 3 kW in a group whose mean home drew so much, and is forecast to draw so much."""
    homes = np.stack([np.full((DAYS, 24), 1.0), np.full((DAYS, 24), 3.0)])
    return Fleet(homes, FIRST, group_kw=np.full((DAYS, 24), group_kw), forecast_kw=np.full((DAYS, 24), forecast_kw))


def test_a_forecast_is_shared_out_by_usual_load() -> None:
    """The group is forecast to draw half as much again as usual: so is each home, and they add up to the forecast."""
    got = baselines(FORECAST, foretold(2.0, 3.0))
    np.testing.assert_allclose(got.kw, [[1.5] * 2, [4.5] * 2])
    assert got.kw.mean() == pytest.approx(3.0)
    assert len(got.days(0)) == 10


def test_without_a_forecast_there_is_no_baseline() -> None:
    fleet = foretold(2.0, 3.0)
    assert fleet.forecast_kw is not None
    fleet.forecast_kw[-1, 18] = np.nan
    assert "a forecast of all the event's hours" in baselines(FORECAST, fleet).reasons[0]
    assert "a forecast" in baselines(FORECAST, replace(fleet, forecast_kw=None)).reasons[1]


def test_a_forecast_of_a_group_that_feeds_in_cannot_be_shared_out() -> None:
    assert "feeds in" in baselines(FORECAST, foretold(-2.0, 3.0)).reasons[0]


def test_a_day_whose_group_nobody_knows_does_not_count() -> None:
    fleet = foretold(2.0, 3.0)
    assert fleet.group_kw is not None
    fleet.group_kw[-2] = np.nan
    got = baselines(FORECAST, fleet)
    assert WEDNESDAY - timedelta(days=1) not in got.days(0)
    np.testing.assert_allclose(got.kw[0], 1.5)


def test_what_a_rule_looks_at_after_the_event() -> None:
    """Nothing; the event's own hours; the adjustment's second half; the hours after it."""
    found = [one.after_h for one in (PJM_4_OF_5, FORECAST, WEATHER, CONTROL_GROUP, CAISO_5_IN_10, PJM_SAME_DAY)]
    assert found == [None, None, 0.0, 0.0, 4.0, 3.0]
