"""The sweep: looks which reports should have come by now and did not.

What was judged stands in Rows: after a crash, or in another process, the next look goes on from there.
"""

import asyncio
import itertools
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from tieline import metrics
from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.ports import Rows
from tieline.vtn import expectations, tracking
from tieline.vtn.expectations import GRACE_S
from tieline.vtn.view import View
from tieline.wires.openadr31.messages import Event, Program

SWEEP_S = 30.0
"""Of the platform's clock; and no more often than"""
PAUSE_S = 0.5
"""of the wall, however fast that clock runs."""
log = structlog.get_logger(__name__)


class _Next(msgspec.Struct, frozen=True):
    """When the next report of an event is due after those that are judged, as long as event and program stay so."""

    event: Event
    program: Program | None
    after: datetime
    due_at: datetime | None


class Overdue:
    """One a process; several may look at once, each missing report is told by one of them."""

    def __init__(self, view: View, rows: Rows, clock: Clock, grace_s: float = GRACE_S) -> None:
        self._view = view
        self._rows = rows
        self._clock = clock
        self._grace = timedelta(seconds=grace_s)
        self._next: dict[str, _Next] = {}

    async def run(self) -> None:
        while True:
            await self.sweep()
            await asyncio.sleep(PAUSE_S)
            await self._clock.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Judge all that was due and has had its grace."""
        await self._view.load()
        until = self._clock.now() - self._grace
        asking = [event for event in self._view.events if event.report_descriptors]
        self._next = {event.id: self._next[event.id] for event in asking if event.id in self._next}
        for event in asking:
            try:
                await self._look(event, until)
            except TielineError as error:
                log.warning("reports are judged later", event_id=event.id, reason=str(error))
            except Exception as error:  # whatever is wrong with one event, the others go on
                log.error("reports cannot be judged", event_id=event.id, exc_info=error)

    async def _look(self, event: Event, until: datetime) -> None:
        program, known = self._view.programs.get(event.program_id), self._next.get(event.id)
        if known is None or known.event is not event or known.program is not program:
            after = await self._rows.read(lambda reader: tracking.judged_until(reader, event.id))
            known = _Next(event, program, after, expectations.next_due_at(event, program, after=after))
        if known.due_at is not None and known.due_at <= until:
            after = await self._judge(event, program, known.after, until)
            known = _Next(event, program, after, expectations.next_due_at(event, program, after=after))
        self._next[event.id] = known

    async def _judge(self, event: Event, program: Program | None, after: datetime, until: datetime) -> datetime:
        """The instant up to which all is judged."""
        dues = expectations.due(event, program, after=after, until=until)
        asked = await self._rows.read(lambda reader: tracking.asked(reader, event))
        for due_at, some in itertools.groupby(dues, key=lambda one: one.due_at):
            judge = partial(tracking.judge, event=event, dues=list(some), asked=asked)
            if missing := await self._rows.transaction(judge):
                metrics.REPORTS.labels(expectations.State.MISSING).inc(missing)
                log.warning("reports did not come", event_id=event.id, due_at=due_at, missing=missing)
        return dues[-1].due_at if dues else until
