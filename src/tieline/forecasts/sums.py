"""What groups of devices drew, step by step: sums over those that were heard of and not held, and how many they were.

A load that a command holds down says nothing of what it would draw, and neither does the meter behind which it is: for
that step they are left out and not counted, as are those that are silent. Who forecasts takes means of one device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.base.series import Flag, Stamp
from tieline.forecasts.model import Floats, Ints, Measure, Subject
from tieline.registry.model import METER_HOLD_S
from tieline.telemetry.integration import MICROS, integrate_many

HEARD = 0.8
"""Of the devices that are usually heard of: with fewer, a step is a gap."""


@dataclass(frozen=True)
class Devices:
    """Series of some VENs, and of which subjects (by number) each is a part, with its sign there."""

    series_ids: Sequence[str]
    parts: Sequence[tuple[int, int, float]]  # series, subject, sign

    @classmethod
    def of(cls, members: Mapping[Subject, Sequence[str]]) -> list["Devices"]:
        """One for each VEN: what holds a load is told by its own power."""
        vens: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for number, (subject, series_ids) in enumerate(members.items()):
            sign = -1.0 if subject.measure is Measure.PV else 1.0
            for series_id in series_ids:
                ven_id = series_id.partition(".")[0]
                vens.setdefault(ven_id, {}).setdefault(series_id, []).append((number, sign))
        return [
            cls(list(own), [(at, *part) for at, parts in enumerate(own.values()) for part in parts])
            for own in vens.values()
        ]


def together(devices: Sequence[Devices]) -> Devices:
    """Of several VENs as one."""
    ids, parts = list[str](), list[tuple[int, int, float]]()
    for one in devices:
        parts += [(at + len(ids), subject, sign) for at, subject, sign in one.parts]
        ids += one.series_ids
    return Devices(ids, parts)


@dataclass(frozen=True)
class Readings:
    """One row a reading: which series, when (µs since 1970 UTC), how much, how (`Flag`)."""

    index: Ints
    at: Ints
    kw: Floats
    flags: Ints


@dataclass(frozen=True)
class Sums:
    """kW over the devices counted, and their number, [subjects, steps]."""

    kw: Floats
    devices: Floats

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.kw + other.kw, self.devices + other.devices)


def none(subjects: int, steps: int) -> Sums:
    return Sums(np.zeros((subjects, steps)), np.zeros((subjects, steps)))


def summed(devices: Devices, readings: Readings, subjects: int, cuts: Ints) -> Sums:
    """Over the steps between `cuts`. A device counts in a step where its readings cover half of it."""
    number = len(devices.series_ids)
    found = integrate_many(readings.index, readings.at, readings.kw, number, cuts, stamp=Stamp.END, hold_s=METER_HOLD_S)
    counted = (found.covered_s >= np.diff(cuts) / (2 * MICROS)) & ~_held(devices.series_ids, readings, cuts)
    kw = np.where(counted, np.nan_to_num(found.mean_kw), 0.0)
    total = none(subjects, len(cuts) - 1)
    for at, subject, sign in devices.parts:
        total.kw[subject] += sign * kw[at]
        total.devices[subject] += counted[at]
    return total


def _held(series_ids: Sequence[str], readings: Readings, cuts: Ints) -> NDArray[np.bool_]:
    """Where each series is that of a load that was held, or of a VEN's meter with one behind it, [series, steps]."""
    shed = (readings.flags & int(Flag.SHED)) != 0
    step = np.searchsorted(cuts, readings.at[shed], side="left") - 1  # stamps end what they tell of
    inside = (step >= 0) & (step < len(cuts) - 1)
    names: dict[str, int] = {}
    own, ven = (
        [names.setdefault(key, len(names)) for key in keys] for keys in zip(*map(_keys, series_ids), strict=True)
    )
    held = np.zeros((len(names), len(cuts) - 1), np.bool_)
    for keys in (np.array(own), np.array(ven)):
        held[keys[readings.index[shed][inside]], step[inside]] = True
    of_each: NDArray[np.bool_] = held[np.array(own)]
    return of_each


def _keys(series_id: str) -> tuple[str, str]:
    """What a series tells of, `ven` or `ven.load`, and its VEN."""
    return series_id.rpartition(".")[0], series_id.partition(".")[0]


def per_device(kw: Floats, devices: Floats) -> Floats:
    """The mean of one device, of sums [days, slots] or [steps]; NaN where fewer than `HEARD` of the day's devices were
    heard of."""
    usual = np.zeros((*devices.shape[:-1], 1))
    known = np.isfinite(devices).any(axis=-1)
    usual[known, 0] = np.nanmedian(devices[known], axis=-1)
    enough = np.isfinite(devices) & (devices >= HEARD * usual) & (devices > 0)
    mean: Floats = np.where(enough, kw / np.where(enough, devices, 1.0), np.nan)
    return mean
