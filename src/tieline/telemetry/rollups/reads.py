"""What others ask of the rollups: series by steps, and sums over many; what is not rolled up yet is made on the spot.

──────── kept ────────┊── not rolled up yet ──▶ now
what was committed since the level's position, and what is in the tail, is known step by step: those are made of raw
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import Refused
from tieline.base.series import ROLLUPS
from tieline.base.time import Span, from_micros, micros
from tieline.telemetry.integration import MICROS, MICROS_AN_HOUR, Ints
from tieline.telemetry.rollups.levels import Level, Levels, version
from tieline.telemetry.rollups.model import (
    WIDTH_US,
    Resolution,
    edges,
    instants,
    merge,
    merged_totals,
    overlaid,
    totalled,
    totals,
    whole,
)
from tieline.telemetry.rollups.portions import MOST_CELLS, STEPS, Box, boxes, distinct

_ASKS = 4
"""Asked so often what is new: where there is more, the rollups are far behind, and all is made on the spot."""


class Rollups:
    """One a process."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self._new_five, self._new_hour = _New(levels, levels.five), _New(levels, levels.hour)

    async def rolled(
        self, series_ids: Sequence[str], span: Span, resolution: Resolution, *, zone: str = "UTC"
    ) -> pa.Table:
        """ROLLUPS rows in order of (series_id, at): every step that overlaps the span, whole, where any of it is
        covered. Days and months are those of the zone. Series that are not declared are left out. Raises `Refused` for
        a zone that there is not, and when it is more than Series may answer at once."""
        box = Box(sorted(set(series_ids)), whole(span, resolution, _checked(zone)))
        if resolution is Resolution.MINUTE:
            return await self._raw(box, WIDTH_US[resolution])
        level = self._level(span, resolution, zone)
        found = await self._steps(level, box)
        if level.resolution is resolution:
            return found
        return await asyncio.to_thread(merge, found, edges(span, resolution, zone))

    async def total(
        self, series_ids: Sequence[str], span: Span, resolution: Resolution, *, zone: str = "UTC"
    ) -> pa.Table:
        """The sum over series by step, in order of `at`, as TOTALS: steps as in `rolled`, but those in which no series
        is covered are left out. Raises `Refused` as `rolled` does."""
        box = Box(sorted(set(series_ids)), whole(span, resolution, _checked(zone)))
        if resolution is Resolution.MINUTE:
            return totals(await self._raw(box, WIDTH_US[resolution]))
        level = self._level(span, resolution, zone)
        found = await self._totals(level, box)
        return found if level.resolution is resolution else merged_totals(found, edges(span, resolution, zone))

    def _level(self, span: Span, resolution: Resolution, zone: str) -> Level:
        """The coarsest whose steps lie within those of the resolution."""
        width = WIDTH_US.get(resolution)
        uneven = width % MICROS_AN_HOUR if width else np.any(edges(span, resolution, zone) % MICROS_AN_HOUR)
        return self.levels.five if uneven else self.levels.hour

    # --- rows ---

    async def _raw(self, box: Box, width_us: int) -> pa.Table:
        parts = [await self.levels.rolled(part, width_us) for part in cut(box, width_us)]
        return overlaid(ROLLUPS.empty_table(), pa.concat_tables([ROLLUPS.empty_table(), *parts]))

    async def _steps(self, level: Level, box: Box) -> pa.Table:
        kept = await level.kept.scan(box.series_ids, box.span.start, box.span.end)
        made = [await self._made(level, part) for part in await self._to_make(level, box)]
        return overlaid(kept, pa.concat_tables([ROLLUPS.empty_table(), *made]))

    async def _made(self, level: Level, box: Box) -> pa.Table:
        if level is self.levels.five:
            return await self.levels.made(level, box)
        fine = await self._steps(self.levels.five, box)
        return await asyncio.to_thread(merge, fine, edges(box.span, level.resolution, "UTC"))

    async def _to_make(self, level: Level, box: Box) -> list[Box]:
        """What of a box the kept steps do not say yet."""
        steps = await self.unrolled(level, box)
        return cut(box, level.width_us) if steps is None else boxes(steps, level.width_us)

    async def unrolled(self, level: Level, box: Box) -> pa.Table | None:
        """The steps of a box that are not rolled up; None: any may be."""
        new = await self._new_five.steps(box)
        if new is None or level is self.levels.five:
            return new
        coarse = await self._new_hour.steps(box)
        return None if coarse is None else distinct(pa.concat_tables([_on(new, level.width_us), coarse]))

    # --- sums ---

    async def _totals(self, level: Level, box: Box) -> pa.Table:
        new = await self.unrolled(level, box)
        if new is None:
            return totals(await self._steps(level, box))
        at = np.unique(instants(new))
        kept = await self._kept_totals(level, box)
        stands = kept.filter(pa.array(~np.isin(instants(kept), at)))
        spans = _spans(at, level.width_us)
        fresh = [totals(await self._steps(level, Box(box.series_ids, span))) for span in spans]
        return pa.concat_tables([stands, *fresh]).sort_by("at")

    async def _kept_totals(self, level: Level, box: Box) -> pa.Table:
        """Made where they are kept, not row by row here."""
        columns, span = ["integral", "covered_s"], box.span
        found = await level.kept.total(box.series_ids, span.start, span.end, step=level.width, columns=columns)
        integral, covered_s, count = (found[name].to_numpy() for name in ("sum_integral", "sum_covered_s", "count"))
        return totalled(instants(found), integral, covered_s, count)


