"""Tells of every change on the Log: by webhook through the queue that delivers them, by MQTT on the broker.

    Log ─▶ audience ─▶ notices.calls    ─▶ queue and position in one transaction ─▶ courier
      └──▶ audience ─▶ notices.messages ─▶ broker (`mqtt`) ─▶ position

Two loops, so that a broker that is away holds up no webhook. Each goes through the Log in order, and what is told of
one object leaves in that order, whichever process does it (`progress`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import structlog

from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.identity import reads as identity
from tieline.ports import Log, Reader, Rows, Transaction
from tieline.vtn import notices, progress, subscriptions
from tieline.vtn.audience import Audience
from tieline.vtn.mqtt import MQTT, Topics
from tieline.vtn.openadr31 import OPENADR_31
from tieline.vtn.openadr301 import OPENADR_301
from tieline.vtn.progress import Said, begin, gently, said
from tieline.vtn.view import View
from tieline.vtn.webhooks import actions as webhooks
from tieline.vtn.webhooks.model import NewDelivery
from tieline.wires.openadr31.change import SUBJECTS, Change
from tieline.wires.openadr31.messages import (
    Notification,
    Object,
    ObjectType,
    Operation,
    Report,
    encode,
    object_type,
)
from tieline.wires.openadr301 import to301

WEBHOOKS = "webhooks"
MOST = 5000
"""Deliveries in one transaction, but for those of a last change."""

Write: TypeAlias = Callable[[Notification, str | None], bytes | None]
"""The body of a notification in a version of OpenADR, given the program it belongs to; None where that has no words."""

log = structlog.get_logger(__name__)


class Notifier:
    """Keeps both loops going. Starting again begins with Rows: nothing is trusted that was in memory."""

    def __init__(self, rows: Rows, calls: "Webhooks", topics: Topics) -> None:
        self._rows = rows
        self._calls = calls
        self._topics = topics

    async def run(self) -> None:
        audience, called, published = await self._rows.read(_begin)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._calls.run(audience, called))
            group.create_task(self._topics.run(audience, published))


def _begin(reader: Reader) -> tuple[Audience, int, int]:
    """The audience, and positions that it has not fallen behind."""
    audience = Audience()
    audience.load(reader)
    return audience, progress.position(reader, WEBHOOKS), progress.position(reader, MQTT)


# --- webhooks ---------------------------------------------------------------------------------------------------------


class Webhooks:
    """`wake` tells the courier that something was enqueued; the clock is the courier's, the wall's."""

    def __init__(
        self, entries: Log, rows: Rows, clock: Clock, wake: Callable[[], None], writes: Mapping[str, Write]
    ) -> None:
        self._log = entries
        self._rows = rows
        self._clock = clock
        self._wake = wake
        self._writes = writes
        self._revision = 0

    async def run(self, audience: Audience, after: int) -> None:
        self._revision = 0
        start = await begin(self._log, self._rows, WEBHOOKS, after)
        async for entries in self._log.follow(SUBJECTS, after=start):
            heard: Sequence[Said] = said(entries)
            await self._look(audience, heard)
            while heard:
                heard = await self._tell_some(audience, heard)

    async def _look(self, audience: Audience, heard: Sequence[Said]) -> None:
        """What the Log does not say: how subscriptions are to be told, and which clients were shut out."""
        ids = {one.change.object_id for one in heard if one.change.object_type is ObjectType.SUBSCRIPTION}
        if ids:
            found = await self._rows.read(lambda reader: subscriptions.listeners(reader, ids))
            for id_ in ids:
                audience.leave(id_)
            for listener in found:
                audience.listen(listener)
        for one in await identity.changed(self._rows, self._revision):
            audience.revoke(one.client_id, revoked=one.revoked_at is not None)
            self._revision = one.revision

    async def _tell_some(self, audience: Audience, heard: Sequence[Said]) -> Sequence[Said]:
        """Enqueue what the first of them are to whom, and what is left of them."""
        new: list[tuple[int, NewDelivery]] = []
        count = 0
        while count < len(heard) and len(new) < MOST:
            one = heard[count]
            audience.apply(one.change)
            new += await gently((one.position, delivery) for delivery in self._deliveries(audience, one))
            count += 1
        last, now = heard[count - 1], self._clock.now()
        gone = [one.change.object_id for one in heard[:count] if _ends_subscription(one.change)]

        def enqueue(tx: Transaction) -> None:
            told = progress.position(tx, WEBHOOKS)  # another process may have been quicker
            webhooks.enqueue(tx, [delivery for position, delivery in new if position > told], now)
            for subscription_id in gone:  # what came before its end may have been enqueued after it
                webhooks.forget(tx, subscription_id)
            progress.advance(tx, WEBHOOKS, last.position, said_at=last.said_at)

        await self._rows.transaction(enqueue)
        if new:
            self._wake()
        return heard[count:]

    def _deliveries(self, audience: Audience, one: Said) -> Iterable[NewDelivery]:
        written: dict[object, bytes | None] = {}
        for call in notices.calls(one.change, audience):
            told, dialect = call.notification, call.listener.dialect
            key = (dialect, told.operation, told.targets)  # of one change, what is shown differs by no more
            if key not in written:
                written[key] = self._writes[dialect](told, one.change.program_id)
            if (body := written[key]) is not None:
                id_ = call.listener.subscription.id
                change = f"{one.position}-{one.change.at:%Y%m%dT%H%M%S%f}"  # positions begin anew with a new broker
                yield NewDelivery(change, id_, call.callback_url, one.change.object_id, body)


def _ends_subscription(change: Change) -> bool:
    return change.object_type is ObjectType.SUBSCRIPTION and change.operation is Operation.DELETE


def writes(view: View) -> dict[str, Write]:
    """By version. 3.0.1 shows a VEN with its resources: those of the view."""

    def in_301(told: Notification, program_id: str | None) -> bytes | None:
        thing = OPENADR_301.show(told.object, view, program_id)
        return None if thing is None else encode(to301.notification(told, thing))

    return {OPENADR_31.version: lambda told, _: encode(told), OPENADR_301.version: in_301}


# --- reading ----------------------------------------------------------------------------------------------------------


class Readings:
    """Says on the Log that an object was read, where some subscription wants to know: a `routes.Notice`."""

    def __init__(self, entries: Log, view: View, clock: Clock) -> None:
        self._log = entries
        self._view = view
        self._clock = clock
        self._wanted: frozenset[ObjectType] = frozenset()
        self._version = -1

    async def __call__(self, thing: Object) -> None:
        """As it was shown to who read it. That nobody can be told of it fails no reading."""
        kind = object_type(thing)
        if kind not in self._kinds():
            return
        whole = thing if kind is ObjectType.REPORT else self._view.shelf(kind).get(thing.id)
        program_id = self._program(thing) if isinstance(thing, Report) else None
        change = Change.of(Operation.READ, whole or thing, self._clock.now(), program_id=program_id)
        try:
            await self._log.say(change.subject, change.encoded())
        except Unready as error:
            log.warning("a reading is not told", object_id=thing.id, reason=str(error))

    def _kinds(self) -> frozenset[ObjectType]:
        """Of which readings are wanted: found anew when a subscription has changed, since it is asked at every poll."""
        shelf = self._view.subscriptions
        if self._version != shelf.version:
            wishes = [wish for one in shelf for wish in one.object_operations if Operation.READ in wish.operations]
            self._wanted = frozenset(kind for wish in wishes for kind in wish.objects)
            self._version = shelf.version
        return self._wanted

    def _program(self, report: Report) -> str | None:
        event = self._view.events.get(report.event_id)
        return event.program_id if event else None
