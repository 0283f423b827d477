"""The MQTT door for tests: a nats-server as the settings have it, its callout, and who may come to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from aiomqtt.exceptions import MqttConnectError
from nats.aio.client import Client

from tests.integration.identity_world import World
from tests.servers.nats import free_port
from tests.servers.rows import with_tables
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.configuration import SYSTEM_USER
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.nats.sessions import Sessions
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.app.door import Door
from tieline.base.access import Caller
from tieline.base.time import RatedClock, VirtualClock
from tieline.identity import actions, authority, mqtt
from tieline.identity.authority import Authority, Issued
from tieline.identity.model import Denied
from tieline.identity.scopes import Role
from tieline.ports import Transaction
from tieline.settings import Settings
from tieline.ven import tls
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.messages import ObjectType, Operation

DAY, OVER, BRIEF = timedelta(days=1), timedelta(seconds=-60), timedelta(seconds=4)
CERTIFIED: dict[str, Any] = {"mqtt_tls": True, "mqtt_auth": "certificate"}


class Authorities:
    """The platform's own, the same where what it issues has expired or soon does, and another's."""

    def __init__(self, folder: Path) -> None:
        self.own, self.expired, self.brief = asyncio.run(self._opened(folder / "own.sqlite", DAY, OVER, BRIEF))
        (self.other,) = asyncio.run(self._opened(folder / "other.sqlite", DAY))

    async def _opened(self, path: Path, *lasts: timedelta) -> list[Authority]:
        clock = RatedClock()
        async with SqliteRows(with_tables(path), clock) as rows:
            return [await authority.opened(rows, clock, "passphrase", one) for one in lasts]


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Made once: to seal their keys takes its time, on purpose."""
    return Authorities(tmp_path_factory.mktemp("authorities"))


class Broker:
    """The server as the settings have it, who may come to it, and what it refused."""

    def __init__(self, world: World, server: NatsServer, door: Door, publisher: MqttPublisher, ca: Authority) -> None:
        self.world, self.server, self.door, self.publisher, self.ca = world, server, door, publisher, ca
        self.secrets: dict[str, str] = {}
        self.denied: list[tuple[str, Denied]] = []
        self.violations: list[str] = []
        self.line: Client

    def note(self, caller: Caller, why: Denied) -> None:
        self.denied.append((caller.proof.name if caller.proof else caller.user, why))

    async def violated(self, text: str) -> str:
        """The line of the server's log that says so."""
        async with asyncio.timeout(90):
            while not (found := [line for line in self.violations if text in line]):
                await asyncio.sleep(0.05)
        return found[0]

    async def answers(self) -> None:
        """Until whoever comes is answered, after a crash."""
        async with asyncio.timeout(90):
            while not self.line.is_connected:
                await asyncio.sleep(0.02)
            await self.line.flush()

    @contextlib.asynccontextmanager
    async def log(self) -> AsyncIterator[NatsLog]:
        line = await connect([self.server.url], user=self.server.user, password=self.server.password)
        try:
            yield await NatsLog.open(line)
        finally:
            await line.close()

    @contextlib.asynccontextmanager
    async def sessions(self) -> AsyncIterator[Sessions]:
        line = await connect([self.server.url], user=SYSTEM_USER, password=self.server.system_password)
        try:
            yield Sessions(line)
        finally:
            await line.close()

    async def prepare(self) -> None:
        for name, role in (("bl", Role.BL), ("ven-a", Role.VEN), ("ven-b", Role.VEN), ("home-2", Role.VEN)):
            self.secrets[name] = await self.world.add(name, role)
        for name in ("home-1", "home-2"):
            self.secrets[f"device {name}"] = await self.world.rows.transaction(partial(self._issue, name))

    def _issue(self, name: str, tx: Transaction) -> str:
        return actions.issue(tx, name, self.world.clock.now())

    def trusting(self) -> ssl.SSLContext:
        return tls.context(self.door.trusted)

    def showing(self, issued: Issued) -> ssl.SSLContext:
        return tls.context(self.door.trusted, issued.certificate, issued.key)

    def shown(self, name: str, purpose: str = "") -> ssl.SSLContext:
        return self.showing(self.ca.for_client(name, purpose))

    def client(
        self, context: ssl.SSLContext | None, user: str | None = None, password: str | None = None, mqtt_id: str = "x"
    ) -> aiomqtt.Client:
        where = self.server.mqtt_host, self.server.mqtt_port
        return aiomqtt.Client(
            *where, username=user, password=password, identifier=mqtt_id, tls_context=context, timeout=60
        )

    async def shakes_hands(self, context: ssl.SSLContext, name: str) -> str | None:
        """The version of TLS, if the client believes that the server is called so."""
        where = self.server.mqtt_host, self.server.mqtt_port
        try:
            _, writer = await asyncio.open_connection(*where, ssl=context, server_hostname=name)
        except ssl.SSLCertVerificationError:
            return None
        told: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.close()
        return told.version()

    async def alert(self, context: ssl.SSLContext) -> str:
        """With which the server ends the handshake. It is heard afterwards: in TLS 1.3 the client is done before."""
        where = self.server.mqtt_host, self.server.mqtt_port
        async with asyncio.timeout(90):
            reader, writer = await asyncio.open_connection(*where, ssl=context)
            with pytest.raises(ssl.SSLError) as told:
                await reader.read()
        writer.close()
        return told.value.reason

    async def takes(self, *how: Any, **more: Any) -> bool:
        try:
            async with self.client(*how, **more):
                return True
        except MqttConnectError:
            return False


@contextlib.asynccontextmanager
async def opened(folder: Path, authorities: Authorities, **chosen: Any) -> AsyncIterator[Broker]:
    clock = VirtualClock(RatedClock().now())
    settings = Settings(development=True, **chosen)
    door = Door(settings, clock, authorities.own)
    violations: list[str] = []
    server = NatsServer(folder / "nats", mqtt_port=free_port(), tls=door.served(), on_violation=violations.append)
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    own = door.context if settings.mqtt_tls else None
    publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password, tls=own)
    try:
        async with publisher, SqliteRows(with_tables(folder / "rows.sqlite"), clock) as rows:
            broker = Broker(World(rows, clock), server, door, publisher, authorities.own)
            broker.violations, broker.line = violations, connection
            await broker.prepare()
            decide = mqtt.decide(settings.mqtt_auth, rows, clock, broker.world.verifier, broker.note)
            callout = AuthCallout(connection, decide, issuer_seed=server.issuer_seed)
            await callout.start()
            try:
                yield broker
            finally:
                await callout.stop()
    finally:
        await connection.close()
        await server.stop()


def created(place: str) -> str:
    return topics.topic(topics.objects(place, ObjectType.EVENT), Operation.CREATE)


async def hears(client: aiomqtt.Client, topic: str) -> bool:
    codes = await client.subscribe(topic, qos=0)
    return [code if isinstance(code, int) else code.value for code in codes] != [0x80]  # SUBACK: failure


async def heard(client: aiomqtt.Client) -> tuple[str, object]:
    async with asyncio.timeout(90):
        message = await anext(aiter(client.messages))
    return str(message.topic), message.payload
