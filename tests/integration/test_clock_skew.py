"""Devices whose clocks are minutes or hours off, through a real broker: their readings, and what is shown of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from tests.integration.floods import flooding
from tests.integration.test_presence import START, World
from tests.servers.devices import device_door
from tests.servers.rows import with_tables
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.series import Flag
from tieline.base.time import VirtualClock
from tieline.telemetry.batch import opened
from tieline.telemetry.intake import DEVICES, GROUP, SUBJECT, Intake
from tieline.telemetry.model import DeadLetter, Limits
from tieline.telemetry.presence.model import off_s
from tieline.telemetry.presence.mqtt import GROUP as PRESENT
from tieline.telemetry.presence.mqtt import SUBJECT as BEATS
from tieline.telemetry.presence.mqtt import Listener
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import METER, PRESENCE, Meter, Presence, Sample, topic

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Skewed(World):
    """With readings taken in beside presence."""

    def __init__(self, server: NatsServer, log: NatsLog, rows: SqliteRows, blobs: ObjectBlobs, clock: VirtualClock):
        super().__init__(server, log, rows, blobs, clock)
        self.flooding = flooding(log, rows, clock, blobs)

    @contextlib.asynccontextmanager
    async def taking(self) -> AsyncIterator[Listener]:
        async with self.listening() as listener:
            intake = Intake(self.log, self.rows, self.clock, Limits(), listener.heard, self.flooding)
            task = asyncio.create_task(intake.run())
            try:
                await self.clock.advance(31)  # from then on what it hears did not wait for it
                yield listener
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def say(self, device: aiomqtt.Client, off: timedelta) -> None:
        """A beat and a reading of now, by a clock that is so far off."""
        at = self.clock.now() + off
        beat = Presence(online=True, agent="test", at=at)
        await device.publish(topic(PRESENCE, "home-1"), encode(beat), qos=1)
        await device.publish(topic(METER, "home-1"), encode(Meter([Sample(at, 1.5)])), qos=1)

    async def said(self, subject: str) -> bytes:
        async with asyncio.timeout(90):
            async for entries in self.log.follow(subject, after=0):
                return entries[-1].data
        raise AssertionError


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Skewed]:
    clock = VirtualClock(START)
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows, device_door(nats_server):
        log = await NatsLog.open(connection)
        await log.prepare(BEATS, group=PRESENT)
        await log.prepare(DEVICES, group=GROUP)
        world = Skewed(nats_server, log, rows, ObjectBlobs.folder(tmp_path / "blobs"), clock)
        await world.register("home-1")
        yield world
    await connection.close()


@pytest.mark.parametrize("off", [3 * HOUR, 5 * MINUTE])
async def test_what_a_fast_clock_stamps_is_refused_and_how_far_it_is_off_is_shown(
    world: Skewed, off: timedelta
) -> None:
    async with world.taking(), world.device("home-1") as device:
        await world.say(device, off)
        standing = await world.until("home-1", lambda one: one.clock_off_s is not None)
        assert standing.clock_off_s == off.total_seconds()
        dead = msgspec.json.decode(await world.said("dead.>"), type=DeadLetter)
    assert (dead.ven_id, dead.reason) == ("home-1", "future stamp")
    assert "set the device's clock" in dead.detail


async def test_what_a_slow_clock_stamps_is_late_and_a_clock_set_right_is_seen_to_be(world: Skewed) -> None:
    async with world.taking(), world.device("home-1") as device:
        await world.say(device, -3 * HOUR)
        standing = await world.until("home-1", lambda one: one.clock_off_s is not None)
        assert standing.clock_off_s == -3 * 3600
        batch = opened(await world.said(SUBJECT))
        assert [Flag(flags) & Flag.LATE for flags in batch.flags] == [Flag.LATE]
        await world.say(device, timedelta(0))
        await world.until("home-1", lambda one: one.clock_off_s is None)


def test_a_clock_that_is_off_by_seconds_is_right() -> None:
    assert off_s(START + timedelta(seconds=9), START) is None
    assert off_s(START - timedelta(seconds=11), START) == -11.0
