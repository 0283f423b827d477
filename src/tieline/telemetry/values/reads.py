"""Values of series as they are asked for: raw, by step or thinned; of one or many; whole, paged or in portions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import Refused
from tieline.base.series import INSTANT, Declaration
from tieline.base.time import MICROSECOND, Span, micros
from tieline.ports import Series
from tieline.telemetry.rollups import model as rolling
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.values.model import STEP_S, Asked, Detail, level, portions, shape
from tieline.telemetry.values.thinning import of_readings, of_steps, thinned

_LOCAL = (Detail.DAY, Detail.MONTH)
_LONGER = 4


async def read(series: Series, rollups: Rollups, declared: Sequence[Declaration], asked: Asked) -> pa.Table:
    """Of the shape of many, in order of (series_id, at). Steps are all that overlap the span."""
    if asked.resolution is Detail.AUTO:
        return await _thinned(series, rollups, declared, asked)
    rows = await _rows(series, rollups, declared, asked)
    if asked.resolution is Detail.RAW:
        return rows.select(shape(Detail.RAW, many=True).names)
    return _steps(rows)


async def _rows(series: Series, rollups: Rollups, declared: Sequence[Declaration], asked: Asked) -> pa.Table:
    ids, span = [one.series_id for one in declared], asked.span
    if asked.resolution is Detail.RAW:
        return await series.scan(ids, span.start, span.end, as_of=asked.as_of)
    zones = sorted({asked.zone or one.zone for one in declared}) if asked.resolution in _LOCAL else ["UTC"]
    found = []
    for zone in zones:
        some = [one for one in declared if len(zones) == 1 or one.zone == zone]
        if asked.as_of is None:
            found.append(await rollups.rolled([one.series_id for one in some], span, asked.step, zone=zone))
        else:
            found.append(await _rolled_then(series, some, asked, zone))
    rows = pa.concat_tables(found)
    return rows if len(found) == 1 else rows.sort_by([("series_id", "ascending"), ("at", "ascending")])


async def _rolled_then(series: Series, declared: Sequence[Declaration], asked: Asked, zone: str) -> pa.Table:
    """Steps as they were known at `as_of`: rollups are made of what is known now, so these are made of readings."""
    steps = rolling.whole(asked.span, asked.step, zone)
    hold = timedelta(seconds=max(one.hold_s for one in declared))
    ids, rules = [one.series_id for one in declared], {one.series_id: rolling.Rule.of(one) for one in declared}
    rows = await series.scan(ids, steps.start - hold, steps.end + hold, as_of=asked.as_of)
    width_us = rolling.WIDTH_US.get(asked.step, rolling.WIDTH_US[rolling.Resolution.FIVE_MINUTES])
    made = await asyncio.to_thread(rolling.roll, rows, rules, width_us)
    if asked.resolution in _LOCAL:
        return await asyncio.to_thread(rolling.merge, made, rolling.edges(asked.span, asked.step, zone))
    return rolling.within(made, steps)


def _steps(rows: pa.Table) -> pa.Table:
    """`value` is the mean over what is covered."""
    mean = pc.divide(pc.multiply(rows["integral"], 3600.0), rows["covered_s"])
    wanted = shape(Detail.HOUR, many=True)
    return rows.append_column("value", mean).select(wanted.names).cast(wanted)


# --- thinned ----------------------------------------------------------------------------------------------------------


async def _thinned(series: Series, rollups: Rollups, declared: Sequence[Declaration], asked: Asked) -> pa.Table:
    by_level: dict[Detail, list[Declaration]] = {}
    for one in declared:
        by_level.setdefault(level(one, asked), []).append(one)
    found = [shape(Detail.AUTO, many=True).empty_table()]
    for resolution, some in by_level.items():
        rows = await _rows(series, rollups, some, msgspec.structs.replace(asked, resolution=resolution))
        found.append(await asyncio.to_thread(_each_thinned, rows, some, resolution, asked))
    rows = pa.concat_tables(found)
    return rows if len(by_level) == 1 else rows.sort_by([("series_id", "ascending")])  # stable: `at` stays in order


def _each_thinned(rows: pa.Table, declared: Sequence[Declaration], resolution: Detail, asked: Asked) -> pa.Table:
    by_id = {one.series_id: one for one in declared}
    found = [shape(Detail.AUTO, many=True).empty_table()]
    for name, some in _by_series(rows.combine_chunks()):
        few = _one_thinned(some, by_id[name], resolution, asked)
        found.append(few.add_column(0, found[0].schema.field(0), pa.array([name] * few.num_rows, pa.string())))
    return pa.concat_tables(found)


def _one_thinned(rows: pa.Table, declared: Declaration, resolution: Detail, asked: Asked) -> pa.Table:
    start, end = micros(asked.span.start), micros(asked.span.end)
    if resolution is Detail.RAW:
        hold_us = max(declared.hold_s, declared.step_s) * 1_000_000
        return thinned(of_readings(rows, hold_us), start, end, asked.points)
    step_us = STEP_S[resolution] * 1_000_000
    return thinned(of_steps(rows, step_us), start, end, asked.points, grain_us=step_us)


def _by_series(rows: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each; those of a series stand together."""
    if not rows.num_rows:
        return []
    ids = rows["series_id"]
    changes: Any = pc.not_equal(ids[1:], ids[:-1])
    first = np.append(0, np.flatnonzero(changes.to_numpy()) + 1)
    count = np.diff(np.append(first, len(ids)))
    names: list[Any] = ids.take(pa.array(first, pa.int64())).to_pylist()
    return [(name, rows.slice(at, n)) for name, at, n in zip(names, first.tolist(), count.tolist(), strict=True)]


