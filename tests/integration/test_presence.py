"""Presence through a real broker: beats, last wills of connections that break, restarts, two processes, many VENs."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
import sqlalchemy as sa

from tests.integration.floods import flooding
from tests.servers.devices import device_door, secret
from tests.servers.rows import with_tables
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.telemetry.presence import reads
from tieline.telemetry.presence.model import Cause, Policy, Standing, State
from tieline.telemetry.presence.mqtt import GROUP, SUBJECT, Listener
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import LOADS, PRESENCE, Loads, Presence, topic

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
BEAT = encode(Presence(online=True, beat_s=60, agent="test 1"))
GONE = encode(Presence(online=False))


class World:
    """A platform's listeners on one broker, and its devices."""

    def __init__(self, server: NatsServer, log: NatsLog, rows: SqliteRows, blobs: ObjectBlobs, clock: VirtualClock):
        self.server, self.log, self.rows, self.blobs, self.clock = server, log, rows, blobs, clock

    def listener(self) -> Listener:
        told = flooding(self.log, self.rows, self.clock, self.blobs)
        return Listener(self.log, self.rows, self.clock, Policy(), told)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        listener = self.listener()
        task = asyncio.create_task(listener.run())
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def register(self, *ven_ids: str) -> None:
        for ven_id in ven_ids:
            await registry.register_ven(
                self.rows, self.clock, NewVen(ven_id, ven_id, site=NewSite(f"site-{ven_id}", ven_id, "UTC"))
            )

    def device(self, ven_id: str) -> aiomqtt.Client:
        will = aiomqtt.Will(topic(PRESENCE, ven_id), GONE, qos=1)
        where = self.server.mqtt_host, self.server.mqtt_port
        return aiomqtt.Client(*where, username=ven_id, password=secret(ven_id), identifier=ven_id, will=will)

    async def standing(self, ven_id: str) -> Standing | None:
        return (await self.rows.read(reads.standings)).get(ven_id)

    async def until(self, ven_id: str, wanted: Callable[[Standing], Any]) -> Standing:
        async with asyncio.timeout(90):
            while (found := await self.standing(ven_id)) is None or not wanted(found):
                await asyncio.sleep(0.05)
        return found

    async def taken(self, ven_id: str, *listeners: Listener) -> None:
        """Until what it said just now is written, or remembered by one of them."""
        now = self.clock.now()
        async with asyncio.timeout(90):
            while True:
                found = await self.standing(ven_id)
                remembered = [one._unwritten[ven_id].at for one in listeners if ven_id in one._unwritten]
                if now in [*remembered, found and found.heard_at]:
                    return
                await asyncio.sleep(0.02)

    async def after(self, seconds: float, listener: Listener) -> None:
        """Seconds later, as a tick finds it."""
        await self.clock.advance(seconds)
        await listener.tick()

    async def news(self) -> list[tuple[str, str]]:
        query = sa.select(OUTBOX.c.subject, OUTBOX.c.data).order_by(OUTBOX.c.id)
        said = await self.rows.read(lambda reader: reader.execute(query).all())
        return [
            (one.subject.removeprefix("news.device."), msgspec.json.decode(one.data)["cause"])
            for one in said
            if one.subject.startswith("news.device.")
        ]


def cut(client: aiomqtt.Client) -> None:
    """As when a cable is pulled: the connection ends without a word of MQTT."""
    sock = client._client.socket()
    assert isinstance(sock, socket.socket)
    sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    clock = VirtualClock(START)
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows, device_door(nats_server):
        log = await NatsLog.open(connection)
        await log.prepare(SUBJECT, group=GROUP)
        world = World(nats_server, log, rows, ObjectBlobs.folder(tmp_path / "blobs"), clock)
        await world.register("home-1")
        yield world
    await connection.close()


async def test_a_ven_comes_is_late_and_is_back(world: World) -> None:
    async with world.listening() as listener, world.device("home-1") as device:
        assert await world.standing("home-1") is None
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        came = await world.until("home-1", lambda one: one.state is State.ONLINE)
        assert (came.since_at, came.beat_s, came.agent) == (START, 60, "test 1")
        await world.after(120, listener)
        assert (await world.until("home-1", lambda one: one.state is State.LATE)).cause is Cause.SILENCE
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        await world.until("home-1", lambda one: one.state is State.ONLINE)
    assert await world.news() == [("online", "heard"), ("late", "silence"), ("online", "heard")]
    found = await reads.changes(world.rows, "home-1")
    assert [one.state for one in found] == [State.ONLINE, State.LATE, State.ONLINE]
    assert [one.id for one in await reads.changes(world.rows, "home-1", before=found[0].id, limit=1)] == [found[1].id]


async def test_a_connection_that_breaks_is_a_will_then_a_grace_then_an_absence(world: World) -> None:
    async with world.listening() as listener:
        with contextlib.suppress(aiomqtt.MqttError):
            async with world.device("home-1") as device:
                await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
                await world.until("home-1", lambda one: one.state is State.ONLINE)
                cut(device)
                going = await world.until("home-1", lambda one: one.gone_at)
                assert going.state is State.ONLINE
        await world.after(29, listener)
        assert (await world.until("home-1", bool)).state is State.ONLINE
        await world.after(1, listener)
        gone = await world.until("home-1", lambda one: one.state is State.OFFLINE)
        assert gone.cause is Cause.WILL
        async with world.device("home-1") as device:
            await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
            await world.until("home-1", lambda one: one.state is State.ONLINE)


