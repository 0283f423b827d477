"""What a forecaster may know of a step ahead, in columns: built of what was measured before its origin, and no more.

days × slots, as one row:   ······ same slot ······ same slot ······ origin ┊ ······ step ······
                                      ▲ lag 2         ▲ lag 1         now   ┊          ▲ to be forecast
"""

from dataclasses import dataclass

import numpy as np

from tieline.forecasts.model import Floats, Ints

DAYS = 7
"""Days whose same slot is the usual value, and whose spread is the usual error."""
RECENT = 4
"""Steps before the origin that are taken for now."""


@dataclass(frozen=True)
class Samples:
    """One row a step ahead of an origin. `at` and `origin` number steps from the first; `x` are features [n, 11].
    `usual`, `day` and `week` are what this slot was over the last days, a day and a week before; `spread` how much it
    varied."""

    at: Ints
    origin: Ints
    x: Floats
    usual: Floats
    spread: Floats
    day: Floats
    week: Floats

    def where(self, mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> "Samples":
        return Samples(*[getattr(self, name)[mask] for name in self.__dataclass_fields__])


def samples(values: Floats, slots: int, weekday: int, origins: Ints, ahead: Ints) -> Samples:
    """Of every origin, so many steps ahead each (0 is the origin's own step). `values` is a row of days of `slots`
    steps, NaN where nothing is known, the first day of that weekday; an origin knows those before itself."""
    origin = np.repeat(origins, len(ahead))
    at = origin + np.tile(ahead, len(origins))
    back = ((at - origin) // slots + 1) * slots
    days = _before(values, origin, at[:, None] - back[:, None] - np.arange(DAYS) * slots)
    usual = _mean(days)
    spread = _mean(np.abs(days - usual[:, None]))
    weeks = -(-back // (7 * slots)) * 7 * slots
    week = _before(values, origin, at - weeks)
    now = np.repeat(_now(values, slots, origins), len(ahead), axis=0)
    slot, day = at % slots, (weekday + at // slots) % 7
    columns = [usual, spread, days[:, 0], days[:, 1], week, *now.T, slot, day, at - origin]
    return Samples(at, origin, np.column_stack(columns), usual, spread, days[:, 0], week)


def _now(values: Floats, slots: int, origins: Ints) -> Floats:
    """The last steps before each origin: their mean, how far it is from usual, and so is the whole last day."""
    recent = origins[:, None] - 1 - np.arange(RECENT)
    level = _mean(_before(values, origins, recent))
    usual = _mean(_before(values, origins, _days_before(recent, slots)))
    last = origins[:, None] - 1 - np.arange(slots)
    day = _mean(_before(values, origins, last)) - _mean(_before(values, origins, _days_before(last, slots)))
    return np.column_stack([level, level - usual, day])


def _days_before(at: Ints, slots: int) -> Ints:
    days: Ints = at[:, :, None] - np.arange(1, DAYS + 1) * slots
    return days.reshape(len(at), -1)


def _before(values: Floats, origin: Ints, at: Ints) -> Floats:
    """The values there, NaN before the first; asked for none that the origin does not know."""
    edge = origin.reshape(-1, *[1] * (at.ndim - 1))
    return np.where((at >= 0) & (at < edge), values[np.clip(at, 0, len(values) - 1)], np.nan)


def _mean(values: Floats) -> Floats:
    """Over the last axis, of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    mean: Floats = np.where(known, values, 0.0).sum(axis=-1) / np.where(count > 0, count, np.nan)
    return mean
