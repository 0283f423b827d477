"""What becomes of a VEN that floods: it is disconnected and shut out for a while, and what it sent is counted.

drops ──► telling: paused in Rows, and the kicker disconnects it ──► over: one dead letter says how much was dropped
refuse ─► a dead letter, or, of a VEN that had many, after a minute one that says how many more there were
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from tieline import metrics
from tieline.base.time import Clock, iso
from tieline.identity import actions as identity
from tieline.ports import Blobs, Entry, Log, Rows, Transaction
from tieline.telemetry import actions
from tieline.telemetry.flood import Bounds, Flood, Floods, Refusals, Unkept
from tieline.telemetry.model import Dead

log = structlog.get_logger(__name__)
FLOODING = "flooding"
MANY = "many refused"
_EVERY_S = 1.0


class Flooding:
    """As one process sees it. `wall` is the clock that the broker has, `clock` the platform's."""

    def __init__(self, log: Log, rows: Rows, blobs: Blobs, clock: Clock, wall: Clock, bounds: Bounds) -> None:
        self._log = log
        self._rows = rows
        self._blobs = blobs
        self._clock = clock
        self.wall = wall
        self._floods = Floods(bounds)
        self._refusals = Refusals()

    def drops(self, entry: Entry) -> bool:
        """Whether a device's message is not taken. Call `telling` before it is done with."""
        dropped = self._floods.drops(entry)
        metrics.FLOODED.inc(dropped)
        return dropped

    def kept(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that are taken, of many: as a rule all, and then each costs next to nothing."""
        if self._floods.passes(entries):
            return entries
        return [one for one in entries if not self.drops(one)]

    async def telling(self) -> None:
        """Shut out those that have just begun."""
        for flood in self._floods.begun():
            await self._rows.transaction(partial(self._pause, flood))
            flood.told = True
            log.warning("a device floods and is disconnected", ven_id=flood.ven_id, until=iso(flood.until))

    def _pause(self, flood: Flood, tx: Transaction) -> None:
        identity.pause(tx, flood.ven_id, flood.until, self.wall.now())

    async def refuse(self, entry: Entry, ven_id: str, dead: Dead) -> None:
        """Keep a refused entry, unless its VEN had too many. Only then may the entry be done."""
        if self._refusals.keeps(entry, ven_id, dead, self.wall.now()):
            await self._keep(entry, ven_id, dead)
        else:
            metrics.DEAD_LETTERS.labels(dead.reason).inc()

    async def run(self) -> None:
        """For ever: say of each that is over what it lost; when stopped, of the others too."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                now = self.wall.now()
                await self._bury(self._floods.end(now), self._refusals.end(now))
        finally:
            await self._bury(self._floods.end(None), self._refusals.end(None))

    async def _bury(self, floods: Sequence[Flood], refusals: Sequence[Unkept]) -> None:
        for flood in floods:
            await self._bury_one(flood)
        for unkept in refusals:
            detail = f"{unkept.count} more were refused of this VEN, the first of them so: {unkept.dead.detail}"
            await self._keep(unkept.first, unkept.ven_id, Dead(MANY, detail))

    async def _bury_one(self, flood: Flood) -> None:
        bounds = self._floods.bounds
        detail = (
            f"{flood.dropped} messages from {iso(flood.first.said_at)} on, more than {bounds.burst} at once and "
            f"{bounds.per_s:g} a second, were dropped, and it could not connect until {iso(flood.until)}"
        )
        await self._keep(flood.first, flood.ven_id, Dead(FLOODING, detail))

    async def _keep(self, entry: Entry, ven_id: str, dead: Dead) -> None:
        await actions.refuse(self._log, self._blobs, self._clock, entry, ven_id, dead)
