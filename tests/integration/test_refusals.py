"""What is refused: of one VEN some a minute, each with its bytes, and all of it for a month."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.integration.floods import flooding
from tests.servers.rows import with_tables
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock
from tieline.dispatch.model import Policy
from tieline.dispatch.mqtt import Answers
from tieline.ports import DEAD, Entry
from tieline.telemetry import actions, reads, store
from tieline.telemetry.flood import REFUSED_AT_ONCE, Bounds
from tieline.telemetry.model import Dead, DeadLetter
from tieline.telemetry.presence.model import Policy as PresencePolicy
from tieline.telemetry.presence.mqtt import Listener

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)


class Said:
    """A log that lists at once what is said of the dead."""

    def __init__(self, rows: SqliteRows) -> None:
        self.rows, self.position = rows, 0

    async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int:
        self.position += 1
        position, letter = self.position, msgspec.json.decode(data, type=DeadLetter)
        await self.rows.transaction(lambda tx: store.add(tx, position, letter))
        return position


class World:
    def __init__(self, rows: SqliteRows, blobs: ObjectBlobs, clock: VirtualClock) -> None:
        self.rows, self.blobs, self.clock = rows, blobs, clock
        self.flooding = flooding(Said(rows), rows, clock, blobs, Bounds(0.001, 100, 60))  # type: ignore[arg-type]

    async def letters(self) -> list[tuple[str | None, str]]:
        return [(one.ven_id, one.reason) for one in reversed(await reads.dead_letters(self.rows, limit=1000))]


class Delivery:
    def __init__(self, kind: str, count: int) -> None:
        self.entries: Sequence[Entry] = [
            Entry(n, f"mqtt.ven.{kind}.home-1", b"rubbish %d" % n, NOW) for n in range(1, count + 1)
        ]
        self.is_done = False

    async def done(self, *, but: Sequence[Entry] = ()) -> None:
        assert not but
        self.is_done = True


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = VirtualClock(NOW)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        yield World(rows, ObjectBlobs.folder(tmp_path / "refused"), clock)


@pytest.mark.parametrize("kind", ["ack", "presence"])
async def test_who_says_nonsense_without_end_is_shut_out_and_leaves_few_dead_letters(world: World, kind: str) -> None:
    delivery = Delivery(kind, 1000)
    if kind == "ack":
        await Answers(None, world.rows, world.clock, Policy(), world.flooding)._enter(delivery)  # type: ignore[arg-type]
    else:
        listener = Listener(None, world.rows, world.clock, PresencePolicy(), world.flooding)  # type: ignore[arg-type]
        await listener.take(delivery)
    assert delivery.is_done
    assert await world.letters() == [("home-1", "malformed")] * REFUSED_AT_ONCE
    await world.clock.advance(61)
    await world.flooding._bury(world.flooding._floods.end(world.clock.now()), world.flooding._refusals.end(None))
    assert (await world.letters())[REFUSED_AT_ONCE:] == [("home-1", "flooding"), ("home-1", "many refused")]
    last = (await reads.dead_letters(world.rows, limit=1))[0]
    assert last.detail.startswith("80 more were refused of this VEN")


async def test_dead_letters_go_after_a_month_and_their_bytes_with_the_last_of_them(world: World) -> None:
    async def refuse(position: int, data: bytes) -> str:
        entry = Entry(position, "mqtt.oadr.meter.home-1", data, NOW)
        await world.flooding.refuse(entry, "home-1", Dead("malformed", "no Meter"))
        return (await reads.dead_letters(world.rows, limit=1))[0].digest

    once, twice = await refuse(1, b"once"), await refuse(2, b"twice")
    await world.clock.advance(timedelta(days=1).total_seconds())
    assert await refuse(3, b"twice") == twice
    for days, letters, kept in ((28, 3, [True, True]), (1.5, 1, [False, True]), (1, 0, [False, False])):
        await world.clock.advance(timedelta(days=days).total_seconds())
        await actions.forget(world.rows, world.blobs, world.clock)
        assert len(await world.letters()) == letters
        assert [await world.blobs.has(one) for one in (once, twice)] == kept
    assert timedelta(days=30) == DEAD.keep
