"""Series by steps: raw readings rolled up, fine steps merged into coarser ones, and where two tables differ. Pure.

    readings, END     ----t1--------t2-------t3            a reading covers back to the one before it, at most hold_s
    covered           |===|=========|========|
    steps             e0      e1       e2       e3         each reading is cut at the steps it crosses
    row of [e0, e1)   integral = t1's part + t2's part; first t1, last t2; count 1: only t1 is stamped in it

What a step does not cover of itself is a gap; a step that covers nothing of itself has no row. A reading is stamped in
the step that its `at` ends (END) or begins (START), so that every reading is counted in one step and one only.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tieline.base.errors import Refused
from tieline.base.series import INSTANT, ROLLUPS, Declaration, Stamp
from tieline.base.time import Span, from_micros, iso, micros
from tieline.telemetry.integration import MICROS, MICROS_AN_HOUR, Floats, Ints

Bools = NDArray[np.bool_]
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Steps are asked for between these: beyond them is no data, only questions too large to answer."""
_VALUES = ("integral", "covered_s", "low", "high", "first", "last", "count", "flags")


class Resolution(enum.StrEnum):
    """How long a step is; days and months are those of a market's zone."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "1mo"


WIDTH_US = {
    Resolution.MINUTE: 60 * MICROS,
    Resolution.FIVE_MINUTES: 300 * MICROS,
    Resolution.QUARTER: 900 * MICROS,
    Resolution.HOUR: MICROS_AN_HOUR,
}
"""Of those whose steps are all as long, counted from 1970 UTC."""

_TOTALS: list[pa.Field[Any]] = [
    pa.field("at", INSTANT, nullable=False),  # the start of the step
    pa.field("integral", pa.float64(), nullable=False),  # of kW it is kWh
    pa.field("covered_s", pa.float64(), nullable=False),  # of all series together
    pa.field("mean", pa.float64(), nullable=False),  # of those that cover some of it together: kW
    pa.field("count", pa.int64(), nullable=False),  # how many they are
]
TOTALS = pa.schema(_TOTALS)
"""One row a step, over many series. `mean` takes each to have gone on as the group did while it was covered: integral ÷
covered hours x count."""


class Rule(msgspec.Struct, frozen=True):
    """What of a declaration says which time a reading covers."""

    stamp: Stamp
    hold_us: int

    @classmethod
    def of(cls, declared: Declaration) -> Rule:
        return cls(declared.stamp, declared.hold_s * MICROS)


# --- steps ------------------------------------------------------------------------------------------------------------


def edges(span: Span, resolution: Resolution, zone: str) -> Ints:
    """The instants that bound the steps which overlap a span, µs since 1970 UTC: one more than there are steps."""
    start, end = micros(span.start), micros(span.end)
    if width := WIDTH_US.get(resolution):
        return np.arange(start - start % width, end + -end % width + 1, width, dtype=np.int64)
    found = [_midnight(day, zone) for day in _days(span, resolution, zone)]
    return np.array(found, np.int64)


def bounded(span: Span) -> Span:
    """Raises `Refused` for one of which no steps are told."""
    if span.start < FIRST or span.end > LAST:
        raise Refused(f"from {iso(span.start)} to {iso(span.end)}: steps are told of the years 1900 to 2199")
    return span


def whole(span: Span, resolution: Resolution, zone: str) -> Span:
    """A span made wider to whole steps. Raises `Refused` as `bounded` does."""
    bounded(span)
    if width := WIDTH_US.get(resolution):  # not of their edges: those of a century would be the memory's end
        start, end = micros(span.start), micros(span.end)
        return Span(from_micros(start - start % width), from_micros(end + -end % width))
    cuts = edges(span, resolution, zone)
    return Span(from_micros(int(cuts[0])), from_micros(int(cuts[-1])))


def _days(span: Span, resolution: Resolution, zone: str) -> Sequence[date]:
    """From the day, or the first of the month, that the span starts in up to the one after it ends."""
    local = ZoneInfo(zone)
    day, found = span.start.astimezone(local).date(), list[date]()
    if resolution is Resolution.MONTH:
        day = day.replace(day=1)
    while not found or _midnight(found[-1], zone) < micros(span.end):
        found.append(day)
        day = (day.replace(day=28) + timedelta(days=4)).replace(day=1) if resolution is Resolution.MONTH else _next(day)
    return found


def _next(day: date) -> date:
    return day + timedelta(days=1)


def _midnight(day: date, zone: str) -> int:
    """When a day begins; where clocks skip midnight, when they skip it."""
    return micros(datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC))


# --- raw readings to steps --------------------------------------------------------------------------------------------


def roll(rows: pa.Table, rules: Mapping[str, Rule], width_us: int) -> pa.Table:
    """ROLLUPS rows, in order, of READINGS rows in any order: of several of one instant the latest known counts. Every
    series has its rule. Steps at the edges are whole only if what covers some of them is there."""
    ids, series, at, order = _in_order(rows)
    value, flags = rows["value"].to_numpy()[order], rows["flags"].to_numpy()[order]
    ruled = [rules[name] for name in names(ids)]
    ends = np.array([rule.stamp is Stamp.END for rule in ruled], np.bool_)[series]
    begin, end = _covered(series, at, ends, np.array([rule.hold_us for rule in ruled], np.int64)[series])
    first = begin // width_us
    pieces = np.where(end > begin, (end - 1) // width_us - first + 1, 0)
    row = np.repeat(np.arange(len(at)), pieces)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    step = (first[row] + nth) * width_us
    lasting = (np.minimum(end[row], step + width_us) - np.maximum(begin[row], step)).astype(np.float64)
    stamped = nth == np.where(ends, pieces - 1, 0)[row]
    cells = _Cells(series[row], step)
    held = value[row]
    return cells.table(
        ids,
        integral=cells.sum(lasting * held) / MICROS_AN_HOUR,
        covered_s=cells.sum(lasting) / MICROS,
        low=cells.reduce(np.minimum, held),
        high=cells.reduce(np.maximum, held),
        first=held[cells.firsts],
        last=held[cells.lasts],
        count=cells.reduce(np.add, stamped.astype(np.int64)),
        flags=cells.reduce(np.bitwise_or, flags[row]),
    )


def _covered(series: Ints, at: Ints, ends: Bools, hold: Ints) -> tuple[Ints, Ints]:
    """From when to when each reading counts: up to its neighbour in the same series, but no longer than it is held."""
    neighbours = series[1:] == series[:-1]
    begin, end = at - np.where(ends, hold, 0), at + np.where(ends, 0, hold)
    np.maximum(begin[1:], at[:-1], out=begin[1:], where=neighbours & ends[1:])
    np.minimum(end[:-1], at[1:], out=end[:-1], where=neighbours & ~ends[:-1])
    return begin, end


# --- steps to coarser steps -------------------------------------------------------------------------------------------


def merge(rows: pa.Table, cuts: Ints) -> pa.Table:
    """ROLLUPS rows, in order, by the steps between `cuts` of rows whose own steps each lie within one of those; what
    begins outside of them is left out."""
    names, series, at, order = _in_order(rows)
    inside = (at >= cuts[0]) & (at < cuts[-1])
    series, at, order = series[inside], at[inside], order[inside]
    cells = _Cells(series, cuts[np.searchsorted(cuts, at, side="right") - 1])
    column = {name: rows[name].to_numpy()[order] for name in _VALUES}
    return cells.table(
        names,
        integral=cells.sum(column["integral"]),
        covered_s=cells.sum(column["covered_s"]),
        low=cells.reduce(np.minimum, column["low"]),
        high=cells.reduce(np.maximum, column["high"]),
        first=column["first"][cells.firsts],
        last=column["last"][cells.lasts],
        count=cells.reduce(np.add, column["count"]),
        flags=cells.reduce(np.bitwise_or, column["flags"]),
    )


class _Cells:
    """Rows in order of (series, step), those of one (series, step) taken together."""

    def __init__(self, series: Ints, step: Ints) -> None:
        begins = np.ones(len(step), np.bool_)
        begins[1:] = (series[1:] != series[:-1]) | (step[1:] != step[:-1])
        self.firsts = np.flatnonzero(begins)
        self.lasts = np.append(self.firsts[1:], len(step))[: len(self.firsts)] - 1
        self._cell = np.cumsum(begins) - 1
        self._series, self._step = series[self.firsts], step[self.firsts]

    def sum(self, values: Floats) -> Floats:
        """One after another, so that the same values give the same bits wherever they stand."""
        summed: Floats = np.bincount(self._cell, values, minlength=len(self.firsts)).astype(np.float64)
        return summed

    def reduce(self, how: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        reduced: NDArray[Any] = how.reduceat(values, self.firsts) if len(values) else values
        return reduced

    def table(self, names: pa.Array[Any], **columns: NDArray[Any]) -> pa.Table:
        length = len(self.firsts)
        known = {"known_at": np.zeros(length, np.int64), "seq": np.zeros(length, np.int64)}
        table = pa.table({"series_id": names.take(self._series), "at": self._step, **columns, **known})
        return table.select(ROLLUPS.names).cast(ROLLUPS)


# --- tables of steps --------------------------------------------------------------------------------------------------


def differing(made: pa.Table, kept: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows made that are not among those kept, to the bit, and the rows kept whose step was not made at all."""
    mine, theirs = _beside(made, kept)
    same = np.ones(len(mine), np.bool_)
    for name in _VALUES:
        ours, others = (_bits(table, name) for table in (made, kept))
        same &= ours[mine] == others[theirs]
    unchanged = np.zeros(made.num_rows, np.bool_)
    unchanged[mine] = same
    unmade = np.ones(kept.num_rows, np.bool_)
    unmade[theirs] = False
    return made.filter(pa.array(~unchanged)), kept.filter(pa.array(unmade))


