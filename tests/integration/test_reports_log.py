"""From a report to a value that can be read, over a real Log and a real Series; a worker that dies on the way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.reports_world import HOUR, NOW, World, used, world_in
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.outbox import OUTBOX, Outbox
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.names import power_series
from tieline.ports import Delivery, Entry, Log
from tieline.telemetry import actions, reads
from tieline.telemetry.model import Limits
from tieline.telemetry.tail import Tail
from tieline.vtn import readings
from tieline.vtn.intake import GROUP, SUBJECT, Intake
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import Report, decode


@pytest.fixture
async def log(nats_server: NatsServer) -> AsyncIterator[NatsLog]:
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    yield await NatsLog.open(connection, ack_wait_s=1)
    await connection.close()


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[DeltaSeries]:
    one = DeltaSeries.in_folder(tmp_path / "series")
    yield one
    await one.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as world:
        yield world


@contextlib.asynccontextmanager
async def running(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    kept = [asyncio.ensure_future(task()) for task in tasks]
    try:
        yield
    finally:
        for one in kept:
            one.cancel()
        await asyncio.gather(*kept, return_exceptions=True)


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await what():
            await asyncio.sleep(0.05)


def platform(world: World, log: Log, series: DeltaSeries) -> tuple[Tail, Outbox]:
    assert isinstance(world.rows, SqliteRows)
    return Tail(log, series, seals=True, seal_seconds=3600), Outbox(world.rows, log, poll_s=0.1)


async def test_a_report_is_read_as_power_and_its_refusals_are_listed(
    world: World, log: NatsLog, series: DeltaSeries
) -> None:
    tail, outbox = platform(world, log, series)
    intake = Intake(log, world.rows, world.blobs, world.clock, Limits())
    ven_id = await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(5 * 3600)
    name = power_series(ven_id)

    async def values() -> list[float]:
        found = await series.scan([name], NOW, NOW + timedelta(days=1))
        return [float(value) for value in found["value"].to_numpy()]

    async def has(*wanted: float) -> bool:
        return await values() == list(wanted)

    async with running(outbox.run, intake.run, tail.run, lambda: actions.list_dead_letters(log, world.rows)):
        posted = await world.report(event_id, "c1", used("AGGREGATED_REPORT", 0.5, 0.25), used("Pool", 1))
        await until(lambda: has(2.0, 1.0))
        await until(lambda: counted(world, 1))
        (letter,) = await reads.dead_letters(world.rows)
        assert (letter.reason, letter.ven_id) == ("unknown load", ven_id)
        await world.report(event_id, "c1", used("AGGREGATED_REPORT", 0.5, 1.25), report_id=posted.id)
        await until(lambda: has(2.0, 5.0))
        assert (latest := tail.latest.get(name)) is not None
        assert latest.value == 5.0
        before = (await series.scan([name], NOW, NOW + HOUR))["known_at"].to_pylist()
        await world.clock.advance(60)
        await world.report(event_id, "c1", used("AGGREGATED_REPORT", 0.5, 1.25))
        await until(lambda: quiet(world, log))
        await tail.seal()
        assert (await series.scan([name], NOW, NOW + HOUR))["known_at"].to_pylist() == before


async def counted(world: World, wanted: int) -> bool:
    return await reads.count_dead_letters(world.rows) == wanted


async def quiet(world: World, log: NatsLog) -> bool:
    """All was said, and all that was said of reports is done."""
    waiting = await world.rows.read(lambda reader: reader.execute(OUTBOX.select()).first())
    return waiting is None and await log.waiting(SUBJECT, group=GROUP) == 0


async def test_a_report_that_cannot_be_understood_holds_up_no_other(
    world: World, log: NatsLog, series: DeltaSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However that came about: it is listed with its reason, and its bytes are kept."""
    _, outbox = platform(world, log, series)
    intake = Intake(log, world.rows, world.blobs, world.clock, Limits())
    for client_id in ("c1", "c2"):
        await world.ven(client_id, "HVAC")
    event_id = await world.event()
    await world.clock.advance(5 * 3600)
    understand = readings.told

    def failing(report: Report, *more: Any) -> readings.Told:
        if report.client_id == "c1":
            raise ZeroDivisionError("nobody thought of that")
        return understand(report, *more)

    monkeypatch.setattr(readings, "told", failing)
    async with running(outbox.run, intake.run, lambda: actions.list_dead_letters(log, world.rows)):
        for client_id in ("c1", "c2"):
            await world.report(event_id, client_id, used("HVAC", 0.5))
        await until(lambda: counted(world, 1))
        await until(lambda: quiet(world, log))
    (letter,) = await reads.dead_letters(world.rows)
    assert (letter.reason, letter.detail) == ("failed", "ZeroDivisionError: nobody thought of that")
    assert decode(Change, await world.blobs.get(letter.digest)).client_id == "c1"
    said = await log.last("readings.openadr")
    assert said is not None
    assert said.position == 1


class Deaf:
    """A Log whose worker never says that it is done: as if it died each time after its work."""

    def __init__(self, log: NatsLog) -> None:
        self._log = log
        self.lent = 0

    async def work(self, subject: str, *, group: str, at_once: int = 1000) -> AsyncIterator[Delivery]:
        async for delivery in self._log.work(subject, group=group, at_once=at_once):
            self.lent += len(delivery.entries)
            delivery.done = nothing  # type: ignore[method-assign]  # the point of it
            yield delivery


async def nothing(*, but: Sequence[Entry] = ()) -> None: ...


async def test_a_worker_that_dies_before_it_is_done_repeats_nothing(
    world: World, log: NatsLog, series: DeltaSeries
) -> None:
    _, outbox = platform(world, log, series)
    deaf = Deaf(log)
    dying = Intake(deaf, world.rows, world.blobs, world.clock, Limits())  # type: ignore[arg-type]
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(5 * 3600)

    async def twice() -> bool:
        return deaf.lent >= 4

    async with running(outbox.run):
        async with running(dying.run):
            await world.report(event_id, "c1", used("HVAC", 0.5))
            await world.report(event_id, "c1", used("HVAC", 0.5, 0.5), used("Pool", 1))
            await until(twice)
        living = Intake(log, world.rows, world.blobs, world.clock, Limits())
        async with running(living.run):
            await until(lambda: quiet(world, log))
    said, dead = await log.last("readings.openadr"), await log.last("dead.>")
    assert said is not None
    assert dead is not None
    assert (said.position, dead.position) == (2, 1)  # two batches and one dead letter, each said once
