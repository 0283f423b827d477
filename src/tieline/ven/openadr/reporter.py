"""The agent's reports: what it says of itself, what events ask it to tell, and that the VTN gets it."""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import datetime

from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.ven.openadr import reporting
from tieline.ven.openadr.client import VtnClient
from tieline.ven.openadr.memory import Memory
from tieline.ven.openadr.reporting import Source
from tieline.ven.openadr.unsent import Unsent
from tieline.ven.openadr.waiting import within
from tieline.wires.openadr31.duties import Duties, Duty
from tieline.wires.openadr31.messages import Event, ReportDescriptor
from tieline.wires.openadr31.vocabulary import AGGREGATED_REPORT

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
AGAIN_S = 60.0
LONGEST_REST_S = 3600.0


class Reporter:
    """Run `send_all` and `answer_all` in tasks; `look_again` when the events it remembers have changed."""

    def __init__(self, vtn: VtnClient, memory: Memory, clock: Clock, source: Source | None, most_unsent: int) -> None:
        self.unsent = Unsent(memory.folder / "unsent", most_unsent)
        self._vtn = vtn
        self._memory = memory
        self._clock = clock
        self._source = source
        self._asked = asyncio.Event()

    @property
    def resource_names(self) -> list[str]:
        """Those of the VEN; their sum where it has none."""
        names = [one.resource_name for one in self._memory.state.resources.values()]
        return names or [AGGREGATED_REPORT]

    async def opt_out(self, event: Event, reason: str, *, running: bool) -> None:
        state, now = self._memory.state, self._clock.now()
        told = reporting.opt_out(event, state.ven_name, self.resource_names, reason, now, running=running)
        await self.unsent.put(told)
        state.opted_out = state.opted_out | {event.id}
        await self._memory.save()

    def look_again(self) -> None:
        self._asked.set()

    async def send_all(self) -> None:
        """Whatever there is, whenever there is a VTN."""
        pause = FIRST_PAUSE_S
        while True:
            await self.unsent.some()
            try:
                await self.unsent.send(self._vtn)
                pause = FIRST_PAUSE_S
            except TielineError as error:
                log.info("%d reports wait: %s", len(self.unsent), error)
                await self._clock.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  spreads a fleet's return
                pause = min(pause * 2, LONGEST_PAUSE_S)

    async def answer_all(self) -> None:
        """What events ask for, when it is due."""
        while self._source:
            self._asked.clear()
            try:
                rest_s = await self._answer_due(self._source)
            except TielineError as error:
                log.warning("what events ask for is not told yet: %s", error)
                rest_s = AGAIN_S
            await within(self._clock, self._asked, rest_s)

    async def _answer_due(self, source: Source) -> float:
        """Seconds until there is more to do."""
        now, state = self._clock.now(), self._memory.state
        rest_s = LONGEST_REST_S
        for event in list(state.events.values()):
            for number, descriptor in enumerate(event.report_descriptors or ()):
                asker = f"{event.id} {number}"
                duty, next_at = self._due(event, descriptor, state.answered.get(asker, -1), now)
                if duty and not await self._answered(source, event, descriptor, duty):
                    rest_s = min(rest_s, AGAIN_S)
                elif duty:
                    state.answered[asker] = duty.number
                    await self._memory.save()
                if next_at:
                    rest_s = min(rest_s, (next_at - now).total_seconds())
        return rest_s

    def _due(
        self, event: Event, descriptor: ReportDescriptor, done: int, now: datetime
    ) -> tuple[Duty | None, datetime | None]:
        state = self._memory.state
        draw = state.draw(event.id)
        return Duties(event, descriptor, state.programs.get(event.program_id), draw=draw).due(now, done)

    async def _answered(self, source: Source, event: Event, descriptor: ReportDescriptor, duty: Duty) -> bool:
        """Whether that is done with, be it that there was nothing to tell."""
        state = self._memory.state
        names: Sequence[str] = reporting.wanted(descriptor, state.ven, state.resources.values())
        try:
            report = await reporting.answer(source, event, descriptor, duty, names, state.ven_name)
        except Exception:  # the meter's trouble, whatever it is, must not end the agent
            log.exception("no values for %s of event %s: tried again", descriptor.payload_type, event.id)
            return False
        if report:
            await self.unsent.put(report)
        return True
