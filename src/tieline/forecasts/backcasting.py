"""What would have been forecast of past days, each from what was known the day before: forecasts tried as baselines."""

from datetime import date

import numpy as np

from tieline.base.errors import Refused
from tieline.forecasts.forecasting import Task, forecast
from tieline.forecasts.model import MEDIAN, Floats, Horizon

KEPT_DAYS = 56
"""So far back forecasts look."""


def day_ahead(values: Floats, first: date, hour: int = 9) -> Floats:
    """The middle of each day's forecast as of that hour of the day before, [days, slots] as the values of days from
    `first` on; NaN where there was too little history."""
    found = np.full(values.shape, np.nan)
    slots, whole = values.shape[1], np.concatenate([np.full((KEPT_DAYS, values.shape[1]), np.nan), values])
    origin = (KEPT_DAYS - 1) * slots + hour * slots // 24
    targets = np.arange(slots, dtype=np.int64) + KEPT_DAYS * slots
    for day in range(len(values)):
        known, weekday = whole[day : day + KEPT_DAYS + 1], (first.weekday() + day - KEPT_DAYS) % 7
        try:
            made = forecast(Task(known, weekday, origin, targets, Horizon.DAY_AHEAD, signed=True))
        except Refused:
            continue
        found[day] = made.served[MEDIAN]
    return found
