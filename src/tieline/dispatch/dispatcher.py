"""The dispatcher: looks at what is open and takes each event the next step that its clock and its ledger ask for.

    each 0.2 s   begun? over? what was accepted is acted on; what is to be said is said; silence is escalated
    each minute  and when something stirs: what is delivered, against the target: called, or given back

It keeps nothing in memory that counts: whatever dies, the next look, here or in another process, goes on from the rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from tieline import metrics
from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.dispatch import actions, circles, reads
from tieline.dispatch.calling import as_command
from tieline.dispatch.holding import Look, look
from tieline.dispatch.measuring import PAYBACK, REMEMBERED, HeldSpan
from tieline.dispatch.metered import Metered
from tieline.dispatch.model import HELD, OPEN, Event, EventState, Policy, RowState
from tieline.dispatch.returning import returns
from tieline.ports import Reader, Rows
from tieline.wires.mqtt.messages import COMMAND, Command, topic

log = structlog.get_logger(__name__)

Speak = Callable[[str, bytes], Awaitable[None]]
"""Say a retained message on an MQTT topic; returns when the broker has it, raises `Unready` when it has not."""
Measure = Callable[[datetime, Sequence[HeldSpan]], Awaitable[Metered]]
"""What the loads draw, and what those that events held, or hold, would."""

CALM_S = 2.0
"""However much stirs, looks are so far apart."""


class Dispatcher:
    """Steps every unfinished event; `step` is safe to run in several processes at once."""

    def __init__(self, rows: Rows, clock: Clock, speak: Speak, measure: Measure, policy: Policy) -> None:
        self._rows = rows
        self._clock = clock
        self._speak = speak
        self._measure = measure
        self._policy = policy
        self._seen: dict[str, Look] = {}  # for the metrics

    async def run(self) -> None:
        """About five times a wall second, whatever the clock's rate: commands must go out within the second."""
        while True:
            await self.step()
            await asyncio.sleep(0.2)

    async def step(self) -> None:
        now = self._clock.now()
        events = await self._rows.read(lambda reader: reads.unfinished(reader, now))
        self._measure_up({event.event_id for event in events if event.state is EventState.ACTIVE})
        for event in events:
            try:
                await self._advance(event)
            except TielineError as error:
                log.warning("event waits", event_id=event.event_id, reason=str(error))
            except Exception as error:  # whatever is wrong with one event, the others go on
                log.error("event fails", event_id=event.event_id, exc_info=error)

    async def _advance(self, event: Event) -> None:
        now = self._clock.now()
        if event.state in OPEN and now >= event.end_at:
            if event.started_at is None:
                await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
            await self._rows.transaction(lambda tx: actions.close(tx, event, EventState.ENDED, now))
        elif event.state in OPEN:
            if is_due(event, now, self._policy):
                await self._hold(event, now)
            if event.state is EventState.SCHEDULED and now >= event.start_at:
                await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
        await self._follow_up(event, now)

    async def _follow_up(self, event: Event, now: datetime) -> None:
        """What the states of the rows ask for."""
        counts = await self._rows.read(lambda reader: reads.counts(reader, event.event_id))
        if event.state is EventState.ACTIVE and counts.get(RowState.ACKED):
            await self._rows.transaction(lambda tx: actions.act(tx, event, now))
        if event.state not in OPEN and any(counts.get(state) for state in HELD):
            await self._rows.transaction(lambda tx: actions.give_back(tx, event, now))
        await self._send(event, now)
        if counts.get(RowState.RESTORING):
            since = now - timedelta(seconds=self._policy.escalate_s)
            if escalated := await self._rows.transaction(lambda tx: actions.give_up(tx, event, since, now)):
                log.error("loads not given back", event_id=event.event_id, loads=escalated)

    async def _hold(self, event: Event, now: datetime) -> None:
        """Compare what is delivered with the target, and decide."""
        scene = await circles.scene(self._rows, event, now)
        since = now - REMEMBERED - PAYBACK
        held = await self._rows.read(lambda reader: reads.held_since(reader, since))
        with metrics.LOOK_SECONDS.time():
            metered = await self._measure(now, [HeldSpan(*one) for one in held])
            found = look(event, scene.ledger, scene.circle, metered, self._policy)
        if await self._rows.transaction(lambda tx: actions.hold(tx, event, found)):
            self._tell(event, found)
        if event.returning_at is None and now >= event.end_at - timedelta(seconds=self._policy.lead_s):
            late = returns(event, scene.ledger, metered, self._policy, scene.rules.return_s)
            await self._rows.transaction(lambda tx: actions.put_off(tx, event, late, now))

    async def _send(self, event: Event, now: datetime) -> None:
        if not await self._rows.read(lambda reader: self._is_unsettled(reader, event)):
            return
        again = now - timedelta(seconds=self._policy.resend_s)
        calls = await self._rows.transaction(lambda tx: actions.send(tx, event, now, again))
        for call in calls:
            metrics.COMMANDS.labels(call.op).inc()
        await self._say((call.ven_id, as_command(call)) for call in calls)

    def _measure_up(self, active: Collection[str]) -> None:
        self._seen = {event_id: found for event_id, found in self._seen.items() if event_id in active}
        metrics.DISPATCH_DELIVERED.set(sum(found.delivered_kw for found in self._seen.values()))
        short = (max(0.0, found.target_kw - found.delivered_kw) for found in self._seen.values())
        metrics.DISPATCH_SHORTFALL.set(sum(short))

    def _tell(self, event: Event, found: Look) -> None:
        self._seen[event.event_id] = found
        log.info(
            "looked",
            event_id=event.event_id,
            target_kw=round(found.target_kw, 1),
            delivered_kw=round(found.delivered_kw, 1),
            expected_kw=round(found.expected_kw, 1),
            headroom_kw=round(found.headroom_kw, 1),
            called=len(found.decision.called),
            released=len(found.decision.released),
        )

    @staticmethod
    def _is_unsettled(reader: Reader, event: Event) -> bool:
        return bool(reads.unsettled_vens(reader, event.event_id))

    async def _say(self, commands: Iterable[tuple[str, Command]]) -> None:
        spoken = [self._speak(topic(COMMAND, ven_id), msgspec.json.encode(command)) for ven_id, command in commands]
        failed = [one for one in await asyncio.gather(*spoken, return_exceptions=True) if one is not None]
        if failed:
            raise failed[0]


def is_due(event: Event, now: datetime, policy: Policy) -> bool:
    """Whether it is time to look: first a while before the start; then each minute, when the target turns, before the
    end, and when something stirred."""
    if event.target_kw <= 0 or now < event.start_at - timedelta(seconds=policy.lead_s):
        return False
    if event.looked_at is None:
        return True
    turns = [one.from_at for one in event.levels] + [event.end_at - timedelta(seconds=policy.lead_s)]
    if any(event.looked_at < turn <= now for turn in turns):
        return True
    every = policy.look_s if now >= event.start_at else policy.look_s / 2
    if (now - event.start_at) // timedelta(seconds=every) > (event.looked_at - event.start_at) // timedelta(
        seconds=every
    ):
        return True
    stirred = event.stirred_at is not None and event.stirred_at >= event.looked_at
    return stirred and now - event.looked_at >= timedelta(seconds=CALM_S)
