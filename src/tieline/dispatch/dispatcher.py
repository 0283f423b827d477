"""The dispatcher: looks at what is open and takes each event the next step that its clock and its ledger ask for.

    each 0.2 s   begun? over? what was accepted is acted on; what is to be said is said; silence is escalated
    at once      when an event is published, changed or stopped, as the Log tells
    each minute  and when something stirs: what is delivered, against the target: called, or given back

It keeps nothing in memory that counts: whatever dies, the next look, here or in another process, goes on from the rows.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from tieline import metrics
from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.dispatch import actions, circles, reads
from tieline.dispatch.calling import as_command
from tieline.dispatch.holding import Look, look
from tieline.dispatch.measuring import held_lately
from tieline.dispatch.metered import HeldSpan, Metered
from tieline.dispatch.model import HELD, OPEN, Event, EventState, Policy, RowState, VenCall
from tieline.dispatch.outlook import Foreseen
from tieline.dispatch.returning import returns
from tieline.dispatch.told import Delivery
from tieline.ports import Log, Rows
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import COMMAND, topic

log = structlog.get_logger(__name__)

Speak = Callable[[Sequence[tuple[str, bytes]]], Awaitable[None]]
"""Say retained messages, (MQTT topic, payload); returns when the broker has all, raises `Unready` when it has not."""
Measure = Callable[[datetime, Sequence[HeldSpan]], Awaitable[Metered]]
"""What the loads draw, and what those that events held, or hold, would."""

Foresee = Callable[[Event, datetime], Awaitable[Sequence[Foreseen]]]
"""What is forecast that the loads could give up, of an event's intervals from an instant on."""

POLL_S = 0.2
CALM_S = 2.0
"""However much stirs, looks are so far apart."""
AT_ONCE = frozenset(f"news.event.{what}" for what in ("published", "updated", "cancelled"))
PORTION = 1000
"""VENs whose commands are entered together: these are being said while the next are entered."""


