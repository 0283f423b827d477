"""Twins on a real server: the platform's part with its doors, and devices at the MQTT door."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.integration.floods import flooding
from tests.servers.devices import device_door, secret
from tests.servers.nats import free_port
from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.documents import NatsDocuments
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.part import Part
from tieline.base.time import VirtualClock
from tieline.ports import Entry
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.registry.twins import mqtt, part
from tieline.wires.mqtt import codec
from tieline.wires.mqtt.messages import DESIRED, PRESENCE, TWIN, Presence, TwinDelta, TwinReport, topic

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
TWINS = "/v1/vens/home-1/twins"
MINE = f"{TWINS}/classic"


class World:
    """`part` is the platform's; `said` is what its door tells devices, `refused` what it kept of refused messages."""

    def __init__(self, server: NatsServer, log: NatsLog, rows: SqliteRows, documents: NatsDocuments) -> None:
        self.server, self.log, self.rows, self.documents = server, log, rows, documents
        self.clock = VirtualClock(NOW)
        self.refused: list[tuple[str, str, str, bytes]] = []
        self.flooding = flooding(log, rows, self.clock)

    def part(self, publisher: MqttPublisher) -> Part:
        return part.part(
            self.log,
            self.rows,
            self.documents,
            self.clock,
            publisher.publish,
            self._refuse,
            lambda entry: entry.said_at,
            self.flooding,
        )

    async def _refuse(self, entry: Entry, ven_id: str, reason: str, detail: str) -> None:
        self.refused.append((ven_id, reason, detail, entry.data))

    async def register(self, *ven_ids: str) -> None:
        for ven_id in ven_ids:
            site = NewSite(f"at-{ven_id}", "Site", "Europe/Lisbon")
            await registry.register_ven(self.rows, self.clock, NewVen(ven_id, ven_id, site=site))

    def door(self, served: Part) -> httpx.AsyncClient:
        app: Any = Litestar(
            served.routes,  # type: ignore[arg-type]
            dependencies={"rows": Provide(lambda: self.rows, sync_to_thread=False)},
            exception_handlers={**doors.PROBLEMS},
            middleware=[doors.Conditional],
            openapi_config=None,
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")

    @asynccontextmanager
    async def device(self, ven_id: str) -> AsyncIterator["Device"]:
        host, port = self.server.mqtt_host, self.server.mqtt_port
        async with aiomqtt.Client(host, port, identifier=ven_id, username=ven_id, password=secret(ven_id)) as client:
            await client.subscribe(topic(DESIRED, ven_id), qos=0)
            yield Device(ven_id, client)


class Device:
    """A device that says what it is told to say."""

    def __init__(self, ven_id: str, client: aiomqtt.Client) -> None:
        self.ven_id = ven_id
        self._client = client

    async def report(self, reported: dict[str, Any] | None = None, *, packed: bool = False, **more: Any) -> None:
        await self.say(TWIN, codec.encode(TwinReport(reported=reported, **more), packed=packed))

    async def beat(self, *, online: bool = True) -> None:
        await self.say(PRESENCE, codec.encode(Presence(online)))

    async def say(self, kind: str, data: bytes) -> None:
        await self._client.publish(topic(kind, self.ven_id), data, qos=1)

    async def told(self) -> TwinDelta:
        """The next that it is told."""
        async with asyncio.timeout(90):
            message = await anext(aiter(self._client.messages))
            assert not message.retain
            return codec.decode(bytes(message.payload), TwinDelta)


@asynccontextmanager
async def working(served: Part, *names: str) -> AsyncIterator[None]:
    """The part's tasks, or those of these names, until the block ends."""
    tasks = [asyncio.ensure_future(one.run()) for one in served.tasks if not names or one.name in names]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(done, asyncio.CancelledError), done


async def change(door: httpx.AsyncClient, change: dict[str, Any], place: str = MINE) -> dict[str, Any]:
    answer = await door.patch(place, json=change)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.02)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        server = NatsServer(tmp_path / "nats", mqtt_port=free_port())
        await server.start()
        stack.push_async_callback(server.stop)
        await stack.enter_async_context(device_door(server))
        connection = await connect([server.url], user=server.user, password=server.password)
        stack.push_async_callback(connection.close)
        log, documents = await NatsLog.open(connection), await NatsDocuments.open(connection)
        for subject in mqtt.SUBJECTS:
            await log.prepare(subject, group=mqtt.GROUP)
        clock = VirtualClock(NOW)
        rows = await stack.enter_async_context(SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock))
        yield World(server, log, rows, documents)


@pytest.fixture
async def publisher(world: World) -> AsyncIterator[MqttPublisher]:
    server = world.server
    async with MqttPublisher(
        server.mqtt_host, server.mqtt_port, user=server.user, password=server.password
    ) as publisher:
        yield publisher


__all__ = ["Device", "World", "change", "publisher", "until", "working", "world"]