async def test_a_ven_that_connects_again_at_once_was_never_gone(world: World) -> None:
    async with world.listening() as listener:
        for _ in range(2):
            with contextlib.suppress(aiomqtt.MqttError):
                async with world.device("home-1") as device:
                    await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
                    await world.until("home-1", lambda one: one.gone_at is None)
                    cut(device)
                    await world.until("home-1", lambda one: one.gone_at)
            await world.clock.advance(10)
        async with world.device("home-1") as device:
            await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
            await world.until("home-1", lambda one: one.gone_at is None)
            await world.after(60, listener)
    assert await world.news() == [("online", "heard")]


async def test_one_lost_beat_is_no_absence_and_readings_tell_as_well(world: World) -> None:
    async with world.listening() as listener, world.device("home-1") as device:
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        await world.until("home-1", lambda one: one.state is State.ONLINE)
        await world.log.prepare("mqtt.ven.loads.*", group="test")
        work = world.log.work("mqtt.ven.loads.*", group="test")
        for _ in range(5):  # beats are lost, what its loads draw comes
            await world.clock.advance(60)
            await device.publish(topic(LOADS, "home-1"), encode(Loads(world.clock.now(), [])), qos=1)
            delivery = await anext(work)
            for entry in delivery.entries:
                listener.heard(entry)
            await delivery.done()
            await listener.tick()
        assert (await world.until("home-1", bool)).heard_at == world.clock.now()
    assert await world.news() == [("online", "heard")]


async def test_beats_that_say_nothing_new_are_written_once_a_beat(world: World) -> None:
    async with world.listening() as listener, world.device("home-1") as device:
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        await world.until("home-1", lambda one: one.state is State.ONLINE)
        await world.clock.advance(20)
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        await world.taken("home-1", listener)
        await listener.tick()
        assert (await world.until("home-1", bool)).heard_at == START
        await world.after(40, listener)
        assert (await world.until("home-1", bool)).heard_at > START


async def test_a_platform_that_was_away_takes_nobody_for_gone(world: World) -> None:
    async with world.listening(), world.device("home-1") as device:
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        await world.until("home-1", lambda one: one.state is State.ONLINE)
    await world.clock.advance(3600)
    async with world.listening() as again:
        await world.until("home-1", bool)
        await again.tick()
        assert (await world.until("home-1", bool)).state is State.ONLINE
        await world.after(100, again)
        assert (await world.until("home-1", bool)).state is State.LATE
        await world.after(100, again)
        assert (await world.until("home-1", bool)).state is State.OFFLINE


async def test_what_one_process_heard_the_other_does_not_take_for_silence(world: World) -> None:
    """Between two beats each process writes what it heard before another could miss it."""
    async with world.listening() as one, world.listening() as other, world.device("home-1") as device:
        for _ in range(12):
            await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
            await world.taken("home-1", one, other)
            for _ in range(12):
                await world.clock.advance(5)
                await one.tick()
                await other.tick()
    assert await world.news() == [("online", "heard")]


async def test_the_will_is_heard_by_one_process_and_the_next_beat_by_another(world: World) -> None:
    async with world.listening() as one:
        async with world.device("home-1") as device:
            await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
            await world.until("home-1", lambda found: found.state is State.ONLINE)
        other = world.listener()
        other._learn((await world.rows.read(reads.standings)).values())  # before the will
    async with world.device("home-1") as device:
        await device.publish(topic(PRESENCE, "home-1"), GONE, qos=1)
        async for delivery in world.log.work(SUBJECT, group=GROUP):
            await one.take(delivery)
            break
        await device.publish(topic(PRESENCE, "home-1"), BEAT, qos=1)
        async for delivery in world.log.work(SUBJECT, group=GROUP):
            await other.take(delivery)
            break
    assert (await world.until("home-1", bool)).gone_at is not None
    await world.clock.advance(5)
    await other.tick()
    await world.after(60, one)
    assert (await world.until("home-1", bool)).state is State.ONLINE


async def test_nonsense_and_strangers_are_dead_letters_and_stop_nobody(world: World) -> None:
    letters = world.log.follow("dead.mqtt", after=0)
    async with world.listening(), world.device("home-1") as device, world.device("stranger") as other:
        await other.publish(topic(PRESENCE, "stranger"), BEAT, qos=1)
        await device.publish(topic(PRESENCE, "home-1"), b'{"online": "perhaps"}', qos=1)
        await device.publish(topic(PRESENCE, "home-1"), encode(Presence(online=True), packed=True), qos=1)
        assert (await world.until("home-1", bool)).beat_s == 60
        found = [msgspec.json.decode(entry.data) for entry in await anext(letters)]
        while len(found) < 2:
            found += [msgspec.json.decode(entry.data) for entry in await anext(letters)]
    assert sorted((one["ven_id"], one["reason"]) for one in found) == [
        ("home-1", "malformed"),
        ("stranger", "unknown VEN"),
    ]
    assert await world.standing("stranger") is None
