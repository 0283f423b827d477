"""The newest reading of every series, in columns: taken in by the thousand, told one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from tieline.base.series import Flag
from tieline.base.time import from_micros
from tieline.telemetry.batch import Real, Whole

NOTHING = np.iinfo(np.int64).min


class Latest(msgspec.Struct, frozen=True):
    """The newest reading of a series."""

    at: datetime
    value: float
    flags: Flag


class Newest:
    """By series id. `after` of one of which nothing was taken in is the instant from which on there is nothing of it,
    as far as somebody has said so."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self.after: Whole = np.empty(0, np.int64)
        self._value: Real = np.empty(0)
        self._flags: Whole = np.empty(0, np.int64)
        self._told: np.ndarray[Any, np.dtype[np.object_]] = np.empty(0, object)  # of those that somebody asked for

    def codes(self, names: Sequence[str]) -> Whole:
        """Where each stands in `after`; -1 where it is not known."""
        return np.fromiter((self._codes.get(name, -1) for name in names), np.int64, len(names))

    def know(self, names: Sequence[str], after: int) -> None:
        """Those that are not known yet: there is nothing of them at this instant or later."""
        new = [name for name in dict.fromkeys(names) if name not in self._codes]
        self._codes.update(zip(new, range(len(self._codes), len(self._codes) + len(new)), strict=True))
        if len(self._codes) > len(self.after):
            self._grow(2 * len(self._codes) + 1000)
        self.after[self.codes(new)] = after

    def _grow(self, size: int) -> None:
        more = size - len(self.after)
        self.after = np.concatenate([self.after, np.full(more, NOTHING)])
        self._value = np.concatenate([self._value, np.full(more, np.nan)])
        self._flags = np.concatenate([self._flags, np.zeros(more, np.int64)])
        self._told = np.concatenate([self._told, np.full(more, None, object)])

    def take(self, codes: Whole, at: Whole, value: Real, flags: Whole) -> None:
        """Readings, of which those of one series and instant stand in the order in which they count."""
        newer = np.flatnonzero(at >= self.after[codes])
        newer = newer[np.argsort(at[newer], kind="stable")]
        codes = codes[newer]
        self.after[codes] = at[newer]  # of several of one series the last is kept
        self._value[codes] = value[newer]
        self._flags[codes] = flags[newer]
        self._told[codes] = None

    def get(self, series_id: str) -> Latest | None:
        code = self._codes.get(series_id, -1)
        if code < 0 or self._value[code] != self._value[code]:  # no reading is NaN: nothing was taken in
            return None
        if (told := self._told[code]) is None:
            at, flags = from_micros(int(self.after[code])), Flag(int(self._flags[code]))
            told = self._told[code] = Latest(at, float(self._value[code]), flags)
        found: Latest = told
        return found
