"""Many values thinned to as few as a chart can show: no spike is lost, no gap is bridged. Pure.

M4 (Jugel, Jerzak, Hackenbroich, Markl: "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014): of the
values in each pixel column only the first, the last, a least and a greatest one are kept. A line through these colours
the same pixels as a line through all.

    values    . .'  . ..'.    .      .   . '
    columns  |       |       |       |       |      four of each, and a null where more than `hold` has nothing:
    kept      .  '   . '.     .    *     . '        *
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tieline.base.series import INSTANT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_POINTS = 5000
A_COLUMN = 5
"""Values that a pixel column gives at most: four, and the null of a gap."""

_COLUMNS: list[pa.Field[Any]] = [
    pa.field("at", INSTANT, nullable=False),
    pa.field("value", pa.float64()),
    pa.field("flags", pa.int16(), nullable=False),
]
THINNED = pa.schema(_COLUMNS)
"""In order of `at`; a null value ends a line where a gap begins."""


@dataclass(frozen=True)
class Line:
    """Rows in order of `at` (µs since 1970 UTC). Readings have one value; steps have four, all at their start."""

    at: Ints
    first: Floats
    low: Floats
    high: Floats
    last: Floats
    flags: NDArray[np.int16]
    hold_us: int  # more than this after a row there is a gap


def of_readings(rows: pa.Table, hold_us: int) -> Line:
    """Of one series, of the READINGS shape; what is not a number is no value."""
    known = ~np.isnan(rows["value"].to_numpy())
    rows = rows if known.all() else rows.filter(pa.array(known))
    value = rows["value"].to_numpy()
    return Line(_instants(rows), value, value, value, value, rows["flags"].to_numpy(), hold_us)


def of_steps(rows: pa.Table, step_us: int) -> Line:
    """Of one series, of the ROLLUPS shape."""
    first, low, high, last = (rows[name].to_numpy() for name in ("first", "low", "high", "last"))
    return Line(_instants(rows), first, low, high, last, rows["flags"].to_numpy(), step_us)


def thinned(line: Line, start_us: int, end_us: int, points: int, *, grain_us: int = 1) -> pa.Table:
    """At most `points` rows of the THINNED shape out of a line in [start, end).

    Columns are as wide as whole grains: no step lies in two of them. What is few enough as it is stays as it is.
    """
    if not len(line.at):
        return THINNED.empty_table()
    gap = np.flatnonzero(np.diff(line.at) > line.hold_us)
    if line.first is line.last and len(line.at) + len(gap) <= points:
        return _table(line, np.arange(len(line.at)), line.first, gap)
    columns = max(1, points // A_COLUMN)
    start_us -= start_us % grain_us
    width = -(-(end_us - start_us) // (columns * grain_us)) * grain_us
    column = (line.at - start_us) // width
    row, value = _m4(line, column)
    return _table(line, row, value, gap[column[gap] != column[gap + 1]])


def _m4(line: Line, column: Ints) -> tuple[Ints, Floats]:
    """Of each column first, low, high and last, as rows of the line in its order and the values that they stand for."""
    begin = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    count = np.diff(np.append(begin, len(column)))
    lowest = _where(line.low, np.minimum.reduceat(line.low, begin), begin, count)
    highest = _where(line.high, np.maximum.reduceat(line.high, begin), begin, count)
    rows = [begin, lowest, highest, begin + count - 1]
    values = [one[at] for one, at in zip((line.first, line.low, line.high, line.last), rows, strict=True)]
    row, value = np.concatenate(rows), np.concatenate(values)
    order = np.lexsort((np.repeat(np.arange(4), len(begin)), row))
    row, value = row[order], value[order]
    again = (np.diff(row) == 0) & (np.diff(value) == 0)
    return row[np.append(True, ~again)], value[np.append(True, ~again)]


def _where(values: Floats, extremes: Floats, begin: Ints, count: Ints) -> Ints:
    """The first row of each column that has its extreme."""
    found = np.flatnonzero(values == np.repeat(extremes, count))
    return found[np.searchsorted(found, begin)]


def _table(line: Line, row: Ints, value: Floats, gap: Ints) -> pa.Table:
    """The chosen rows, with a null after each row that a gap follows."""
    after = np.searchsorted(row, gap, side="right")
    at = np.insert(line.at[row], after, line.at[gap] + line.hold_us)
    known = np.insert(np.ones(len(row), np.bool_), after, False)
    columns: list[pa.Array[Any] | pa.ChunkedArray[Any]] = [
        pa.array(at).cast(INSTANT),
        pa.array(np.insert(value, after, 0.0), mask=~known),
        pa.array(np.insert(line.flags[row], after, 0).astype(np.int16)),
    ]
    return pa.Table.from_arrays(columns, schema=THINNED)


def _instants(rows: pa.Table) -> Ints:
    return np.asarray(rows["at"].cast(pa.int64()).to_numpy(), np.int64)
