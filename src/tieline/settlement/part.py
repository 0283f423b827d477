"""What settlement offers the process: it freezes what has started, settles what is over, and shows both."""

import asyncio
from collections.abc import Collection
from datetime import date, datetime, timedelta

import structlog

from tieline.base.errors import TielineError
from tieline.base.part import Part, Task
from tieline.base.time import Clock
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import CLOSED, Event, EventState
from tieline.ports import Blobs, Rows, Series
from tieline.settlement import actions, reads, routes
from tieline.settlement.choosing import routes as choosing
from tieline.settlement.choosing.part import Chooser
from tieline.settlement.outages import routes as outages
from tieline.settlement.routes import LAG_S
from tieline.settlement.runs import routes as runs
from tieline.settlement.terms import routes as terms
from tieline.settlement.terms.measuring import measuring

DELAY_S = 120.0
log = structlog.get_logger(__name__)


class Settler:
    """Looks for events that lack their baseline or their statement, and makes them.

    What is to be done stands in the rows, not here: whatever dies, the next look, in any process, finds it again.
    `delay_s` of the clock pass between an event's end and its statement, for readings on their way. `lag_s` of the
    wall pass between a look's "now" and its reading: what we had taken by then must be readable, or a statement as of
    that instant would not stay true.
    """

    def __init__(
        self,
        rows: Rows,
        series: Series,
        clock: Clock,
        blobs: Blobs,
        delay_s: float,
        lag_s: float,
        holidays: Collection[date],
    ) -> None:
        self._rows = rows
        self._series = series
        self._clock = clock
        self._delay = timedelta(seconds=delay_s)
        self._lag_s = lag_s
        self._holidays = holidays
        self._blobs = blobs

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            await asyncio.sleep(self._lag_s)
            await self.look(now)

    async def look(self, now: datetime) -> None:
        """Freeze and settle what is due, as of `now`."""
        for event in await self._unfrozen(now):
            try:
                await actions.freeze(event, rows=self._rows, series=self._series, holidays=self._holidays)
            except TielineError as error:
                log.warning("baseline waits", event_id=event.event_id, reason=str(error))
            except Exception as error:  # whatever is wrong with one event, the others go on
                log.error("baseline fails", event_id=event.event_id, exc_info=error)
        for event in await self._unsettled(now):
            try:
                await actions.settle(
                    event.event_id,
                    rows=self._rows,
                    series=self._series,
                    clock=self._clock,
                    blobs=self._blobs,
                    known_at=now,
                    holidays=self._holidays,
                    again=False,  # another process may have stated it since we looked, knowing a little less
                )
            except TielineError as error:
                log.warning("statement waits", event_id=event.event_id, reason=str(error))
            except Exception as error:
                log.error("statement fails", event_id=event.event_id, exc_info=error)

    async def _unfrozen(self, now: datetime) -> list[Event]:
        active = await dispatch.calls(self._rows, [EventState.ACTIVE])
        frozen = await self._rows.read(reads.frozen_events)
        started = [event for event in active if event.started_at is not None and event.started_at <= now]
        unfrozen = [event for event in started if event.event_id not in frozen]
        return [event for event in unfrozen if await self._looked_until(event) is None]

    async def _looked_until(self, event: Event) -> datetime | None:
        """Of an event whose rule looks at hours after the start, when these are over: it is frozen as it is settled."""
        how = await self._rows.read(lambda reader: measuring(reader, event.program_id, event.start_at))
        return actions.looked_until(event, how.rule)

    async def _unsettled(self, now: datetime) -> list[Event]:
        closed = await dispatch.calls(self._rows, CLOSED)
        settled = await self._rows.read(reads.settled_events)
        over = [
            one for one in closed if one.started_at is not None and (one.ended_at or one.end_at) + self._delay <= now
        ]
        unsettled = [event for event in over if event.event_id not in settled]
        return [one for one in unsettled if (await self._looked_until(one) or one.start_at) + self._delay <= now]


def part(
    rows: Rows,
    series: Series,
    clock: Clock,
    *,
    blobs: Blobs,
    delay_s: float = DELAY_S,
    lag_s: float = LAG_S,
    holidays: Collection[date] = (),
) -> Part:
    settler = Settler(rows, series, clock, blobs, delay_s, lag_s, frozenset(holidays))
    chooser = Chooser(rows, series, clock)
    doors = [*routes.ROUTES, *terms.ROUTES, *runs.ROUTES, *choosing.ROUTES, *outages.ROUTES]
    return Part("settlement", tasks=[Task("settlement", settler.run), Task("choosing", chooser.run)], routes=doors)
