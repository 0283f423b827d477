"""Rollups on real tables: made as readings are committed, mended by late ones, by one process or by several."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import with_tables
from tieline import doors, metrics
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.series import ROLLUPS, Declaration, Stamp, readings
from tieline.base.time import Span, VirtualClock, iso
from tieline.registry import actions as registry
from tieline.telemetry.rollups import model
from tieline.telemetry.rollups.levels import Levels
from tieline.telemetry.rollups.model import Resolution, Rule
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.rollups.rolling import Rolling
from tieline.telemetry.rollups.routes import ROUTES

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = Span(START, START + timedelta(days=1))
IDS = ["home-1.power_kw", "home-2.power_kw", "home-3.power_kw"]
HOLD_S = 900
RULES = {name: Rule(Stamp.END, HOLD_S * 1_000_000) for name in IDS}


def declaration(series_id: str) -> Declaration:
    return Declaration(series_id, "kW", 60, "UTC", Stamp.END, HOLD_S, "test")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Process:
    """What one process has of its own over tables that all share."""

    def __init__(self, folder: Path, rows: SqliteRows, clock: VirtualClock) -> None:
        self.raw = DeltaSeries.in_folder(folder / "series")
        self.five = DeltaSeries.in_folder(folder / "series-5m", shape=ROLLUPS)
        self.hour = DeltaSeries.in_folder(folder / "series-1h", shape=ROLLUPS)
        self.levels = Levels(rows, self.raw, self.five, self.hour)
        self.rolling, self.rollups = Rolling(self.levels, clock), Rollups(self.levels)

    async def roll(self) -> None:
        await self.rolling.five.follow()
        await self.rolling.hour.follow()

    async def close(self) -> None:
        for one in (self.raw, self.five, self.hour):
            await one.close()


class World:
    def __init__(self, folder: Path, rows: SqliteRows, clock: VirtualClock) -> None:
        self._folder, self.rows, self.clock = folder, rows, clock
        self.said: list[tuple[str, float, float]] = []
        self.position = 0
        self.processes: list[Process] = []
        self.one = self.process()

    def process(self) -> Process:
        self.processes.append(Process(self._folder, self.rows, self.clock))
        return self.processes[-1]

    async def commit(self, *said: tuple[str, float, float], hold: bool = False) -> None:
        """Readings of (series, minutes, value), in one commit."""
        self.position += 1
        self.said += said
        names, minutes, values = zip(*said, strict=True)
        known_at = self.clock.now() + timedelta(microseconds=self.position)
        rows = readings(names, [at(one) for one in minutes], values, known_at=known_at)
        if hold:
            await self.one.raw.hold(rows, writer="w", position=self.position)
        else:
            await self.one.raw.append(rows, writer="w", position=self.position)

    def expected(self, span: Span, resolution: Resolution, ids: Sequence[str] = IDS) -> pa.Table:
        """Made at once of all that was said."""
        latest = {(name, minutes): value for name, minutes, value in self.said if name in ids}
        names, minutes = zip(*latest, strict=True) if latest else ((), ())
        rows = readings(names, [at(one) for one in minutes], list(latest.values()), known_at=START)
        made = model.roll(rows, RULES, model.WIDTH_US[Resolution.FIVE_MINUTES])
        if resolution in (Resolution.HOUR, Resolution.DAY):
            made = model.merge(made, model.edges(span, Resolution.HOUR, "UTC"))
        return model.merge(made, model.edges(span, resolution, "UTC"))


def told(rows: pa.Table) -> list[dict[str, Any]]:
    return rows.drop_columns(["known_at", "seq"]).to_pylist()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = VirtualClock(START)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        world = World(tmp_path, rows, clock)
        for name in IDS:
            await registry.declare(rows, clock, declaration(name))
        yield world
        for process in world.processes:
            await process.close()


def minutes_of(name: str, first: int, last: int) -> list[tuple[str, float, float]]:
    return [(name, minute, float((minute * 7 + len(name)) % 11) / 3) for minute in range(first, last)]


async def kept(process: Process) -> list[Any]:
    return [told(await level.scan(IDS, DAY.start, DAY.end)) for level in (process.five, process.hour)]


async def test_steps_are_kept_once_they_are_over_and_what_is_newer_is_made_when_asked_for(world: World) -> None:
    for first in range(0, 150, 30):
        await world.commit(*[one for name in IDS[:2] for one in minutes_of(name, first + 1, first + 31)])
        await world.clock.advance(30 * 60)
        await world.one.roll()
    five, hour = await kept(world.one)
    assert max(row["at"] for row in five) == at(140)  # the step up to 150 has just ended: not settled yet
    assert [row["at"] for row in hour] == [at(0), at(60)] * 2
    await world.commit((IDS[0], 151, 4.0), hold=True)
    for resolution in (Resolution.MINUTE, Resolution.FIVE_MINUTES, Resolution.QUARTER, Resolution.HOUR, Resolution.DAY):
        found = await world.one.rollups.rolled([*IDS, "unknown.power_kw"], DAY, resolution)
        if resolution is not Resolution.MINUTE:
            assert told(found) == told(world.expected(DAY, resolution))
        total = await world.one.rollups.total(IDS, DAY, resolution)
        assert pc.sum(total["integral"]).as_py() == pytest.approx(pc.sum(found["integral"]).as_py())


async def test_late_and_corrected_readings_mend_what_they_cover_and_nothing_else(world: World) -> None:
    await world.commit(*[one for name in IDS for one in minutes_of(name, 1, 200) if not 60 < one[1] < 70])
    await world.clock.advance(5 * 3600)
    await world.one.roll()
    rolled = _count(metrics.ROLLED, "5m")
    await world.commit((IDS[0], 65, 9.0), (IDS[1], 100, 8.0))  # where one was missing, and in place of another
    await world.one.roll()
    assert _count(metrics.ROLLED, "5m") - rolled == 2
    assert await kept(world.one) == [
        told(world.expected(DAY, one)) for one in (Resolution.FIVE_MINUTES, Resolution.HOUR)
    ]


def _count(counter: Any, level: str) -> float:
    value: float = counter.labels(level)._value.get()
    return value


async def test_any_order_and_any_batching_roll_up_to_the_same(world: World) -> None:
    chance = random.Random(5)
    said = [one for name in IDS for one in minutes_of(name, 1, 300)]
    chance.shuffle(said)
    while said:
        some = [said.pop() for _ in range(min(len(said), chance.randint(1, 300)))]
        await world.commit(*some, *chance.choices(some, k=3))
        await world.clock.advance(chance.choice([0, 60, 1800]))
        await chance.choice([world.one, world.process() if len(world.processes) < 3 else world.processes[-1]]).roll()
    await world.clock.advance(86400)
    for process in world.processes:
        await process.roll()
    assert await kept(world.one) == [
        told(world.expected(DAY, one)) for one in (Resolution.FIVE_MINUTES, Resolution.HOUR)
    ]


async def test_who_died_before_steps_were_over_is_followed_by_one_who_makes_them(world: World) -> None:
    await world.commit(*minutes_of(IDS[0], 1, 4))
    await world.clock.advance(4 * 60)
    await world.one.roll()
    assert await kept(world.one) == [[], []]
    another = world.process()  # knows of the tables alone
    await world.clock.advance(3600 * 2)
    await another.roll()
    assert await kept(another) == [told(world.expected(DAY, one)) for one in (Resolution.FIVE_MINUTES, Resolution.HOUR)]
    positions = [await level.position() for level in (another.levels.five, another.levels.hour)]
    again = world.process()
    await again.roll()
    assert [await level.position() for level in (again.levels.five, again.levels.hour)] == positions


async def test_who_was_slower_writes_nothing_and_looks_again(world: World) -> None:
    await world.commit(*minutes_of(IDS[0], 1, 31))
    await world.clock.advance(7200)
    slow, fast = world.one, world.process()
    made = slow.levels.changed

    async def late(*asked: Any) -> pa.Table:
        rows = await made(*asked)
        await world.commit((IDS[0], 12.5, 7.0))
        await fast.rolling.five.follow()
        return rows

    slow.levels.changed = late  # type: ignore[method-assign,assignment]
    await slow.rolling.five.follow()
    assert (await kept(fast))[0] == told(world.expected(DAY, Resolution.FIVE_MINUTES))
    slow.levels.changed = made  # type: ignore[method-assign]
    await slow.roll()
    assert await kept(slow) == [told(world.expected(DAY, one)) for one in (Resolution.FIVE_MINUTES, Resolution.HOUR)]


async def test_a_series_that_nobody_declared_is_left_out_and_counted(world: World) -> None:
    before = metrics.ROLLUP_UNDECLARED._value.get()
    await world.commit(("stray.power_kw", 1, 1.0), (IDS[0], 1, 1.0))
    await world.clock.advance(7200)
    await world.one.roll()
    assert metrics.ROLLUP_UNDECLARED._value.get() == before + 1
    assert (await kept(world.one))[0] == told(world.expected(DAY, Resolution.FIVE_MINUTES))


def _given(thing: object) -> Provide:
    return Provide(lambda: thing, sync_to_thread=False)


async def test_proof_and_mending_through_the_door(world: World) -> None:
    await world.commit(*[one for name in IDS[:2] for one in minutes_of(name, 1, 120)])
    await world.clock.advance(125 * 60)
    await world.one.roll()
    provided = {"rows": world.rows, "rollups": world.one.rollups, "clock": world.clock}
    given = {name: _given(thing) for name, thing in provided.items()}
    app: Any = Litestar(ROUTES, dependencies=given, exception_handlers=dict[Any, Any](doors.PROBLEMS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline") as door:

        async def ask(what: str, status: int = 200, **more: Any) -> Any:
            body = {"start": iso(at(0)), "end": iso(at(120)), **more}
            answer = await door.post(f"/v1/rollups/{what}", json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        sound = await ask("verify")
        assert (sound["steps"], sound["differing"], sound["next_cursor"]) == (2 * (24 + 2), 0, None)
        assert sound["waiting"] == 2  # the second hour is not rolled up yet
        (page,) = [await ask("verify", limit=1)]
        assert page["next_cursor"]
        rows = (await world.one.five.scan([IDS[0]], at(10), at(15))).to_pylist()
        spoilt = pa.Table.from_pylist(
            [rows[0] | {"integral": 99.0, "known_at": world.clock.now() + timedelta(days=1)}], ROLLUPS
        )
        await world.one.five.append(spoilt, writer="hand", position=1)
        bad = await ask("verify", series_ids=[IDS[0]])
        assert bad["differing"] == 1
        assert (bad["differences"][0]["kept"]["integral"], bad["differences"][0]["made"]["count"]) == (99.0, 5)
        assert (await ask("rebuild"))["written"] > 0
        assert (await ask("verify"))["differing"] == 0
        assert "26" in (await ask("verify", 422, end=iso(at(60 * 48))))["detail"]
        ages = {"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T05:00:00Z"}
        assert "1900" in (await ask("verify", 422, **ages))["detail"]
        await ask("verify", 404, series_ids=["nobody.power_kw"])