def overlaid(kept: pa.Table, made: pa.Table) -> pa.Table:
    """The rows kept, those made in their stead where there are any; in order."""
    if not made.num_rows:
        return kept
    both = pa.concat_tables([without(kept, made), made])
    _, _, _, order = _in_order(both)
    return both.take(order)


def without(rows: pa.Table, steps: pa.Table) -> pa.Table:
    """The rows of no (series_id, at) of these."""
    mine, _ = _beside(rows, steps)
    return rows.filter(pa.array(~np.isin(np.arange(rows.num_rows), mine)))


def known(rows: pa.Table, at: datetime) -> pa.Table:
    """The rows as made at an instant."""
    made_at = pa.repeat(pa.scalar(at, INSTANT), rows.num_rows)
    return rows.set_column(ROLLUPS.names.index("known_at"), ROLLUPS.field("known_at"), made_at)


def within(rows: pa.Table, span: Span) -> pa.Table:
    """The rows whose `at` lies in a span."""
    at = instants(rows)
    return rows.filter(pa.array((at >= micros(span.start)) & (at < micros(span.end))))


def names(column: pa.Array[Any] | pa.ChunkedArray[Any]) -> list[str]:
    """The texts of a column that has no nulls."""
    found: list[Any] = column.to_pylist()
    return found


