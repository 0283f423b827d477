"""The kicker: whoever is connected to the broker and may no longer be is disconnected, within seconds.

news.device.revoked, .paused ──► that one's connections ─┐
each minute, and at the start ──► all connections ───────┴─► not on the VEN's credential as it is now? closed

A connection is listed under the label of its grant, which says whose it is and on which credential it came. So what was
missed, while nobody listened or because somebody connected at that very moment, is found in what there is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

import msgspec
import structlog

from tieline import metrics
from tieline.base.access import Session
from tieline.base.time import Clock
from tieline.identity import model, reads
from tieline.identity.actions import DeviceNews
from tieline.ports import Log, Rows

log = structlog.get_logger(__name__)
_EVERY_S = 60.0
_AGAIN_S = (0.0, 3.0, 15.0)  # one that was let in just before is connected at last when the broker's patience is over
_MANY = 50
_HEEDED = {"news.device.revoked", "news.device.paused"}


class Sessions(Protocol):
    """Who is connected: by an MQTT client id, which is a device's VEN id, or all, some at a time."""

    async def of(self, mqtt_client_id: str) -> Sequence[Session]: ...
    def all(self) -> AsyncIterator[Sequence[Session]]: ...
    async def close(self, session: Session) -> None: ...


class _Round:
    """Who is looked for next, at the earliest `pause_s` later."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._ven_ids: set[str] = set()
        self._some = asyncio.Event()

    def add(self, ven_ids: Iterable[str]) -> None:
        self._ven_ids.update(ven_ids)
        if self._ven_ids:
            self._some.set()

    async def next(self) -> list[str]:
        """Once there are any; who comes meanwhile is in the one after."""
        await self._some.wait()
        self._some.clear()
        ven_ids, self._ven_ids = self._ven_ids, set()
        await asyncio.sleep(self._pause_s)
        return sorted(ven_ids)


class Kicker:
    """Of the connections that the callout granted. Any number of processes may. The clock is the wall's."""

    def __init__(self, log: Log, rows: Rows, sessions: Sessions, clock: Clock) -> None:
        self._log = log
        self._rows = rows
        self._sessions = sessions
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        rounds = [_Round(pause_s) for pause_s in _AGAIN_S]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            for number, one in enumerate(rounds):
                group.create_task(self._heed(one, rounds[number + 1 : number + 2]))
            async for entries in self._log.follow(
                "news.device.*", after=None
            ):  # there comes and goes who is online too
                news = [one.data for one in entries if one.subject in _HEEDED]
                rounds[0].add(msgspec.json.decode(data, type=DeviceNews).ven_id for data in news)

    async def _look(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(_EVERY_S)

    async def _heed(self, due: _Round, then: Sequence[_Round]) -> None:
        while True:
            ven_ids = await due.next()
            if len(ven_ids) > _MANY:
                await self.sweep()
            else:
                for ven_id in ven_ids:
                    await self._close_stale(await self._sessions.of(ven_id))
            for after in then:
                after.add(ven_ids)

    async def sweep(self) -> None:
        """Look at everybody who is connected."""
        for some in [page async for page in self._sessions.all()]:
            await self._close_stale(some)

    async def _close_stale(self, sessions: Sequence[Session]) -> None:
        found = [(one, whose) for one in sessions if (whose := model.labelled(one.label)) is not None]
        ven_ids, now = [ven_id for _, (ven_id, _) in found], self._clock.now()
        admitted = await self._rows.read(lambda reader: reads.admitted(reader, ven_ids, now)) if found else {}
        for session, (ven_id, generation) in found:
            if admitted.get(ven_id) != generation:
                await self._sessions.close(session)
                metrics.KICKED.inc()
                log.warning("a device was disconnected: it may no longer connect so", ven_id=ven_id)