class Dispatcher:
    """Steps every unfinished event; `step` is safe to run in several processes at once."""

    def __init__(
        self, rows: Rows, clock: Clock, speak: Speak, measure: Measure, policy: Policy, foresee: Foresee | None = None
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._speak = speak
        self._measure = measure
        self._policy = policy
        self._foresee = foresee
        self._told_ahead: dict[str, datetime] = {}  # so as not to ask the rows again
        self._seen: dict[str, Delivery] = {}  # for the metrics
        self._told = asyncio.Event()
        self.quiet = asyncio.Event()
        """Unless commands are being entered and said."""
        self.quiet.set()

    async def run(self) -> None:
        """About five times a wall second, whatever the clock's rate, and when told: commands must go out within the
        second."""
        while True:
            self._told.clear()
            await self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._told.wait()

    async def listen(self, log: Log) -> None:
        """What is not heard is seen a little later."""
        async for entries in log.follow("news.event.*", after=None):
            if any(entry.subject in AT_ONCE for entry in entries):
                self._told.set()

    async def step(self) -> None:
        now = self._clock.now()
        events = await self._rows.read(lambda reader: reads.unfinished(reader, now))
        self._measure_up({event.event_id for event in events if event.state is EventState.ACTIVE})
        known = self._told_ahead
        self._told_ahead = {one.event_id: known[one.event_id] for one in events if one.event_id in known}
        for event in events:
            await _alone(self._advance(event), f"event {event.event_id}")

    async def _advance(self, event: Event) -> None:
        now = self._clock.now()
        if event.state in OPEN and now >= event.end_at:
            if event.started_at is None:
                await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
            await self._rows.transaction(lambda tx: actions.close(tx, event, EventState.ENDED, now))
        elif event.state in OPEN:
            if is_due(event, now, self._policy):
                await self._hold(event, now)
            elif event.planned_at is None and self._told_ahead.get(event.event_id) != event.modified_at:
                await self._look_ahead(event, now)
            if event.state is EventState.SCHEDULED and now >= event.start_at:
                await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
        await self._follow_up(event, now)

    async def _follow_up(self, event: Event, now: datetime) -> None:
        """What the states of the rows ask for."""
        counts = await self._rows.read(lambda reader: reads.counts(reader, event.event_id))
        if event.state is EventState.ACTIVE and counts.get(RowState.ACKED):
            await self._rows.transaction(lambda tx: actions.act(tx, event, now))
        if await self._rows.read(lambda reader: reads.leaves(reader, event.event_id, now)):
            await self._rows.transaction(lambda tx: actions.leave(tx, event, now))
        if event.state not in OPEN and any(counts.get(state) for state in HELD):
            await self._rows.transaction(lambda tx: actions.give_back(tx, event, now))
        await self._send(event, now)
        if counts.get(RowState.RESTORING):
            since = now - timedelta(seconds=self._policy.escalate_s)
            if escalated := await self._rows.transaction(lambda tx: actions.give_up(tx, event, since, now)):
                log.error("loads not given back", event_id=event.event_id, loads=escalated)

    async def _hold(self, event: Event, now: datetime) -> None:
        """Compare what is delivered with the target, and decide."""
        with metrics.LOOK_SECONDS.time():
            scene, metered, later = await asyncio.gather(
                circles.scene(self._rows, event, now), self._metered(now), self._foreseen(event, now)
            )
            found = look(event, scene.ledger, scene.circle, metered, self._policy, later)
        if await self._rows.transaction(lambda tx: actions.hold(tx, event, found)):
            self._tell(event, found)
        if event.returning_at is None and now >= event.end_at - timedelta(seconds=self._policy.lead_s):
            late = returns(event, scene.ledger, metered, self._policy, scene.rules.return_s)
            await self._rows.transaction(lambda tx: actions.put_off(tx, event, late, now))

    async def _metered(self, now: datetime) -> Metered:
        return await self._measure(now, await self._rows.read(lambda reader: held_lately(reader, now)))

    async def _look_ahead(self, event: Event, now: datetime) -> None:
        """Once, and again when the event was changed: what it can count on, long before anybody is chosen."""
        if later := await self._foreseen(event, now):
            metered = await self._metered(now)
            found = look(event, [], (await circles.scene(self._rows, event, now)).circle, metered, self._policy, later)
            await self._rows.transaction(lambda tx: actions.look_ahead(tx, event, found.ahead, now))
        self._told_ahead[event.event_id] = event.modified_at

    async def _foreseen(self, event: Event, now: datetime) -> Sequence[Foreseen]:
        """Of what begins later than loads are chosen; nothing where nobody forecasts, or its forecasts cannot be read:
        then what is metered must do."""
        if self._foresee is None or event.target_kw <= 0:
            return ()
        try:
            return await self._foresee(event, now + timedelta(seconds=self._policy.lead_s))
        except TielineError as error:
            log.warning("forecasts of headroom wait", event_id=event.event_id, reason=str(error))
            return ()

    async def _send(self, event: Event, now: datetime) -> None:
        """Portion by portion; nothing is said that has not been committed."""
        again = now - timedelta(seconds=self._policy.resend_s)
        vens = await self._rows.read(lambda reader: reads.unsettled_vens(reader, event.event_id, again))
        saying: list[asyncio.Future[None]] = []
        with self._telling():
            try:
                for first in range(0, len(vens), PORTION):
                    some = vens[first : first + PORTION]
                    calls = await self._rows.transaction(
                        partial(actions.send, event=event, vens=(some[0], some[-1]), now=now, again=again)
                    )
                    saying.append(asyncio.ensure_future(self._say(calls)))
            finally:  # whatever fails, all of it is said before anything newer is
                said = await asyncio.gather(*saying, return_exceptions=True)
        for failed in said:
            if failed is not None:
                raise failed

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        self.quiet.clear()
        try:
            yield
        finally:
            self.quiet.set()

    def _measure_up(self, active: Collection[str]) -> None:
        self._seen = {event_id: seen for event_id, seen in self._seen.items() if event_id in active}
        metrics.DISPATCH_DELIVERED.set(sum(seen.delivered_kw for seen in self._seen.values()))
        short = (max(0.0, seen.target_kw - seen.delivered_kw) for seen in self._seen.values())
        metrics.DISPATCH_SHORTFALL.set(sum(short))

    def _tell(self, event: Event, found: Look) -> None:
        seen = self._seen[event.event_id] = found.seen
        log.debug(
            "looked",
            event_id=event.event_id,
            target_kw=round(seen.target_kw, 1),
            delivered_kw=round(seen.delivered_kw, 1),
            expected_kw=round(seen.expected_kw, 1),
            headroom_kw=round(seen.headroom_kw, 1),
            called=len(found.decision.called),
            released=len(found.decision.released),
        )

    async def _say(self, calls: Sequence[VenCall]) -> None:
        for op, count in Counter(call.op for call in calls).items():
            metrics.COMMANDS.labels(op).inc(count)
        await self._speak([(topic(COMMAND, call.ven_id), encode(as_command(call))) for call in calls])


async def _alone(doing: Awaitable[object], what: str) -> None:
    """Whatever is wrong with one event, the others go on."""
    try:
        await doing
    except TielineError as error:
        log.warning("dispatch waits", what=what, reason=str(error))
    except Exception as error:
        log.error("dispatch fails", what=what, exc_info=error)


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
