"""A platform that commands VENs directly: rows, a real broker with its callout, the door, and VENs at the load."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec
from litestar import Litestar
from litestar.di import Provide

from tests.integration.floods import flooding
from tests.servers.devices import device_door, secret
from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock
from tieline.dispatch import mqtt
from tieline.dispatch.commands.model import CommandState, DirectCommand
from tieline.dispatch.commands.routes import ROUTES
from tieline.dispatch.commands.sender import Sender
from tieline.dispatch.model import Policy
from tieline.dispatch.routes import ROUTES as EVENTS
from tieline.ports import Rows
from tieline.registry import actions as registry
from tieline.registry import openadr
from tieline.registry.model import Kind, NewResource, NewSite, NewVen
from tieline.telemetry.model import DeadLetter
from tieline.ven.control import Control
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import ACK, Command

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
RESEND_S = 30.0


class Home:
    """A VEN at the load: its session and control, what it was told, and whether it answers."""

    def __init__(self, server: NatsServer, ven_id: str, clock: VirtualClock) -> None:
        self.control = Control(["boiler"], {"beat_s": 60.0}, state=lambda: {"meter_kw": 1.5})
        self.session = Session(
            ven_id, secret(ven_id), host=server.mqtt_host, port=server.mqtt_port, on_command=self._hear
        )
        self.heard: list[Command] = []
        self.silent = False
        self._clock = clock

    def _hear(self, command: Command) -> None:
        self.heard.append(command)
        if not self.silent:
            self.answer(command)

    def answer(self, command: Command) -> None:
        self.session.send(ACK, self.control.take(command, self._clock.now()))


class World:
    def __init__(self, server: NatsServer, log: NatsLog, rows: Rows, publisher: MqttPublisher, folder: Path) -> None:
        self.server, self.log, self.rows, self.clock = server, log, rows, VirtualClock(NOW)
        self.sender = Sender(rows, self.clock, publisher.publish, RESEND_S)
        self.answers = mqtt.Answers(
            log, rows, self.clock, Policy(), flooding(log, rows, self.clock, ObjectBlobs.folder(folder))
        )

    async def register(self, *ven_ids: str) -> None:
        loads = [
            NewResource("boiler", "Boiler", Kind.WATER_HEATER, 3.0, sheddable=True),
            NewResource("oven", "Oven", Kind.RANGE, 8.0),
        ]
        for ven_id in ven_ids:
            site = NewSite(f"site-{ven_id}", ven_id, "UTC")
            await registry.register_ven(self.rows, self.clock, NewVen(ven_id, ven_id, site=site, resources=loads))

    async def retire(self, ven_id: str) -> None:
        now = self.clock.now()
        await self.rows.transaction(lambda tx: openadr.delete_ven(tx, ven_id, now))

    def app(self) -> Litestar:
        def given(port: object) -> Provide:
            return Provide(lambda: port, sync_to_thread=False)

        provided = {"rows": given(self.rows), "clock": given(self.clock)}
        return Litestar([*ROUTES, *EVENTS], dependencies=provided, exception_handlers=doors.PROBLEMS)

    def door(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app())  # type: ignore[arg-type]  # Litestar names its scopes more narrowly
        return httpx.AsyncClient(transport=transport, base_url="http://tieline")

    async def ask(self, ven_id: str, **new: Any) -> DirectCommand:
        async with self.door() as door:
            answer = await door.post(f"/v1/vens/{ven_id}/commands", json=new)
        assert answer.status_code == 201, answer.text
        return msgspec.json.decode(answer.content, type=DirectCommand)

    async def shown(self, command_id: str) -> DirectCommand:
        async with self.door() as door:
            answer = await door.get(f"/v1/commands/{command_id}")
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=DirectCommand)

    async def settled(self, command_id: str, *states: CommandState) -> DirectCommand:
        """The command, once it is in one of these states; in any but `sent` where none are named."""
        wanted = states or tuple(state for state in CommandState if state is not CommandState.SENT)
        while (found := await self.shown(command_id)).state not in wanted:
            await asyncio.sleep(0.02)
        return found

    async def dead(self, count: int) -> list[DeadLetter]:
        """The first so many that were refused."""
        found: list[DeadLetter] = []
        async for entries in self.log.follow("dead.>", after=0):
            found += [msgspec.json.decode(entry.data, type=DeadLetter) for entry in entries]
            if len(found) >= count:
                break
        return found

    @contextlib.asynccontextmanager
    async def home(self, ven_id: str) -> AsyncIterator[Home]:
        """Registered, and connected until the block ends."""
        await self.register(ven_id)
        home = Home(self.server, ven_id, self.clock)
        async with running(home.session.run):
            await home.session.connected.wait()
            yield home

    def device(self, ven_id: str) -> aiomqtt.Client:
        """Any program that knows the VEN's secret."""
        where = self.server.mqtt_host, self.server.mqtt_port
        return aiomqtt.Client(*where, identifier=ven_id, username=ven_id, password=secret(ven_id))


@contextlib.asynccontextmanager
async def running(run: Callable[[], Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(90):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def opened(server: NatsServer, folder: Path, rows: Rows | None = None) -> AsyncIterator[World]:
    connection = await connect([server.url], user=server.user, password=server.password)
    log = await NatsLog.open(connection)
    publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)
    try:
        async with (
            device_door(server),
            publisher,
            SqliteRows(with_tables(folder / "rows.sqlite"), VirtualClock(NOW)) as own,
        ):
            await log.prepare(mqtt.SUBJECT, group=mqtt.GROUP)
            world = World(server, log, rows or own, publisher, folder / "blobs")
            async with running(world.answers.run):
                yield world
    finally:
        await connection.close()
