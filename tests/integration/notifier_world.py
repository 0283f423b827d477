"""The notifier on real rows and a real broker: programs, events, VENs and subscriptions made as the doors make them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiomqtt
import msgspec
import sqlalchemy as sa

from tests.servers.nats import free_port
from tests.servers.rows import AnyRows, rows_at
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.outbox import Outbox
from tieline.base.errors import Unready
from tieline.base.time import RatedClock, VirtualClock
from tieline.dispatch import publishing
from tieline.ports import Transaction
from tieline.registry import openadr as registry
from tieline.vtn import progress, subscriptions
from tieline.vtn.mqtt import MQTT, Publish, Topics
from tieline.vtn.notifier import WEBHOOKS, Notifier, Webhooks, writes
from tieline.vtn.notifiers import TopicReaders
from tieline.vtn.view import View
from tieline.vtn.webhooks.store import body, delivery
from tieline.wires.openadr31 import messages as m
from tieline.wires.openadr31.change import SUBJECTS
from tieline.wires.openadr31.messages import ObjectType, Operation

T = TypeVar("T")
EVERYTHING = m.ObjectOperation(
    objects=tuple(ObjectType), operations=tuple(Operation), callback_url="https://home.example/hook"
)


class Queued(msgspec.Struct, frozen=True):
    """A delivery that waits in the queue."""

    subscription_id: str
    callback_url: str
    object_id: str
    told: Any

    @property
    def operation(self) -> str:
        return str(self.told["operation"])


class Office:
    """One platform's gateway, without its doors."""

    def __init__(self, server: NatsServer, log: NatsLog, rows: AnyRows, publisher: MqttPublisher) -> None:
        self.server, self.log, self.rows, self.publisher = server, log, rows, publisher
        self.clock = VirtualClock(datetime(2026, 7, 15, 17, tzinfo=UTC))
        self.view = View(log, rows)
        self.readers = TopicReaders(rows)
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def notifier(self, publish: Publish | None = None) -> Notifier:
        """Of a process of its own."""
        calls = Webhooks(self.log, self.rows, self.clock, self.wake, writes(self.view))
        topics = Topics(self.log, self.rows, self.clock, publish or self.publisher.publish)
        return Notifier(self.rows, calls, topics)

    async def pass_time(self) -> None:
        """Twenty seconds a second, and none before the rows answer: a busy machine too renews a claim in time."""
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(Unready):
                await self.rows.transaction(lambda _: None)
            await self.clock.advance(1)

    @contextlib.asynccontextmanager
    async def telling(self, *publishes: Publish | None) -> AsyncIterator[None]:
        """While so many processes tell."""
        tasks = [asyncio.create_task(self.notifier(one).run()) for one in publishes or [None]]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def told(self, *names: str) -> None:
        """Until all that is on the Log has been told."""
        async with asyncio.timeout(90):
            await Outbox(self.rows, self.log).relay()
            last = await self.log.last(SUBJECTS)
            assert last is not None
            for name in names or (WEBHOOKS, MQTT):
                while await self.rows.read(partial(progress.position, name=name)) < last.position:
                    await asyncio.sleep(0.02)

    async def queue(self, subscription_id: str | None = None) -> list[Queued]:
        query = sa.select(delivery, body.c.data).join(body, body.c.digest == delivery.c.digest).order_by(delivery.c.seq)
        rows = await self.rows.read(lambda reader: list(reader.execute(query)))
        found = [Queued(r.subscription_id, r.callback_url, r.object_id, msgspec.json.decode(r.data)) for r in rows]
        return [one for one in found if subscription_id in (None, one.subscription_id)]

    # --- what clients do ----------------------------------------------------------------------------------------------

    async def do(self, work: Callable[[Transaction, datetime], T]) -> T:
        now = self.clock.now()
        return await self.rows.transaction(lambda tx: work(tx, now))

    async def program(self, name: str, *targets: str) -> str:
        request = m.ProgramRequest(program_name=name, targets=targets or None)
        return (await self.do(lambda tx, now: publishing.create_program(tx, request, now))).program_id

    async def event(self, program_id: str, *targets: str, name: str = "one") -> str:
        request = an_event(program_id, *targets, name=name)
        return (await self.do(lambda tx, now: publishing.create_event(tx, request, now))).event_id

    async def update_event(self, event_id: str, program_id: str, *targets: str, name: str) -> None:
        request = an_event(program_id, *targets, name=name)
        await self.do(lambda tx, now: publishing.update_event(tx, event_id, request, now))

    async def delete_event(self, event_id: str) -> None:
        await self.do(lambda tx, now: publishing.delete_event(tx, event_id, now))

    async def ven(self, client_id: str, *targets: str) -> str:
        request = m.BlVenRequest(client_id=client_id, ven_name=f"home of {client_id}", targets=targets or None)
        ven = await self.do(lambda tx, now: registry.create_ven(tx, request, "UTC", now, named=True))
        return ven.id

    async def subscribe(
        self,
        client_id: str,
        wish: m.ObjectOperation = EVERYTHING,
        *,
        business: bool = False,
        dialect: str = "3.1.0",
        **more: Any,
    ) -> str:
        request = m.SubscriptionRequest(client_name=client_id, object_operations=(wish,), **more)
        made = await self.do(
            lambda tx, now: subscriptions.create(tx, request, client_id, now, business=business, dialect=dialect)
        )
        return made.id

    @contextlib.asynccontextmanager
    async def listening(self, topic: str = "openadr3/#") -> AsyncIterator[Callable[..., Any]]:
        """What is published below; call with how many messages to wait for, and about which object."""
        async with aiomqtt.Client(
            self.server.mqtt_host,
            self.server.mqtt_port,
            username=self.server.user,
            password=self.server.password,
            identifier="tieline-test",
            timeout=60,
        ) as client:
            await client.subscribe(topic, qos=1)

            async def heard(count: int, about: str | None = None) -> list[tuple[str, Any]]:
                found: list[tuple[str, Any]] = []
                async with asyncio.timeout(90):
                    while len(found) < count:
                        message = await anext(aiter(client.messages))
                        assert not message.retain
                        assert isinstance(message.payload, bytes)
                        told = msgspec.json.decode(message.payload)
                        if about in (None, told["object"]["id"]):
                            found.append((str(message.topic), told))
                return found

            yield heard


def an_event(program_id: str, *targets: str, name: str = "one") -> m.EventRequest:
    price = m.ValuesMap(type="PRICE", values=(0.17,))
    return m.EventRequest(
        program_id=program_id,
        event_name=name,
        targets=targets or None,
        interval_period=m.IntervalPeriod(start="2026-07-16T17:00:00Z", duration="PT1H"),
        intervals=(m.Interval(id=0, payloads=(price,)),),
    )


@contextlib.asynccontextmanager
async def opened(folder: Path, tables: str) -> AsyncIterator[Office]:
    server = NatsServer(folder / "nats", mqtt_port=free_port())
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    try:
        publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)
        async with publisher, rows_at(tables, RatedClock()) as rows:
            office = Office(server, await NatsLog.open(connection), rows, publisher)
            await office.view.load()
            passing = asyncio.create_task(office.pass_time())
            try:
                yield office
            finally:
                passing.cancel()
                await asyncio.gather(passing, return_exceptions=True)
    finally:
        await connection.close()
        await server.stop()
