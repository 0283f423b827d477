"""The two ways to a forecast: what was a day or a week before, and gradient boosting of the difference from usual."""

import numpy as np

from tieline.forecasts.model import LEVELS, MEDIAN, Floats
from tieline.forecasts.samples import Samples

TREES, LEAVES, LEAST_IN_LEAF, RATE = 50, 15, 20, 0.12


def naive(given: Samples, weekly: bool) -> Floats:
    """The seasonal naive, [3, n], all three the same: the slot of a week, or a day, before; where that is not known,
    the other, else the usual."""
    first, second = (given.week, given.day) if weekly else (given.day, given.week)
    found = np.where(np.isfinite(first), first, np.where(np.isfinite(second), second, given.usual))
    return np.tile(found, (len(LEVELS), 1))


def is_weekly(given: Samples, actual: Floats) -> bool:
    """Whether a week before was nearer than a day before: the harder bar is the one to beat."""
    known = np.isfinite(actual) & np.isfinite(given.week) & np.isfinite(given.day)
    week, day = (np.abs(one - actual)[known].sum() for one in (given.week, given.day))
    return bool(week < day)


def boosted(train: Samples, actual: Floats, asked: Samples) -> Floats:
    """Quantiles [3, n] of what is asked, in order, learnt from what is known of `train`; one thread, no chance in it:
    the same numbers on every run."""
    # Here, for it takes seconds and 100 MB that only who learns should pay.
    from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415

    known = np.isfinite(actual) & np.isfinite(train.usual)
    told = np.isfinite(train.x[known]).any(axis=0)  # a week before may be nowhere yet
    x, off = train.x[known][:, told], (actual - train.usual)[known]
    found = []
    with threadpool_limits(1):
        for level in LEVELS:
            model = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                max_iter=TREES,
                learning_rate=RATE,
                max_leaf_nodes=LEAVES,
                min_samples_leaf=LEAST_IN_LEAF,
                early_stopping=False,
                random_state=0,
            )
            found.append(asked.usual + model.fit(x, off).predict(asked.x[:, told]))
    quantiles: Floats = np.sort(np.array(found), axis=0)
    return np.where(np.isfinite(quantiles), quantiles, naive(asked, weekly=False)[MEDIAN])
