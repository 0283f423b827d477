"""The proof: steps made again of raw readings and compared with those kept, to the bit; written where asked."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.telemetry.rollups.levels import WRITER, Level, after, following
from tieline.telemetry.rollups.model import Resolution, differing, edges, known, merge, without
from tieline.telemetry.rollups.portions import Box
from tieline.telemetry.rollups.reads import Rollups, cut

_TOLD = 100
_ATTEMPTS = 5


class StepValues(msgspec.Struct, frozen=True):
    integral: float
    covered_s: float
    low: float
    high: float
    first: float
    last: float
    count: int
    flags: int


class Mismatch(msgspec.Struct, frozen=True):
    """A step as it is kept and as raw readings make it; None where there is none."""

    level: Resolution
    series_id: str
    at: datetime
    kept: StepValues | None
    made: StepValues | None


class Verified(msgspec.Struct, frozen=True):
    """How many steps raw readings make, how many of those kept are others, and the first of these; `written` of them.
    `waiting` ones are not rolled up yet, and prove nothing."""

    steps: int
    differing: int
    waiting: int
    written: int
    differences: list[Mismatch]


async def verified(rollups: Rollups, box: Box, clock: Clock, *, write: bool) -> Verified:
    """Both levels of a box; its span on whole hours. What is not rolled up yet is written with the rest, or left out of
    the proof. Raises `Unready` when the rollups are far behind, or others write all the time."""
    found = Verified(0, 0, 0, 0, [])
    for part in cut(box, rollups.levels.five.width_us):
        for level in (rollups.levels.five, rollups.levels.hour):
            one = await _settled(rollups, level, part, clock, write)
            found = _both(found, one)
    return found


async def _settled(rollups: Rollups, level: Level, box: Box, clock: Clock, write: bool) -> Verified:
    """Looked at while nobody wrote."""
    for _ in range(_ATTEMPTS):
        position = await level.position()
        found = await _looked(rollups, level, box, write)
        if await level.position() != position:
            continue
        if not write or not found.rows.num_rows:
            return found.told(level)
        rows = known(found.rows, after(found.kept, clock.now()))
        if await level.kept.append(rows, writer=WRITER, position=following(position, 0), after=position):
            return found.told(level, written=rows.num_rows)
    raise Unready("these steps are being rolled up at this moment: ask again")


class _Found(msgspec.Struct, frozen=True):
    """Rows of a box: all made and all kept; of those made what is not kept so, of those kept what was not made."""

    made: pa.Table
    kept: pa.Table
    rows: pa.Table
    unmade: pa.Table
    waiting: int

    def told(self, level: Level, written: int = 0) -> Verified:
        both = pa.concat_tables([self.rows, self.unmade])
        few = both.slice(0, _TOLD)
        kept, made = (_by_step(rows, few) for rows in (self.kept, self.made))
        steps = [(row["series_id"], row["at"]) for row in few.to_pylist()]
        told = [Mismatch(level.resolution, *step, kept.get(step), made.get(step)) for step in steps]
        return Verified(self.made.num_rows, both.num_rows, self.waiting, written, told)


async def _looked(rollups: Rollups, level: Level, box: Box, write: bool) -> _Found:
    kept = await level.kept.scan(box.series_ids, box.span.start, box.span.end)
    made = await rollups.levels.rolled(box, rollups.levels.five.width_us)
    if level is rollups.levels.hour:
        made = await asyncio.to_thread(merge, made, edges(box.span, level.resolution, "UTC"))
    rows, unmade = await asyncio.to_thread(differing, made, kept)
    if write or not (rows.num_rows or unmade.num_rows):
        return _Found(made, kept, rows, unmade, 0)
    new = await rollups.unrolled(level, box)
    if new is None:
        raise Unready("the rollups are far behind: ask again once tieline_rollup_lag_seconds is near 0")
    rolled, gone = without(rows, new), without(unmade, new)
    return _Found(made, kept, rolled, gone, rows.num_rows + unmade.num_rows - rolled.num_rows - gone.num_rows)


def _by_step(rows: pa.Table, few: pa.Table) -> dict[tuple[str, datetime], StepValues]:
    """Of the steps of a few rows, and some more."""
    some = rows.filter(pc.and_(*[pc.is_in(rows[name], few[name].combine_chunks()) for name in ("series_id", "at")]))
    return {(row["series_id"], row["at"]): msgspec.convert(row, StepValues) for row in some.to_pylist()}


def _both(one: Verified, other: Verified) -> Verified:
    return Verified(
        one.steps + other.steps,
        one.differing + other.differing,
        one.waiting + other.waiting,
        one.written + other.written,
        (one.differences + other.differences)[:_TOLD],
    )
