"""Intervals that cover what they say: quantiles widened, or narrowed, by how far they missed on days held out.

Conformalised quantile regression (Romano, Patterson, Candès 2019, "Conformalized Quantile Regression", NeurIPS 32),
each miss measured in what its slot usually varies by (Lei et al. 2018, JASA 113:1094, section 5.2), so that a quiet
night and a busy evening are not given the same width. A point forecast is a quantile that is its own bounds.
"""

import numpy as np

from tieline.forecasts.model import LEVELS, LOWER, MEDIAN, UPPER, Floats

LEVEL = LEVELS[UPPER] - LEVELS[LOWER]
LEAST_SPREAD = 0.02
"""Of the mean: what always varies is no less."""


def widening(quantiles: Floats, actual: Floats, spread: Floats) -> float:
    """By how many spreads quantiles [3, n] must be widened to have covered `LEVEL` of what came; 0 if nothing did."""
    known = np.isfinite(actual) & np.isfinite(quantiles).all(axis=0)
    missed = np.maximum(quantiles[LOWER] - actual, actual - quantiles[UPPER]) / _scale(spread)
    n = int(known.sum())
    return float(np.quantile(missed[known], min(1.0, LEVEL * (1 + 1 / n)), method="higher")) if n else 0.0


def widened(quantiles: Floats, by: float, spread: Floats, *, signed: bool) -> Floats:
    """The quantiles [3, n] as served: in order, none below nothing where there is no less."""
    wide = quantiles.copy()
    wide[LOWER] -= by * _scale(spread)
    wide[UPPER] += by * _scale(spread)
    wide[LOWER], wide[UPPER] = np.minimum(wide[LOWER], wide[MEDIAN]), np.maximum(wide[UPPER], wide[MEDIAN])
    return wide if signed else np.maximum(wide, 0.0)


def _scale(spread: Floats) -> Floats:
    return np.nan_to_num(spread, nan=1.0) + LEAST_SPREAD
