"""The agent at a load: follows its events at a VTN, knows what holds and what comes next, and reports.

    poll · MQTT · webhook ──▶ ask the VTN ──▶ memory, on disk ──▶ what holds now and next ──▶ on_change
                                                   │  ▲ a restart, be it without a connection
    report, opt_out, what events ask for ──▶ unsent, on disk ──▶ the VTN, when it is there, once

Notifications are only hints: what holds is what the VTN answers. Cut off, the agent goes on by what it remembers.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tieline.base.errors import TielineError
from tieline.base.time import Clock, RatedClock
from tieline.ven.openadr import enrolment, reporting
from tieline.ven.openadr.callbacks import Callbacks, Webhook
from tieline.ven.openadr.client import VtnClient
from tieline.ven.openadr.enrolment import is_over
from tieline.ven.openadr.memory import Memory
from tieline.ven.openadr.reporter import LONGEST_PAUSE_S, LONGEST_REST_S, Reporter
from tieline.ven.openadr.reporting import Source
from tieline.ven.openadr.waiting import within
from tieline.ven.openadr.watch import MqttWatch
from tieline.wires.openadr31.messages import Event, Program, ReportRequest, Resource, ValuesMap, Ven
from tieline.wires.openadr31.timeline import Held, Outlook, lifespan, now_and_next
from tieline.wires.openadr31.vocabulary import AGGREGATED_REPORT

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
KEPT_AFTER = timedelta(days=1)
"""An event that is over is remembered so long, for the reports that it asks for."""

OnChange = Callable[[Mapping[str, Outlook]], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent follows and how it hears of it.

    `programs` are the names of those it follows, all it may see when there are none; `resources` are made where they
    are not there. `targets` are only for a VTN that shows what has targets to who asks for them. `poll_s` is how often
    it asks, by chance up to a tenth off; hints by MQTT or webhook are followed within `spread_s`, by chance, so that a
    fleet does not ask at once.
    """

    programs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    poll_s: float = 60.0
    spread_s: float = 1.0
    mqtt: bool = False
    webhook: Webhook | None = None
    most_unsent: int = 1000


