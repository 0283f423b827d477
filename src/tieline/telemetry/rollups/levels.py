"""The two levels that are kept, and how a box of steps of each is made whole of what it is made of.

raw ──time-weighted──▶ five minutes ──added up──▶ hours
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.errors import Refused
from tieline.base.series import ROLLUPS
from tieline.base.time import MICROSECOND, from_micros, later, micros
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.telemetry.integration import MICROS
from tieline.telemetry.rollups.model import (
    WIDTH_US,
    Resolution,
    Rule,
    differing,
    edges,
    known,
    merge,
    names,
    roll,
    within,
)
from tieline.telemetry.rollups.portions import STEPS, Box, reached

WRITER = "rollups"
DAY_US = 86_400 * MICROS
_SPARE = 20
"""Low bits of a writer's position: several commits of one version of the source. The rest is that version."""


class Level(msgspec.Struct, frozen=True):
    """One table of steps, and the table whose commits touch them."""

    resolution: Resolution
    source: Series
    kept: Series

    @property
    def width(self) -> timedelta:
        return self.width_us * MICROSECOND

    @property
    def width_us(self) -> int:
        return WIDTH_US[self.resolution]

    async def position(self) -> int:
        return await self.kept.position(WRITER)


def version(position: int) -> int:
    """The version of the source that is wholly in the steps of a writer at this position."""
    return position >> _SPARE


def following(position: int, reached: int) -> int:
    """The next position: past the one before, and at a version of the source where that is now reached."""
    return max(position + 1, reached << _SPARE)


class Touched(msgspec.Struct, frozen=True):
    """How far the source was looked at, and the (series_id, at) that came to be otherwise, `at` the start of `each`
    steps; `undeclared` more are of series that nobody declared."""

    version: int
    steps: pa.Table
    each: int
    undeclared: int


class Levels:
    """What is kept, and how it is made. A series that is not declared cannot be rolled up: nobody knows what its stamps
    mean."""

    def __init__(self, rows: Rows, raw: Series, five: Series, hour: Series) -> None:
        self._rows, self._raw = rows, raw
        self._rules: dict[str, Rule] = {}
        self.five = Level(Resolution.FIVE_MINUTES, raw, five)
        self.hour = Level(Resolution.HOUR, five, hour)

    async def compact(self) -> None:
        for level in (self.five, self.hour):
            await level.kept.compact()

    async def rules(self, series_ids: Sequence[str]) -> Mapping[str, Rule]:
        """Of those that are declared. A declaration never changes: it is asked for once."""
        if unknown := [one for one in series_ids if one not in self._rules]:
            found = await self._rows.read(lambda reader: registry.declared(reader, unknown))
            self._rules |= {name: Rule.of(declared) for name, declared in found.items()}
        return {one: self._rules[one] for one in series_ids if one in self._rules}

    async def made(self, level: Level, box: Box) -> pa.Table:
        """The steps of a box out of the level's source, in order."""
        if level is self.five:
            return await self.rolled(box, level.width_us)
        fine = await self.five.kept.scan(box.series_ids, box.span.start, box.span.end)
        return await asyncio.to_thread(merge, fine, edges(box.span, level.resolution, "UTC"))

    async def rolled(self, box: Box, width_us: int) -> pa.Table:
        """Steps of any width out of raw readings, in order; the box in halves where Series finds it too much."""
        rules = await self.rules(box.series_ids)
        if not rules:
            return ROLLUPS.empty_table()
        try:
            return await self._rolled(Box(list(rules), box.span), rules, width_us)
        except Refused:
            if len(parts := Box(list(rules), box.span).halves()) < 2:
                raise
            return pa.concat_tables([await self.rolled(part, width_us) for part in parts])

    async def _rolled(self, box: Box, rules: Mapping[str, Rule], width_us: int) -> pa.Table:
        hold = max(rule.hold_us for rule in rules.values())
        start, end = from_micros(micros(box.span.start) - hold), from_micros(micros(box.span.end) + hold)
        found = await self._raw.scan(box.series_ids, start, end)
        return within(await asyncio.to_thread(roll, found, rules, width_us), box.span)

    async def changed(self, level: Level, box: Box, now: datetime) -> pa.Table:
        """The steps of a box that are to be written: made whole, where that differs from what is kept."""
        kept = await level.kept.scan(box.series_ids, box.span.start, box.span.end)
        made = await self.made(level, box)
        new, _ = await asyncio.to_thread(differing, made, kept)
        return known(new, after(kept, now))

    async def touched(self, level: Level, after: int) -> Touched:
        """What commits of the level's source changed since a version, as far as it tells at once."""
        each = 1
        try:
            reach, steps = await level.source.touched(after, step=level.width)
        except Refused:  # a whole history at once: by days
            each = DAY_US // level.width_us
            reach, steps = await level.source.touched(after, step=DAY_US * MICROSECOND)
        wider, undeclared = await self._reached(level, steps, each)
        return Touched(reach, wider, each, undeclared)

    async def held(self, level: Level) -> pa.Table:
        """What the tail of the level's source changes, as `touched` says it of what is committed."""
        steps, _ = await self._reached(level, await level.source.held(step=level.width), 1)
        return steps

    async def _reached(self, level: Level, steps: pa.Table, each: int) -> tuple[pa.Table, int]:
        """A reading may cover some of the steps beside its own, a step of five minutes lies in one hour. And how many
        are left out, of series that are not declared."""
        if level is not self.five:
            return steps.cast(STEPS), 0
        rules = await self.rules(names(steps["series_id"].unique()))
        ours = steps.filter(pc.is_in(steps["series_id"], pa.array(rules, pa.string())))
        wider = await asyncio.to_thread(reached, ours, rules, level.width_us * each)
        return wider, steps.num_rows - ours.num_rows


def after(kept: pa.Table, now: datetime) -> datetime:
    """Now, or just after what is kept was made: whatever clocks do, what is written stands over what it replaces."""
    newest: datetime | None = pc.max(kept["known_at"]).as_py()
    return now if newest is None else later(now, than=newest)
