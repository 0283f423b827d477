"""What the sheddable loads draw, as columns: their newest readings, and the hours before, which are kept up beside.

    each minute   Memory: the minute that ended is read, and what it teaches is learnt     `keep_up`
    each look     the newest readings of all, beside what was learnt by then               `measure`

It keeps no truth: another process, or this one after a crash, reads the same again.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.dispatch import reads
from tieline.dispatch.habits import Floats
from tieline.dispatch.metered import HeldSpan, Metered
from tieline.dispatch.past import MINUTE, PAYBACK, REMEMBERED, Memory, Past, is_any_held, minute
from tieline.dispatch.planning import Loads
from tieline.dispatch.roster import LATEST, Roster
from tieline.ports import Reader, Rows, Series
from tieline.registry import reads as registry
from tieline.telemetry.presence import reads as presence

KEEPING_UP_S = 1.0
FRESH = 2 * MINUTE
"""Whom to call is chosen by what was known so long ago at most; what is held is judged by the last whole minute."""
NEVER_US = np.iinfo(np.int64).min


class Readings:
    """What the loads of this registry draw."""

    def __init__(self, rows: Rows, series: Series, online_s: float) -> None:
        self._rows, self._series = rows, series
        self._online = timedelta(seconds=online_s)
        self._memory = Memory(series)
        self._roster = Roster.of([])

    async def keep_up(self, clock: Clock) -> None:
        """For ever: a look at thousands of loads, or the first after a quiet night, finds their hours read."""
        while True:
            now, newest = clock.now(), self._memory.newest
            if newest is None or newest.until != minute(now):
                await self.prepare(now, await self._rows.read(lambda reader: held_lately(reader, now)))  # noqa: B023
            await self._series.last([], since=now - self._online)  # what came in is put in its place now
            await asyncio.sleep(KEEPING_UP_S)

    async def prepare(self, now: datetime, held: Sequence[HeldSpan]) -> None:
        """What need not be done at a look."""
        roster = await self._listed()
        await self._memory.learn_on(roster, now, held)
        await self._memory.brought_up(roster, now, held)

    async def measure(self, now: datetime, held: Sequence[HeldSpan]) -> Metered:
        roster = await self._listed()
        past = self._memory.newest
        if past is None or past.roster is not roster or is_any_held(held) or not _is_fresh(past, now):
            past = await self._memory.brought_up(roster, now, held)
        latest = await self._series.last(roster.latest, since=now - self._online)
        gone = await self._rows.read(presence.gone)
        loads, shed = _now(roster, latest, held, gone)
        return Metered(now, loads, shed, past.running, past.counterfactual)

    async def _listed(self) -> Roster:
        rows = await registry.sheddable(self._rows)
        if rows != self._roster.rows:
            self._roster = Roster.of(rows)
        return self._roster


def held_lately(reader: Reader, now: datetime) -> list[HeldSpan]:
    """All that was held in the time that is learnt from."""
    return reads.held_since(reader, now - REMEMBERED - PAYBACK)


def _is_fresh(past: Past, now: datetime) -> bool:
    return timedelta(0) <= now - past.until < FRESH


def _now(
    roster: Roster, latest: pa.Table, held: Sequence[HeldSpan], gone: Collection[str]
) -> tuple[Loads, NDArray[np.bool_]]:
    """The loads at their newest readings, and whether each says that it is held down. Those of VENs that are `gone`
    are not heard of, however new their last reading is.

    Power is a mean since the last snapshot: a load that has just begun draws what it says it could give up."""
    at_us, value, flags = _beside(roster, latest)
    heard = at_us[:, 0] != NEVER_US
    power_kw, sheddable_kw, hold_s = value.T
    there = ~np.fromiter(map(gone.__contains__, roster.ven_ids), np.bool_, len(roster)) if gone else True
    loads = Loads(
        ven_ids=roster.ven_ids,
        resource_ids=roster.resource_ids,
        kinds=roster.kinds,
        sheddable=np.ones(len(roster), np.bool_),
        power_kw=np.where(sheddable_kw > power_kw, sheddable_kw, power_kw),
        sheddable_kw=sheddable_kw,
        heard_s=np.where(heard & there, at_us[:, 0] / 1e6, -np.inf),
        hold_s=np.where(heard & (at_us[:, 2] == at_us[:, 0]), hold_s, np.inf),
        restored_s=_restored_s(roster, held),
        ceiling_kw=roster.ceiling_kw,
    )
    return loads, heard & ((flags[:, 0] & int(Flag.SHED)) != 0)


def _beside(roster: Roster, latest: pa.Table) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Instant in microseconds (`NEVER_US`: none), value and flags of the newest readings, each [loads, `LATEST`]."""
    shape = len(roster) * len(LATEST)
    at_us, value, flags = np.full(shape, NEVER_US), np.zeros(shape), np.zeros(shape, np.int64)
    place = pc.index_in(latest["series_id"], value_set=roster.latest_column).to_numpy()
    at_us[place] = latest["at"].cast(pa.int64()).to_numpy()
    value[place], flags[place] = latest["value"].to_numpy(), latest["flags"].to_numpy()
    return at_us.reshape(-1, len(LATEST)), value.reshape(-1, len(LATEST)), flags.reshape(-1, len(LATEST))


def _restored_s(roster: Roster, held: Sequence[HeldSpan]) -> Floats:
    """When each was last given back, minus infinity for never."""
    restored_s = np.full(len(roster), -np.inf)
    for load, _, back in held:
        if back is not None and (at := roster.index.get(load)) is not None:
            restored_s[at] = max(restored_s[at], back.timestamp())
    return restored_s
