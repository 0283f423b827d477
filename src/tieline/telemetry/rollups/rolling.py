"""The task: whatever was committed to Series, whoever did it, is rolled up, each step once it is over.

    raw commits ─touched─▶ steps ─┬─ over: made whole of raw ─▶ five minutes ─touched─▶ hours, likewise
                                  └─ not over yet: kept in mind; the position stays before what touched them

A step is made whole, never added to, and written only where it comes to something else than what is kept: whatever a
crash repeats comes to the same. Several processes may roll up: a commit counts only after the one that its maker knew
of, so that who knows less never writes over who knows more; the loser looks again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa

from tieline import metrics
from tieline.base.series import ROLLUPS
from tieline.base.time import MICROSECOND, Clock, micros
from tieline.telemetry.rollups.levels import DAY_US, WRITER, Level, Levels, Touched, following, version
from tieline.telemetry.rollups.model import instants
from tieline.telemetry.rollups.portions import STEPS, Box, boxes

EVERY_S = 60.0
"""On the wall: reads make by themselves what is not rolled up yet."""
REST = 4
"""So much longer than it took: the intake must not starve."""
AHEAD = timedelta(hours=1)
"""What lies further ahead is a forecast, and does not wait until it is over."""
SETTLE = timedelta(minutes=2)
"""Who sends each minute has sent by then, and it is sealed. Hours wait for their last five minutes as well."""
PORTIONS = 20
MOST_ROWS = 200_000
"""Of a commit."""


class Rolling:
    """One a process that takes readings in."""

    def __init__(self, levels: Levels, clock: Clock) -> None:
        self.five = Follower(levels, levels.five, clock, SETTLE)
        self.hour = Follower(levels, levels.hour, clock, 5 * SETTLE)

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            await self.five.follow()
            await self.hour.follow()
            await asyncio.sleep(max(EVERY_S, REST * (time.monotonic() - began)))


class Follower:
    """One level; a step is over `settle` after its end.

    Of each step that is not over yet it keeps in mind at which version of the source it was last untouched: the
    position does not go past it, so that whoever dies, the one who comes after is told of the step again."""

    def __init__(self, levels: Levels, level: Level, clock: Clock, settle: timedelta) -> None:
        self._levels, self._level, self._clock, self._settle = levels, level, clock, settle
        self._caught_up_at = time.monotonic()
        self._begin(-1)

    def _begin(self, position: int) -> None:
        self._position, self._seen = position, version(position)
        self._waiting = _since(STEPS.empty_table(), 0)

    async def follow(self) -> None:
        """Up to the newest version of the source, or until another process was faster; some portions at most, for other
        levels wait."""
        if (position := await self._level.position()) != self._position:
            self._begin(position)
        try:
            for _ in range(PORTIONS):
                if await self._portion():
                    break
        except BaseException:
            self._begin(-1)
            raise

    async def _portion(self) -> bool:
        """As much as the source tells at once. Whether there is no more to do for now."""
        touched = await self._levels.touched(self._level, self._seen)
        metrics.ROLLUP_UNDECLARED.inc(touched.undeclared)
        over = await asyncio.to_thread(self._over, touched)
        if not await self._make(over, touched.version):
            self._begin(-1)
            return True
        done, self._seen = touched.version == self._seen, touched.version
        if done:
            self._caught_up_at = time.monotonic()
        self._measure()
        return done

    def _over(self, touched: Touched) -> list[Box]:
        """What is to be made now; the rest waits."""
        now, width = micros(self._clock.now()), self._level.width_us
        if touched.each > 1:  # a whole history at once: what it says of the newest steps is too coarse to wait by
            self._wait(_since(_newest(touched.steps, now, now - self._settle // MICROSECOND, width), self._seen))
            return boxes(touched.steps, width * touched.each, each=touched.each)
        self._wait(_since(touched.steps, self._seen))
        at = instants(self._waiting)
        over = (at + width + self._settle // MICROSECOND <= now) | (at >= now + AHEAD // MICROSECOND)
        made, self._waiting = self._waiting.filter(pa.array(over)), self._waiting.filter(pa.array(~over))
        return boxes(made, width)

    def _wait(self, more: pa.Table) -> None:
        both = pa.concat_tables([self._waiting, more]).group_by(["series_id", "at"]).aggregate([("since", "min")])
        self._waiting = both.rename_columns(["series_id", "at", "since"])

    async def _make(self, found: Sequence[Box], seen: int) -> bool:
        """Write the steps of boxes that have changed. Whether no other process was faster."""
        rows = [ROLLUPS.empty_table()]
        for box in found:
            rows.append(await self._levels.changed(self._level, box, self._clock.now()))
            if sum(part.num_rows for part in rows) > MOST_ROWS:
                if not await self._append(rows, 0):
                    return False
                rows = [ROLLUPS.empty_table()]
        whole = min(self._waiting["since"].to_numpy(), default=seen)
        if whole > version(self._position) or any(part.num_rows for part in rows):
            return await self._append(rows, int(whole))
        return True

    async def _append(self, rows: Sequence[pa.Table], whole: int) -> bool:
        table, position = pa.concat_tables(rows), following(self._position, whole)
        if not await self._level.kept.append(table, writer=WRITER, position=position, after=self._position):
            return False
        self._position = position
        metrics.ROLLED.labels(self._level.resolution.value).inc(table.num_rows)
        self._measure()
        return True

    def _measure(self) -> None:
        metrics.ROLLUP_LAG.labels(self._level.resolution.value).set(time.monotonic() - self._caught_up_at)


def _since(steps: pa.Table, since: int) -> pa.Table:
    return steps.append_column("since", pa.array(np.full(steps.num_rows, since, np.int64)))


def _newest(days: pa.Table, now: int, since: int, width: int) -> pa.Table:
    """The steps from an instant up to now, of every series that has anything since."""
    alive = days.filter(pa.array(instants(days) + DAY_US > since))["series_id"].unique()
    first, last = since // width, now // width
    at = np.tile(np.arange(first, last + 1) * width, len(alive))
    return pa.table({"series_id": alive.take(np.repeat(np.arange(len(alive)), last - first + 1)), "at": at}).cast(STEPS)
