"""The dispatcher: looks at what is open and takes each event the next step that its clock and its ledger ask for.

It keeps nothing in memory: whatever dies, the next look, here or in another process, goes on from the rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from tieline import metrics
from tieline.base.errors import TielineError
from tieline.base.time import Clock
from tieline.dispatch import actions, reads
from tieline.dispatch.model import OPEN, Event, EventState, LedgerRow, Policy, RowState, command_id
from tieline.dispatch.planning import Headroom
from tieline.ports import Rows
from tieline.wires.mqtt.messages import COMMAND, Command, Limit, Op, topic

log = structlog.get_logger(__name__)

Speak = Callable[[str, bytes], Awaitable[None]]
"""Say a retained message on an MQTT topic; returns when the broker has it, raises `Unready` when it has not."""
Measure = Callable[[datetime, Collection[str]], Awaitable[Sequence[Headroom]]]
"""What the online fleet, or that part of it which was granted one of these targets, could give up, as metered."""

RESTORE_VALID = timedelta(days=7)
"""A restore is never refused for its age: a VEN that comes back days later must still give back."""


class Dispatcher:
    """Steps every unfinished event; `step` is safe to run in several processes at once."""

    def __init__(self, rows: Rows, clock: Clock, speak: Speak, measure: Measure, policy: Policy) -> None:
        self._rows = rows
        self._clock = clock
        self._speak = speak
        self._measure = measure
        self._policy = policy

    async def run(self) -> None:
        """A look about five times a wall second, whatever the clock's rate: commands must go out within the second."""
        while True:
            await self.step()
            await asyncio.sleep(0.2)

    async def step(self) -> None:
        now = self._clock.now()
        for event in await self._rows.read(lambda reader: reads.unfinished(reader, now)):
            try:
                await self._advance(event)
            except TielineError as error:
                log.warning("event waits", event_id=event.event_id, reason=str(error))
            except Exception as error:  # whatever is wrong with one event, the others go on
                log.error("event fails", event_id=event.event_id, exc_info=error)

    async def _advance(self, event: Event) -> None:
        now, policy = self._clock.now(), self._policy
        if event.state in OPEN and now >= event.end_at:
            if event.started_at is None:
                await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
            await self._rows.transaction(lambda tx: actions.close(tx, event, EventState.ENDED, now))
        elif event.state in OPEN:
            await self._call(event, now)
        ledger = await self._rows.read(lambda reader: reads.ledger_of(reader, event.event_id))
        await self._send(event, ledger, now)
        silent = [
            row
            for row in ledger
            if row.state is RowState.RESTORING and _older(row.restoring_at, now, policy.escalate_s)
        ]
        if silent:
            declined = {row.ven_id for row in silent if row.answer not in (None, "accepted")}
            vens = {row.ven_id for row in silent} - declined
            log.error("loads not given back", event_id=event.event_id, vens=sorted(vens))
            await self._rows.transaction(lambda tx: actions.give_up(tx, event, vens, declined, now))

    async def _call(self, event: Event, now: datetime) -> None:
        policy = self._policy
        due = event.target_kw > 0 and now >= event.start_at - timedelta(seconds=policy.lead_s)
        if event.planned_at is None and due:
            headroom = await self._measure(now, event.request.targets or ())
            await self._rows.transaction(lambda tx: actions.choose(tx, event, headroom, now, policy.reserve))
        elif (
            event.planned_at is not None and event.replanned_at is None and _older(event.planned_at, now, policy.ack_s)
        ):
            headroom = await self._measure(now, event.request.targets or ())
            await self._rows.transaction(lambda tx: actions.choose_again(tx, event, headroom, now))
        if event.state is EventState.SCHEDULED and now >= event.start_at:
            await self._rows.transaction(lambda tx: actions.begin(tx, event, now))
        elif event.state is EventState.ACTIVE:
            ledger = await self._rows.read(lambda reader: reads.ledger_of(reader, event.event_id))
            if vens := {row.ven_id for row in ledger if row.state is RowState.ACKED}:
                await self._rows.transaction(lambda tx: actions.act(tx, event, vens, now))

    async def _send(self, event: Event, ledger: Sequence[LedgerRow], now: datetime) -> None:
        again = now - timedelta(seconds=self._policy.resend_s)
        if not actions.due(ledger, again):
            return
        rows = await self._rows.transaction(lambda tx: actions.send(tx, event, now, again))
        restores = {row.ven_id: row.sent_at or now for row in rows if row.state is RowState.RESTORING}
        calls = {row.ven_id for row in rows if row.state is RowState.SENT} - restores.keys()
        metrics.COMMANDS.labels(Op.RESTORE).inc(len(restores))
        metrics.COMMANDS.labels(Op.EVENT).inc(len(calls))
        commands = [(ven, _restore(event, ven, sent_at, now)) for ven, sent_at in sorted(restores.items())]
        await self._say(commands + [(ven, _event(event, ven, rows)) for ven in sorted(calls)])

    async def _say(self, commands: Iterable[tuple[str, Command]]) -> None:
        spoken = [self._speak(topic(COMMAND, ven_id), msgspec.json.encode(command)) for ven_id, command in commands]
        failed = [one for one in await asyncio.gather(*spoken, return_exceptions=True) if one is not None]
        if failed:
            raise failed[0]


def _older(at: datetime | None, now: datetime, seconds: float) -> bool:
    return at is not None and now - at >= timedelta(seconds=seconds)


def _event(event: Event, ven_id: str, ledger: Iterable[LedgerRow]) -> Command:
    """The same, however often it is said: it was issued when it was first sent."""
    rows = [row for row in ledger if row.ven_id == ven_id and row.state is RowState.SENT]
    return Command(
        command_id=command_id(event.event_id, ven_id, Op.EVENT),
        op=Op.EVENT,
        event_id=event.event_id,
        issued_at=min(row.sent_at for row in rows if row.sent_at),
        expires_at=event.end_at,
        start_at=event.start_at,
        end_at=event.end_at,
        limits=[Limit(row.resource_id, 0.0) for row in rows],
    )


def _restore(event: Event, ven_id: str, sent_at: datetime, now: datetime) -> Command:
    """Always issued after what it takes back, even where a clock was turned back in between."""
    return Command(
        command_id=command_id(event.event_id, ven_id, Op.RESTORE),
        op=Op.RESTORE,
        event_id=event.event_id,
        issued_at=max(now, sent_at + timedelta(milliseconds=1)),
        expires_at=now + RESTORE_VALID,
    )
