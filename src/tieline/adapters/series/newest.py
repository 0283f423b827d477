"""The newest row of every series, in memory: what dashboards ask for all the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tieline.adapters.series.columns import Bools, Ints, deciding, newest, numbers

Columns = list[npt.NDArray[Any]]


class Newest:
    """One slot a series in columns that grow; rows offered wait until somebody asks. One thread at a time, but for
    `offer`, which any may call."""

    def __init__(self, shape: pa.Schema) -> None:
        self._shape = shape
        self._names = ["at", *deciding(shape)]
        self.forget()

    def forget(self) -> None:
        self._slots: dict[str, int] = {}
        self._columns: Columns = [numbers(self._shape.empty_table(), name) for name in self._names]
        self._offered: deque[pa.Table] = deque()

    @property
    def waiting(self) -> int:
        return sum(rows.num_rows for rows in tuple(self._offered))

    def offer(self, rows: pa.Table) -> None:
        self._offered.append(rows)

    def take_in(self) -> None:
        """Make what was offered part of the answer. The same rows offered twice, or in any order, change nothing."""
        while self._offered:
            rows = newest(self._offered.popleft())
            if rows.num_rows:
                self._take(rows)

    def _take(self, rows: pa.Table) -> None:
        names: list[Any] = rows["series_id"].to_pylist()
        slots = self._slots_of(names)
        fresh = [numbers(rows, name) for name in self._names]
        better = _greater(fresh, [column[slots] for column in self._columns])
        for column, values in zip(self._columns, fresh, strict=True):
            column[slots[better]] = values[better]

    def _slots_of(self, names: list[str]) -> Ints:
        """Where these series stand, new ones at the end, their `at` before all time."""
        before = len(self._slots)
        slots = np.array([self._slots.setdefault(name, len(self._slots)) for name in names], np.int64)
        after = len(self._slots)
        if after > len(self._columns[0]):
            self._columns = [np.concatenate([c, np.zeros(after, c.dtype)]) for c in self._columns]
        self._columns[0][before:after] = np.iinfo(np.int64).min
        return slots

    def of(self, series_ids: Sequence[str], since: int) -> pa.Table:
        """Of each series that has one at or after `since` (microseconds), its newest row; in order of series_id."""
        names = [name for name in sorted(set(series_ids)) if name in self._slots]
        slots = np.array([self._slots[name] for name in names], np.int64)
        recent = self._columns[0][slots] >= since
        columns = {name: column[slots[recent]] for name, column in zip(self._names, self._columns, strict=True)}
        ids = pa.array(names, pa.string()).filter(pa.array(recent, pa.bool_()))
        return pa.table({**columns, "series_id": ids}).select(self._shape.names).cast(self._shape)


def _greater(ones: Columns, others: Columns) -> Bools:
    """Row by row, whether one is greater than the other, by the first column in which they differ."""
    greater, equal = np.zeros(len(ones[0]), np.bool_), np.ones(len(ones[0]), np.bool_)
    for one, other in zip(ones, others, strict=True):
        greater |= equal & (one > other)
        equal &= one == other
    return greater
