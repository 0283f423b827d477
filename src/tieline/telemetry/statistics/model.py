"""The sums of a fleet by step, out of raw readings. Pure.

Each value is the mean over the part of a step that its readings cover, and counts where they cover at least half of
it: a home without data is left out and counted, not taken for zero. A load's snapshot tells three things of the same
interval: whether it is held down, else what it could give up, and what it would draw more if it were not.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieline.base.series import Flag, Stamp
from tieline.base.time import EPOCH, Span
from tieline.registry.model import METER_HOLD_S
from tieline.telemetry.integration import MICROS, Floats, Ints, integrate_many

STEP_S = 300
HOLD_US = METER_HOLD_S * MICROS
STEP_US = STEP_S * MICROS
_KW = 6  # digits kept: milliwatts


class Readings(msgspec.Struct, frozen=True):
    """Columns of many series, one row a reading: which series, when (µs since 1970 UTC), what, how (`Flag`)."""

    index: Ints
    at: Ints
    value: Floats
    flags: Ints


class Loads(msgspec.Struct, frozen=True):
    """Of loads that can be shed: rows of one index are of the same load."""

    power: Readings
    sheddable: Readings
    withheld: Readings


class StepSums(msgspec.Struct, frozen=True):
    """Sums by step, and how many VENs have data in each: arrays [steps]."""

    used_kw: Floats
    controllable_kw: Floats
    shed_kw: Floats
    counted: Ints

    def __add__(self, other: "StepSums") -> "StepSums":
        return StepSums(*[getattr(self, name) + getattr(other, name) for name in self.__struct_fields__])


class Step(msgspec.Struct, frozen=True):
    """[start_at, start_at + 300 s): None where no VEN has data. `vens` were registered, `counted` of them had data."""

    start_at: datetime
    used_kw: float | None
    controllable_kw: float | None
    shed_kw: float | None
    vens: int
    counted: int


def step_sums(meters: Readings, loads: Loads, known: NDArray[np.bool_], owner: Ints, cuts: Ints) -> StepSums:
    """`known` [VENs, steps] tells which VENs were registered in which steps, `owner` whose each load is, `cuts` the
    steps. A reading after the last cut may cover the end of the last step."""
    used, counted = _mean_kw(meters, len(known), cuts)
    counted &= known
    shed = (loads.power.flags & Flag.SHED) != 0
    could = np.where(shed, 0.0, _beside(loads.power, loads.sheddable))
    gives = np.where(shed, _beside(loads.power, loads.withheld), 0.0)
    could_kw, gives_kw = (_loads_total(loads.power, value, known[owner], cuts) for value in (could, gives))
    return StepSums(_total(used, counted), could_kw, gives_kw, counted.sum(axis=0))


def steps(sums: StepSums, vens: Ints, cuts: Ints) -> list[Step]:
    """As kept: `vens` [steps] is how many were registered in each."""

    def kw(sums_kw: Floats, n: int) -> float | None:
        return round(float(sums_kw[n]), _KW) if sums.counted[n] else None

    return [
        Step(
            EPOCH + timedelta(microseconds=int(cuts[n])),
            kw(sums.used_kw, n),
            kw(sums.controllable_kw, n),
            kw(sums.shed_kw, n),
            vens=int(vens[n]),
            counted=int(sums.counted[n]),
        )
        for n in range(len(cuts) - 1)
    ]


def coarser(fine: Sequence[Step], span: Span, step_s: int) -> list[Step]:
    """In steps of a multiple of 300 s from the start of the span: the mean of those known of each; VENs are the most
    that were registered in one of them, counted the least."""
    groups: dict[int, list[Step]] = {n: [] for n in range(-int(-span.seconds // step_s))}
    for one in fine:
        groups[int((one.start_at - span.start).total_seconds() // step_s)].append(one)
    return [_merged(span.start + timedelta(seconds=n * step_s), found) for n, found in groups.items()]


def touched(at: int, before: int | None) -> range:
    """The steps, numbered from 1970, that a reading at `at` (µs) covers some of; `before` is the newest earlier reading
    of its series where it is the newest, else None: then it may take over what a later one had covered."""
    start = at - HOLD_US if before is None or before >= at else max(before, at - HOLD_US)
    return range(start // STEP_US, -(-at // STEP_US))


def step_of(at: datetime) -> int:
    """The number, from 1970, of the step that an instant is in."""
    return int((at - EPOCH).total_seconds() // STEP_S)


def start_of(step: int) -> datetime:
    return EPOCH + timedelta(seconds=step * STEP_S)


def runs(numbers: Iterable[int], longest: int) -> list[range]:
    """Numbers as ranges of what follows one another, none longer than that; the newest first."""
    found: list[range] = []
    for one in sorted(numbers):
        if found and found[-1].stop == one and len(found[-1]) < longest:
            found[-1] = range(found[-1].start, one + 1)
        else:
            found.append(range(one, one + 1))
    return found[::-1]


def _mean_kw(rows: Readings, series: int, cuts: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Means [series, steps], and where they count."""
    found = integrate_many(rows.index, rows.at, rows.value, series, cuts, stamp=Stamp.END, hold_s=METER_HOLD_S)
    return np.nan_to_num(found.mean_kw), found.covered_s >= np.diff(cuts) / (2 * MICROS)


def _total(mean_kw: Floats, counted: NDArray[np.bool_]) -> Floats:
    total: Floats = np.where(counted, mean_kw, 0.0).sum(axis=0)
    return total


def _loads_total(power: Readings, value: Floats, known: NDArray[np.bool_], cuts: Ints) -> Floats:
    mean_kw, counted = _mean_kw(msgspec.structs.replace(power, value=value), len(known), cuts)
    return _total(mean_kw, counted & known)


def _beside(rows: Readings, other: Readings) -> Floats:
    """The other's value of the same index and instant; 0 where it says none."""
    beside = np.zeros(len(rows.at))
    if not len(other.at) or not len(rows.at):
        return beside
    first = min(int(rows.at.min()), int(other.at.min()))
    width = max(int(rows.at.max()), int(other.at.max())) - first + 1
    keys, others = (one.index * width + (one.at - first) for one in (rows, other))
    order = np.argsort(others, kind="stable")
    where = np.minimum(np.searchsorted(others[order], keys), len(others) - 1)
    same = others[order][where] == keys
    beside[same] = other.value[order][where][same]
    return beside


def _merged(start_at: datetime, found: Sequence[Step]) -> Step:
    known = [one for one in found if one.used_kw is not None]

    def mean(values: Sequence[float | None]) -> float | None:
        given = [one for one in values if one is not None]
        return round(sum(given) / len(given), _KW) if given else None

    return Step(
        start_at,
        mean([one.used_kw for one in known]),
        mean([one.controllable_kw for one in known]),
        mean([one.shed_kw for one in known]),
        vens=max((one.vens for one in found), default=0),
        counted=min((one.counted for one in found), default=0),
    )
