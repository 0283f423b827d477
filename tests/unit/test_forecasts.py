"""A forecast of synthetic groups whose structure is known: what it must find, what it must not see, how it scales."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.forecasts.forecasting import Made, Task, forecast
from tieline.forecasts.intervals import LEVEL, widened, widening
from tieline.forecasts.model import LOWER, MEDIAN, UPPER, Floats, Horizon, Method, score
from tieline.forecasts.samples import samples

SLOTS, DAYS = 24, 50
ORIGIN = (DAYS - 2) * SLOTS + 9
TOMORROW = np.arange((DAYS - 1) * SLOTS, DAYS * SLOTS)


def load(seed: int = 1, noise: float = 0.5) -> Floats:
    """A working week: an evening peak that weekends do not have, and weather that lasts for days."""
    random = np.random.default_rng(seed)
    day, hour = np.arange(DAYS)[:, None], np.arange(SLOTS)[None, :]
    weather = np.convolve(random.normal(size=DAYS + 4), np.ones(5) / 5, "valid")[:, None]
    peak = np.exp(-(((hour - 18) / 2.5) ** 2)) * np.where(day % 7 < 5, 2.0, 0.5)
    return np.asarray(1.0 + peak * (1 + 0.5 * weather) + noise * random.normal(size=(DAYS, SLOTS)))


def made(values: Floats, *, signed: bool = True, learn: bool = True) -> Made:
    return forecast(Task(values, 0, ORIGIN, TOMORROW, Horizon.DAY_AHEAD, signed, learn))


@functools.cache
def of_load() -> Made:
    return made(load())


def test_what_can_be_learnt_is_served_and_is_better() -> None:
    found = of_load()
    assert found.method is Method.BOOSTING
    assert found.tried is not None
    assert found.tried_naive is not None
    assert found.tried.pinball_kw < 0.9 * found.tried_naive.pinball_kw
    assert "less than the naive" in found.reason
    came = score(load().ravel()[TOMORROW], found.served)
    assert came is not None
    assert came.coverage > 0.75
    assert found.served.shape == found.naive.shape == (3, SLOTS)
    assert (np.diff(found.served, axis=0) >= 0).all()


def test_what_the_naive_knows_better_the_naive_serves() -> None:
    """Each week as the one before: nothing can be nearer than that."""
    week = np.random.default_rng(2).normal(3, 1, (7, SLOTS))
    found = made(np.tile(week, (8, 1))[:DAYS])
    assert found.method is Method.NAIVE
    assert "more than the naive" in found.reason
    np.testing.assert_array_equal(found.served, found.naive)
    np.testing.assert_allclose(found.naive[MEDIAN], week[(DAYS - 1) % 7], atol=1e-7)


def test_nothing_after_its_origin_is_seen_and_nothing_is_left_to_chance() -> None:
    changed = load().ravel()
    changed[ORIGIN:] = -1000 * np.arange(len(changed) - ORIGIN)
    found = made(changed.reshape(DAYS, SLOTS))
    np.testing.assert_array_equal(found.served, of_load().served)
    np.testing.assert_array_equal(found.naive, of_load().naive)


def test_watts_are_forecast_as_kilowatts_are() -> None:
    one, other = of_load(), made(load() * 1000)
    assert one.method is other.method
    np.testing.assert_allclose(other.served, one.served * 1000, rtol=1e-6)
    np.testing.assert_allclose(other.naive, one.naive * 1000, rtol=1e-6)


def test_little_history_is_the_naives_and_less_is_refused() -> None:
    values = load()
    values[: DAYS - 10] = np.nan
    found = made(values)
    assert found.method is Method.NAIVE
    assert found.reason == "8 days of history are too few for a model"
    values[: DAYS - 4] = np.nan
    with pytest.raises(Refused, match="2 days of history"):
        made(values)


def test_who_has_no_time_serves_the_naive() -> None:
    assert made(load(), learn=False).reason == "no time to learn"


def test_gaps_are_no_zeros() -> None:
    """A fleet that was silent for a weekend is not forecast to draw nothing."""
    values = load(noise=0.05)
    values[DAYS - 8 : DAYS - 6] = np.nan
    found = made(values, learn=False)
    assert found.served[MEDIAN].min() > 0.7


def test_what_cannot_be_negative_is_not() -> None:
    sun = np.maximum(0, np.sin((np.arange(SLOTS) - 6) / 12 * np.pi)) * np.random.default_rng(3).uniform(1, 3, (DAYS, 1))
    found = made(sun, signed=False, learn=False)
    assert found.served.min() == 0
    assert found.served[UPPER, :5].max() < 0.2  # the sun does not shine by night, nor is much of it thought possible


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_intervals_cover_what_they_are_widened_by(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    actual, spread = random.normal(size=200) * size, random.uniform(0.5, 2, 200)
    guess = np.tile(random.normal(size=200) * size, (3, 1))
    wide = widened(guess, widening(guess, actual, spread), spread, signed=True)
    inside = (wide[LOWER] <= actual + 1e-9) & (actual <= wide[UPPER] + 1e-9)
    assert LEVEL <= inside.mean() < LEVEL + 0.03


@given(st.integers(0, 2**32 - 1), st.integers(SLOTS, 9 * SLOTS), st.integers(1, 2 * SLOTS))
def test_features_know_only_what_was_before_their_origin(seed: int, origin: int, furthest: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=12 * SLOTS)
    other = np.concatenate([values[:origin], random.normal(size=len(values) - origin)])
    ahead = np.arange(furthest)
    one, two = (samples(row, SLOTS, 3, np.array([origin]), ahead).x for row in (values, other))
    np.testing.assert_array_equal(one, two)
