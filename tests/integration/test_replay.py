"""Dead letters looked into and replayed, over real Rows, Log, Blobs and Series: once, and in their place."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers.rows import with_tables
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Conflict, NotFound
from tieline.base.time import VirtualClock, iso
from tieline.ports import Entry
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.telemetry import actions, reads
from tieline.telemetry.model import Dead, Limits
from tieline.telemetry.replay import Letters
from tieline.telemetry.tail import Tail
from tieline.telemetry.taking import Taking

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
NAME = "home-1.power_kw"


class World:
    def __init__(self, log: NatsLog, rows: SqliteRows, blobs: ObjectBlobs, series: DeltaSeries) -> None:
        self.log, self.rows, self.blobs, self.series = log, rows, blobs, series
        self.clock = VirtualClock(NOW)
        self.letters = Letters(log, rows, blobs, self.clock, Limits())
        self.tail = Tail(log, series, seals=True, seal_seconds=3600)

    async def register(self) -> None:
        await registry.register_ven(self.rows, self.clock, NewVen("home-1", "One", site=NewSite("s", "S", "UTC")))

    async def refused(self, entry: Entry) -> int:
        """The place of its letter, once it is listed."""
        before = await reads.count_dead_letters(self.rows)
        await actions.refuse(self.log, self.blobs, self.clock, entry, "home-1", Dead("unknown VEN", "register it"))
        while await reads.count_dead_letters(self.rows) == before:
            await asyncio.sleep(0.02)
        return (await reads.dead_letters(self.rows))[0].position

    async def say(self, entry: Entry) -> None:
        taking = Taking(self.log, self.rows, self.clock, Limits())
        assert taking.is_ours(entry)
        columns, refused = await taking.take([entry])
        assert not refused
        await taking.say(columns, f"{entry.position}")

    async def values(self, wanted: list[float]) -> list[float]:
        """As soon as they are as wanted."""
        for _ in range(600):
            found = await self.series.scan([NAME], NOW - timedelta(hours=1), NOW + timedelta(hours=1))
            if (values := [float(value) for value in found["value"].to_numpy()]) == wanted:
                return values
            await asyncio.sleep(0.05)
        return values


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    series = DeltaSeries.in_folder(tmp_path / "series")
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), VirtualClock(NOW)) as rows:
        blobs = ObjectBlobs.folder(tmp_path / "refused")
        world = World(await NatsLog.open(connection), rows, blobs, series)
        tasks = [
            asyncio.create_task(actions.list_dead_letters(world.log, rows)),
            asyncio.create_task(world.tail.run()),
        ]
        yield world
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await series.close()
    await connection.close()


def meter(position: int, second: int, power_kw: float) -> Entry:
    at = iso(NOW - timedelta(seconds=second))
    data = f'{{"samples":[{{"at":"{at}","power_kw":{power_kw}}}]}}'.encode()
    return Entry(position, "mqtt.oadr.meter.home-1", data, NOW)


async def test_a_letter_is_taken_once_after_a_mend_and_comes_under_what_was_corrected_since(world: World) -> None:
    entry = meter(10, 0, 1.0)
    position = await world.refused(entry)
    shown = await world.letters.show(position)
    assert (base64.b64decode(shown.data_base64), shown.text) == (entry.data, entry.data.decode())
    assert (shown.reason, shown.entry_position, shown.outcome) == ("unknown VEN", 10, None)

    again = await world.letters.replay(position)  # nothing was mended
    assert (again.outcome, again.reason, again.replayed_at) == ("refused", "unknown VEN", world.clock.now())

    await world.register()
    await world.say(meter(11, 0, 2.0))  # a correction of the same instant, taken while the letter lay
    taken = await world.letters.replay(position)
    assert taken.outcome == "taken"
    assert await world.letters.replay(position) == taken
    await world.say(meter(12, 5, 3.0))
    assert await world.values([3.0, 2.0]) == [3.0, 2.0]

    assert await reads.dead_letters(world.rows, which=reads.Which(open_only=True)) == []
    assert len(await reads.dead_letters(world.rows, which=reads.Which("home-1", "unknown VEN"))) == 1


async def test_what_cannot_be_taken_later_is_refused(world: World) -> None:
    position = await world.refused(Entry(3, "mqtt.ven.ack.home-1", b"{}", NOW))
    with pytest.raises(Conflict, match="only what has readings"):
        await world.letters.replay(position)
    with pytest.raises(NotFound, match="list them"):
        await world.letters.show(position + 1)
