"""Forecasts of past days: each from what was known the day before, and from nothing else."""

from datetime import date

import numpy as np

from tieline.forecasts.backcasting import day_ahead

FIRST = date(2026, 6, 1)
SHAPE = 1 + np.sin(np.arange(24) / 24 * 2 * np.pi)


def test_a_day_is_forecast_from_the_days_before_it() -> None:
    """A home that draws the same every day; with too little history nothing is forecast."""
    found = day_ahead(np.tile(SHAPE, (8, 1)), FIRST)
    assert np.isnan(found[:4]).all()
    np.testing.assert_allclose(found[4:], np.tile(SHAPE, (4, 1)), atol=1e-6)


def test_neither_the_day_itself_nor_the_evening_before_is_known() -> None:
    wild = np.tile(SHAPE, (8, 1))
    wild[7] = 50.0
    wild[6, 9:] = 50.0
    np.testing.assert_allclose(day_ahead(wild, FIRST)[7], day_ahead(np.tile(SHAPE, (8, 1)), FIRST)[7])