# --- pages and portions -----------------------------------------------------------------------------------------------


async def page(
    series: Series, rollups: Rollups, declared: Declaration, asked: Asked, *, after: datetime | None, limit: int
) -> pa.Table:
    """Up to `limit` rows of one series after an instant. Reads little more than those, however long the span."""
    start = asked.span.start if after is None else max(asked.span.start, after + MICROSECOND)
    length = timedelta(seconds=STEP_S.get(asked.resolution, declared.step_s) * (limit + 1))
    last, found = after, [shape(asked.resolution, many=True).empty_table()]
    while start < asked.span.end and sum(len(rows) for rows in found) < limit:
        end = min(start + length, asked.span.end) if asked.span.end - start > length else asked.span.end
        rows = await read(series, rollups, [declared], msgspec.structs.replace(asked, span=Span(start, end)))
        if last is not None:  # a step may overlap two parts of the span
            rows = rows.filter(pc.greater(rows["at"], pa.scalar(last, INSTANT)))
        last = rows["at"][-1].as_py() if rows.num_rows else last
        found.append(rows)
        start, length = end, length * _LONGER
    return pa.concat_tables(found).slice(0, limit)


async def each(
    series: Series, rollups: Rollups, declared: Sequence[Declaration], asked: Asked
) -> AsyncIterator[pa.Table]:
    """In portions, in order of (series_id, at); never nothing. Raises `Refused` before the first."""
    for some, span in portions(declared, asked):
        yield await read(series, rollups, some, msgspec.structs.replace(asked, span=span))


async def whole(
    series: Series, rollups: Rollups, declared: Sequence[Declaration], asked: Asked, *, most: int
) -> pa.Table:
    """Raises `Refused` when it is more than `most` rows."""
    found, count = [shape(asked.resolution, many=True).empty_table()], 0
    async for rows in each(series, rollups, declared, asked):
        count += rows.num_rows
        if count > most:
            raise Refused(f"more than {most:,} values: ask for fewer, for longer steps, or for a file (.csv, .parquet)")
        found.append(rows)
    return pa.concat_tables(found)
