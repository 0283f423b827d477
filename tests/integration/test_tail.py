"""The tail over a real Log and a real Series: rebuilt from the Log, sealed with its position, stopped by nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.base.series import Flag
from tieline.ports import Series
from tieline.telemetry.model import Batch
from tieline.telemetry.tail import WRITER, Tail

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
NAME = "home-1.power_kw"


@pytest.fixture
async def log(nats_server: NatsServer) -> AsyncIterator[NatsLog]:
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    yield await NatsLog.open(connection)
    await connection.close()


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[DeltaSeries]:
    one = DeltaSeries.in_folder(tmp_path / "series")
    yield one
    await one.close()


@contextlib.asynccontextmanager
async def running(log: NatsLog, series: Series, *, seals: bool = True) -> AsyncIterator[Tail]:
    tail = Tail(log, series, seals=seals, seal_seconds=3600)
    task = asyncio.create_task(tail.run())
    try:
        yield tail
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def batch(minute: int, value: float) -> bytes:
    one = Batch(NOW)
    one.add(one.named(NAME), NOW + timedelta(minutes=minute), value, Flag.GOOD, minute)
    return msgspec.msgpack.encode(one)


async def values(series: Series) -> list[float]:
    found = await series.scan([NAME], NOW, NOW + timedelta(days=1))
    return [float(value) for value in found["value"].to_numpy()]


async def until(series: Series, wanted: list[float]) -> None:
    async with asyncio.timeout(90):
        while await values(series) != wanted:
            await asyncio.sleep(0.05)


async def test_what_is_said_is_read_at_once_and_after_a_seal(log: NatsLog, series: DeltaSeries) -> None:
    async with running(log, series) as tail:
        await log.say("readings.mqtt", batch(1, 1.0))
        await until(series, [1.0])
        assert (latest := tail.latest.get(NAME)) is not None
        assert latest.value == 1.0
        assert await series.position(WRITER) == 0
        await tail.seal()
        assert await values(series) == [1.0]
        assert await series.position(WRITER) > 0


async def test_what_was_not_sealed_is_rebuilt_from_the_log(log: NatsLog, series: DeltaSeries, tmp_path: Path) -> None:
    async with running(log, series) as tail:
        await log.say("readings.mqtt", batch(1, 1.0))
        await until(series, [1.0])
        await tail.seal()
        await log.say("readings.mqtt", batch(2, 2.0))
        await until(series, [1.0, 2.0])
    again = DeltaSeries.in_folder(tmp_path / "series")  # another process: nothing of the first one's memory
    assert await values(again) == [1.0]
    async with running(log, again):
        await until(again, [1.0, 2.0])
    await again.close()


async def test_a_reader_lets_go_of_what_a_writer_has_sealed(log: NatsLog, series: DeltaSeries, tmp_path: Path) -> None:
    other = DeltaSeries.in_folder(tmp_path / "series")
    async with running(log, series) as writer, running(log, other, seals=False) as reader:
        await log.say("readings.mqtt", batch(1, 1.0))
        await until(series, [1.0])
        await until(other, [1.0])
        await writer.seal()
        await reader.seal()
        assert reader._held == []
        assert await values(other) == [1.0]
    await other.close()


async def test_a_batch_that_cannot_be_read_stops_nothing(log: NatsLog, series: DeltaSeries) -> None:
    async with running(log, series):
        await log.say("readings.mqtt", b"not ours")
        await log.say("readings.mqtt", batch(1, 1.0))
        await until(series, [1.0])