class VenAgent:
    """Whose memory it is, that VEN it is. `run` it; it knows what holds and takes reports before that, too.

    `on_change` is told what holds now and next, by payload type, each time that changes; it runs in the event loop and
    must not block. `source` has the values that events ask for. `trouble` says why the VTN is not heard, if it is not.
    """

    def __init__(
        self,
        vtn: VtnClient,
        memory: Memory,
        plan: Plan,
        on_change: OnChange = lambda _: None,
        *,
        source: Source | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.trouble = "not yet asked"
        self._vtn = vtn
        self._memory = memory
        self._plan = plan
        self._on_change = on_change
        self._clock = clock or RatedClock()
        self._reporter = Reporter(vtn, memory, self._clock, source, plan.most_unsent)
        self._watch = MqttWatch(vtn, self._hint, ven_id=self._ven_id, program_ids=lambda: memory.state.programs)
        self._hinted = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_enrolled = False
        self._subscription_id: str | None = None

    # --- what holds ---------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """That it knows of; of those over, the ones of the last day."""
        return list(self._memory.state.events.values())

    def now_and_next(self) -> dict[str, Outlook]:
        """By payload type. Events that it opted out of hold nothing."""
        state = self._memory.state
        events = [one for one in state.events.values() if one.id not in state.opted_out]
        draws = {one.id: state.draw(one.id) for one in events}
        return now_and_next(state.programs.values(), events, self._clock.now(), draws)

    # --- reports ------------------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """How many reports the VTN does not have yet."""
        return len(self._reporter.unsent)

    async def send(self, report: ReportRequest) -> None:
        """On disk when this returns; with the VTN, once, when it is there."""
        await self._reporter.unsent.put(report)

    async def report(
        self,
        event: Event,
        *payloads: ValuesMap,
        resource_name: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        report_name: str | None = None,
    ) -> None:
        """One interval from now on, unless told otherwise; of the VEN's only resource, or of all together."""
        names = self._reporter.resource_names
        await self.send(
            reporting.single(
                event,
                self._memory.state.ven_name,
                payloads,
                resource_name=resource_name or (names[0] if len(names) == 1 else AGGREGATED_REPORT),
                start=start or self._clock.now(),
                end=end,
                report_name=report_name,
            )
        )

    async def opt_out(self, event: Event, reason: str, *, running: bool = True) -> None:
        """Take no part in an event, and say so; `running` while the resources draw power all the same."""
        await self._reporter.opt_out(event, reason, running=running)
        self._changed.set()

    # --- the life of it -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Raises as the client does while the VTN has never been heard; who has heard it goes on."""
        async with contextlib.AsyncExitStack() as open_:
            if webhook := self._plan.webhook:
                await open_.enter_async_context(Callbacks(webhook, self._memory.state.bearer, self._hint).listening())
            if self._memory.state.told_at is None:
                await self._sync()
            else:
                self._hint()
            tasks = await open_.enter_async_context(asyncio.TaskGroup())
            for run in (self._follow, self._tell, self._reporter.send_all, self._reporter.answer_all):
                tasks.create_task(run())
            if self._plan.mqtt:
                tasks.create_task(self._watch.run())

    async def _follow(self) -> None:
        """Ask again and again; less often while it is in vain."""
        failures = 0
        while True:
            await self._rest(failures)
            self._hinted.clear()
            try:
                await self._sync()
                failures = 0
            except TielineError as error:
                self._note(error)
                failures += 1

    async def _rest(self, failures: int) -> None:
        chance = random.random()  # noqa: S311  spreads a fleet, no secret
        if failures:
            pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_S)
            await self._clock.sleep(pause_s * (0.5 + chance))
        elif await within(self._clock, self._hinted, self._plan.poll_s * (0.9 + chance / 5)):
            await self._clock.sleep(self._plan.spread_s * chance)

    async def _tell(self) -> None:
        """Whenever what holds becomes another: by news, or by time."""
        told: Mapping[str, Outlook] | None = None
        while True:
            self._changed.clear()
            now, outlooks = self._clock.now(), self.now_and_next()
            if outlooks != told:
                told = outlooks
                self._on_change(outlooks)
            await within(self._clock, self._changed, _until_turn(outlooks, now))

    # --- asking the VTN -----------------------------------------------------------------------------------------------

    async def _sync(self) -> None:
        """Make what is remembered what the VTN says. Raises as the client does."""
        plan, state, now = self._plan, self._memory.state, self._clock.now()
        ven, resources = await self._enrolled()
        programs = await enrolment.programs(self._vtn, plan.programs, plan.targets, state.programs)
        found = await enrolment.events(self._vtn, programs, plan.targets, state.events, now, every=not plan.programs)
        past = {one.id: one for one in state.events.values() if is_over(one, programs.get(one.program_id), now)}
        events = {one.id: one for one in (past | found).values() if _is_of_use(one, programs, now)}
        known = (state.ven, state.resources, state.programs, state.events)
        if news := (ven, resources, programs, events) != known or state.told_at is None:
            state.ven, state.resources, state.programs, state.events = ven, resources, programs, events
            self._forget_what_is_gone(now)
        self._is_enrolled = True
        try:
            await self._memory.save()
        finally:  # a disk that is full is no reason not to act
            if news:
                self._changed.set()
                self._reporter.look_again()
        await self._subscribe()
        if self.trouble:
            log.info("%s hears its VTN", state.ven_name)
        self.trouble = ""

    async def _enrolled(self) -> tuple[Ven | None, dict[str, Resource]]:
        """Itself and its resources, once a run; who has no credentials is nobody to the VTN."""
        state = self._memory.state
        if self._is_enrolled or self._vtn.connection.client_id is None:
            return state.ven, state.resources
        ven = await enrolment.ven(self._vtn, state.ven_name)
        return ven, await enrolment.resources(self._vtn, ven.id, self._plan.resources)

    def _forget_what_is_gone(self, now: datetime) -> None:
        """With an event goes what is remembered of it."""
        state = self._memory.state
        state.told_at = now
        state.opted_out = state.opted_out & state.events.keys()
        state.answered = {asker: one for asker, one in state.answered.items() if asker.split()[0] in state.events}
        if missing := set(self._plan.programs) - {one.program_name for one in state.programs.values()}:
            log.warning("there is no program %s to be seen yet", ", ".join(sorted(missing)))

    async def _subscribe(self) -> None:
        """Polls go on whether this succeeds or not."""
        webhook, state = self._plan.webhook, self._memory.state
        if webhook is None:
            return
        try:
            if self._subscription_id:
                await self._vtn.subscriptions.get(self._subscription_id)
            else:
                kept = enrolment.subscription(self._vtn, state.ven_name, webhook.url, state.bearer)
                self._subscription_id = await kept
        except TielineError as error:
            self._subscription_id = None
            log.warning("no notifications by webhook: %s", error)

    def _hint(self) -> None:
        self._hinted.set()

    def _ven_id(self) -> str | None:
        return self._memory.state.ven.id if self._memory.state.ven else None

    def _note(self, error: TielineError) -> None:
        if str(error) != self.trouble:
            log.warning("%s goes on by what it knows: %s", self._memory.state.ven_name, error)
        self.trouble = str(error)


def _is_of_use(event: Event, programs: Mapping[str, Program], now: datetime) -> bool:
    program = programs.get(event.program_id)
    _, end = lifespan(event, program, event.created_date_time)
    return program is not None and (end is None or now < end + KEPT_AFTER)


def _until_turn(outlooks: Mapping[str, Outlook], now: datetime) -> float:
    """Seconds until what holds becomes another, as far as can be seen; an hour at most."""
    held = [one for outlook in outlooks.values() for one in outlook if one]
    turns = [at for one in held for at in _edges(one) if at > now]
    return min((min(turns, default=datetime.max.replace(tzinfo=now.tzinfo)) - now).total_seconds(), LONGEST_REST_S)


def _edges(held: Held) -> Sequence[datetime]:
    return (held.start, held.end) if held.end else (held.start,)