def instants(rows: pa.Table) -> Ints:
    """Their `at`, µs since 1970 UTC."""
    return np.asarray(rows["at"].cast(pa.int64()).to_numpy(), np.int64)


# --- sums over series -------------------------------------------------------------------------------------------------


def totals(rows: pa.Table) -> pa.Table:
    """TOTALS of ROLLUPS rows."""
    at, cell = np.unique(instants(rows), return_inverse=True)
    count = np.bincount(cell, minlength=len(at))
    return totalled(at, _summed(rows, "integral", cell, len(at)), _summed(rows, "covered_s", cell, len(at)), count)


def totalled(at: Ints, integral: Floats, covered_s: Floats, count: Ints) -> pa.Table:
    return _totals(at, integral, covered_s, integral * 3600 / covered_s * count, count)


def merged_totals(rows: pa.Table, cuts: Ints) -> pa.Table:
    """TOTALS by coarser steps; `count` is the most that any step within had, `mean` that of those with any."""
    step, cell = np.unique(cuts[np.searchsorted(cuts, instants(rows), side="right") - 1], return_inverse=True)
    integral, covered_s, mean = (_summed(rows, name, cell, len(step)) for name in ("integral", "covered_s", "mean"))
    count = np.zeros(len(step), np.int64)
    np.maximum.at(count, cell, rows["count"].to_numpy())
    return _totals(step, integral, covered_s, mean / np.bincount(cell, minlength=len(step)), count)


def _summed(rows: pa.Table, name: str, cell: Ints, cells: int) -> Floats:
    summed: Floats = np.bincount(cell, rows[name].to_numpy(), cells).astype(np.float64)
    return summed


def _totals(at: Ints, integral: Floats, covered_s: Floats, mean: Floats, count: Ints) -> pa.Table:
    columns = {"at": at, "integral": integral, "covered_s": covered_s, "mean": mean, "count": count}
    return pa.table(columns).cast(TOTALS)


# --- order ------------------------------------------------------------------------------------------------------------


def _in_order(rows: pa.Table) -> tuple[pa.Array[Any], Ints, Ints, Ints]:
    """The names in order; of the rows in order of (name, at), the latest known of each instant alone: which name, when,
    and which row it was."""
    names, series = _ranked(rows["series_id"])
    at, order = instants(rows), np.arange(rows.num_rows)
    if not bool(np.all((series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (at[1:] > at[:-1])))):
        known_at = rows["known_at"].cast(pa.int64()).to_numpy()
        order = np.lexsort((rows["seq"].to_numpy(), known_at, at, series))
        last = np.ones(len(order), np.bool_)
        last[:-1] = (np.diff(series[order]) != 0) | (np.diff(at[order]) != 0)
        order = order[last]
    return names, series[order], at[order], order


def _ranked(column: pa.ChunkedArray[Any]) -> tuple[pa.Array[Any], Ints]:
    """The names in order, and of each row the number of its own among them."""
    encoded: Any = column.combine_chunks().dictionary_encode()
    by_name = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(by_name), np.int64)
    rank[by_name] = np.arange(len(by_name))
    return encoded.dictionary.take(pa.array(by_name)), rank[encoded.indices.to_numpy()]


def _beside(made: pa.Table, kept: pa.Table) -> tuple[Ints, Ints]:
    """Which rows of the one and of the other are of the same (series, step)."""
    _, series = _ranked(pa.chunked_array([*made["series_id"].chunks, *kept["series_id"].chunks], pa.string()))
    at = np.concatenate([instants(made), instants(kept)])
    _, step = np.unique(at, return_inverse=True)
    key = series * (len(at) + 1) + step
    _, mine, theirs = np.intersect1d(key[: made.num_rows], key[made.num_rows :], return_indices=True)
    return mine, theirs


def _bits(rows: pa.Table, name: str) -> Ints:
    values = rows[name].to_numpy()
    return values.view(np.int64) if values.dtype == np.float64 else values.astype(np.int64)
