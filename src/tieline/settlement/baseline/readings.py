"""Readings of many meters put into whole days, as the rules look at them."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tieline.base.errors import Refused
from tieline.base.series import Stamp
from tieline.settlement.baseline.fleet import DAY_S, Fleet
from tieline.settlement.baseline.frame import Floats, Ints

Stamps: TypeAlias = NDArray[np.datetime64]

HOUR_S = 3600
EPOCH = date(1970, 1, 1)


def fleet_of(
    meters: Sequence[str], at: Stamps, kwh: Floats, celsius: Floats | None = None, *, stamp: Stamp = Stamp.START
) -> tuple[list[str], Fleet]:
    """The fleet of readings in any order, and the meters' names in its order: hourly, or as coarse as they are.

    `at` is an edge of the interval on the clock of the place (without a zone: an hour that the clock skips is missing,
    one that it repeats is averaged), `kwh` the energy of the interval, `celsius` the temperature outdoors, averaged
    over the meters. An hour with a part missing is unknown.
    Raises `Refused` for readings that are no intervals of the same length.
    """
    if not len(at):
        raise Refused("there are no readings")
    names, meter = np.unique(np.asarray(meters, str), return_inverse=True)
    seconds = at.astype("datetime64[s]").astype(np.int64)
    step_s = _step_s(meter, seconds)
    slot = (seconds - step_s * (stamp is Stamp.END)) // step_s
    first = slot.min() * step_s // DAY_S
    slot -= first * DAY_S // step_s
    days = slot.max() * step_s // DAY_S + 1
    kw = _hourly(meter, slot, kwh * HOUR_S / step_s, (len(names), int(days), DAY_S // step_s))
    degrees = None if celsius is None else _hourly(meter * 0, slot, celsius, (1, *kw.shape[1:2], DAY_S // step_s))[0]
    return names.tolist(), Fleet(kw, EPOCH + timedelta(days=int(first)), temperature_c=degrees)


def _hourly(row: Ints, slot: Ints, value: Floats, shape: tuple[int, int, int]) -> Floats:
    """The mean of what falls into each slot, and of the slots of each hour: [rows, days, hours], or days of longer
    intervals."""
    rows, days, slots = shape
    place, size = row * days * slots + slot, rows * days * slots
    count = np.bincount(place, minlength=size)
    mean = np.bincount(place, value, minlength=size) / np.where(count > 0, count, np.nan)
    within = max(1, slots // 24)
    hourly: Floats = mean.reshape(rows, days, slots // within, within).mean(axis=3)
    return hourly


def _step_s(meter: Ints, seconds: Ints) -> int:
    """The length of the intervals: the gap that most readings have to the next one of their meter."""
    order = np.lexsort((seconds, meter))
    gap = np.diff(seconds[order])[np.diff(meter[order]) == 0]
    found, times = np.unique(gap[gap > 0], return_counts=True)
    step_s = int(found[times.argmax()]) if len(found) else 0
    if not step_s or DAY_S % step_s or (HOUR_S % step_s and step_s % HOUR_S) or (seconds % step_s).any():
        raise Refused(
            f"intervals that divide an hour or a day were expected, starting on them; most are {step_s} s apart"
        )
    return step_s