class _New:
    """Which steps of a level are not what its source says now: of what was committed since its position, and held."""

    def __init__(self, levels: Levels, level: Level) -> None:
        self._levels, self._level = levels, level
        self._looking = asyncio.Lock()
        self._since, self._seen = -1, -1
        self._committed = STEPS.empty_table()

    async def steps(self, box: Box) -> pa.Table | None:
        """Those of a box; None where so much is new that it is not told step by step."""
        async with self._looking:
            if await self._look():
                return None
            committed = self._committed
        held = await self._levels.held(self._level)
        return distinct(pa.concat_tables([_inside(committed, box), _inside(held, box)]))

    async def _look(self) -> bool:
        """At what came since the last look. Whether it is too much."""
        if (since := version(await self._level.position())) != self._since:
            self._since = self._seen = since
            self._committed = STEPS.empty_table()
        for _ in range(_ASKS):
            touched = await self._levels.touched(self._level, self._seen)
            if touched.each > 1:
                return True
            self._committed = distinct(pa.concat_tables([self._committed, touched.steps]))
            if touched.version == self._seen:
                return False
            self._seen = touched.version
        return True


def cut(box: Box, width_us: int) -> list[Box]:
    """A box in as many as fit into memory one by one."""
    at_once = max(1, int(MOST_CELLS * width_us // (box.span.seconds * MICROS)))
    ids = box.series_ids
    return [Box(ids[first : first + at_once], box.span) for first in range(0, len(ids), at_once)]


def _inside(steps: pa.Table, box: Box) -> pa.Table:
    at = instants(steps)
    timely = steps.filter(pa.array((at >= micros(box.span.start)) & (at < micros(box.span.end))))
    return timely.filter(pc.is_in(timely["series_id"], pa.array(box.series_ids, pa.string())))


def _on(steps: pa.Table, width_us: int) -> pa.Table:
    """The coarser steps that steps lie in."""
    at = instants(steps)
    return pa.table({"series_id": steps["series_id"], "at": at - at % width_us}).cast(STEPS)


def _spans(at: Ints, width_us: int) -> list[Span]:
    """Steps as spans of those that follow one another."""
    cuts = np.flatnonzero(np.diff(at) != width_us) + 1
    return [
        Span(from_micros(int(run[0])), from_micros(int(run[-1]) + width_us)) for run in np.split(at, cuts) if len(run)
    ]


def _checked(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(f"zone {zone!r} is not an IANA time zone, such as Australia/Brisbane") from None
    return zone
