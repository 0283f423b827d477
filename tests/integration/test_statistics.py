"""The fleet's statistics through the HTTP door: who is counted and who is not, and steps that late readings mend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import with_tables
from tieline import doors, metrics
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Broken
from tieline.base.series import Flag
from tieline.base.time import Span, VirtualClock, iso
from tieline.registry import actions as registry
from tieline.registry.model import Kind, NewResource, NewSite, NewVen
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.model import Batch
from tieline.telemetry.presence.actions import enter, settle
from tieline.telemetry.presence.model import Heard, Policy
from tieline.telemetry.presence.mqtt import TICK_S
from tieline.telemetry.routes import ROUTES
from tieline.telemetry.statistics import reads
from tieline.telemetry.statistics.model import Step, step_of
from tieline.telemetry.statistics.reads import CLOSED, READINGS
from tieline.telemetry.statistics.rollup import SETTLE_S, Rollup
from tieline.telemetry.tail import Tail

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
EV = NewResource("ev", "Charger", Kind.EV, 7.4, sheddable=True)
HVAC = NewResource("hvac", "Air", Kind.HVAC, 5.0, sheddable=True)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class World:
    """One process: a tail over a real Log and Series, and its HTTP door. It keeps the clock at START."""

    def __init__(self, log: NatsLog, series: DeltaSeries, rows: SqliteRows, clock: VirtualClock) -> None:
        self.log, self.series, self.rows, self.clock = log, series, rows, clock
        self.tail = Tail(log, series, seals=True, seal_seconds=3600)
        self.fleet = Fleet(rows, self.tail, clock, online_s=300)
        self.said = 0
        provided = {"rows": rows, "series": series, "fleet": self.fleet, "log": log, "letters": None}
        given = {name: _given(thing) for name, thing in provided.items()}
        app: Any = Litestar(ROUTES, dependencies=given, exception_handlers=dict[Any, Any](doors.PROBLEMS))
        self.door = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")

    async def register(self, ven_id: str, *resources: NewResource, targets: tuple[str, ...] = ()) -> None:
        site = NewSite(f"site-{ven_id}", ven_id, "UTC")
        new = NewVen(ven_id, ven_id, site=site, resources=list(resources), targets=list(targets))
        await registry.register_ven(self.rows, self.clock, new)
        self.fleet._read_at = -100.0  # as three seconds later

    async def say(self, minutes: float, **values: float) -> None:
        """Readings at an instant: `home_1` is a meter, `home_1__ev__power` of its load; `shed` in a name flags it."""
        batch = Batch(self.clock.now())
        for name, value in values.items():
            shed = Flag.SHED if name.endswith("_shed") else Flag.GOOD
            parts = [part.replace("_", "-") for part in name.removesuffix("_shed").split("__")]
            series_id = f"{parts[0]}.power_kw" if len(parts) == 1 else f"{parts[0]}.{parts[1]}.{parts[2]}_kw"
            batch.add(batch.named(series_id), at(minutes), value, shed, self.said)
        self.said = await self.log.say("readings.mqtt", msgspec.msgpack.encode(batch))

    async def taken(self) -> None:
        await until(lambda: self.tail.position >= self.said)

    async def beat(self, *ven_ids: str, seconds: float = 0.0) -> None:
        when = START + timedelta(seconds=seconds)
        heard = [Heard(ven_id, when, when, beat_s=60.0, agent="") for ven_id in ven_ids]
        await self.rows.transaction(lambda tx: enter(tx, heard, Policy()))
        self.fleet._read_at = -100.0

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.door.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def history(self, first: float, last: float, **more: Any) -> Any:
        return await self.get("/v1/fleet/statistics/history", start=iso(at(first)), end=iso(at(last)), **more)

    async def rebuild(self, first: float, last: float, *, verify: bool) -> Any:
        body = {"start": iso(at(first)), "end": iso(at(last)), "verify": verify}
        answer = await self.door.post("/v1/fleet/statistics/rebuild", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextlib.asynccontextmanager
    async def rolling(self) -> AsyncIterator[Rollup]:
        rollup = Rollup(self.log, self.rows, self.series, self.clock, self.tail)
        await rollup.begin()
        task = asyncio.create_task(rollup.follow())  # closing is the tests' own to do
        try:
            yield rollup
        finally:
            await stopped(task)

    async def rolled(self, rollup: Rollup) -> None:
        """Until it has followed all that was said, and made what is due."""
        await until(lambda: rollup._followed >= self.said)
        await rollup.close()


def _given(thing: object) -> Provide:
    return Provide(lambda: thing, sync_to_thread=False)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not true():
            await asyncio.sleep(0.02)


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    clock = VirtualClock(START - timedelta(hours=1))
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    series = DeltaSeries.in_folder(tmp_path / "series")
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        world = World(await NatsLog.open(connection), series, rows, clock)
        task = asyncio.create_task(world.tail.run())
        async with world.door:
            for n in (1, 2, 3):
                await world.register(f"home-{n}", EV, HVAC, targets=("east", "peak") if n == 1 else ("east",))
            await clock.advance(3600)
            yield world
        await stopped(task)
    await series.close()
    await connection.close()


# --- now --------------------------------------------------------------------------------------------------------------


async def test_homes_without_fresh_data_are_left_out_and_counted_by_why(world: World) -> None:
    await world.register("home-4", EV)
    await world.register("home-5")
    await world.beat("home-2", "home-4")
    await world.say(-0.5, home_1=1.0, home_3=4.0, home_4=9.0)
    await world.say(-6, home_2=2.0)
    await world.taken()
    total = (await world.get("/v1/fleet/statistics"))["total"]
    assert (total["vens"], total["counted"], total["used_kw"]) == (5, 3, 14.0)
    assert total["excluded"] == {"never": 1, "late": 0, "offline": 0, "stale": 1}
    await world.clock.advance(100)
    await world.beat("home-4", seconds=95)
    await settled(world)
    total = (await world.get("/v1/fleet/statistics"))["total"]
    assert total["excluded"] == {"never": 1, "late": 1, "offline": 0, "stale": 0}
    await world.clock.advance(300)
    await settled(world)
    vens = (await world.get("/v1/vens"))["items"]
    assert [(one["ven_id"], one["presence"], one["left_out"]) for one in vens] == [
        ("home-1", "offline", "offline"),
        ("home-2", "offline", "offline"),
        ("home-3", "offline", "offline"),
        ("home-4", "offline", "offline"),
        ("home-5", "never", "never"),
    ]
    assert (await world.get("/v1/fleet"))["power_kw"] == 0


async def settled(world: World) -> None:
    now = world.clock.now()
    await world.rows.transaction(lambda tx: settle(tx, {}, [], now, START - timedelta(days=1), Policy()))
    world.fleet._read_at = -100.0


async def test_vens_are_listed_by_state_and_a_late_one_is_still_online(world: World) -> None:
    await world.beat("home-1", "home-2")
    await world.clock.advance(100)
    await world.beat("home-2", seconds=99)
    await settled(world)
    listed = {
        state: [one["ven_id"] for one in (await world.get("/v1/vens", state=state))["items"]]
        for state in ("online", "late", "offline", "never")
    }
    assert listed == {"online": ["home-2"], "late": ["home-1"], "offline": [], "never": ["home-3"]}
    assert [one["ven_id"] for one in (await world.get("/v1/vens", online=True))["items"]] == ["home-1", "home-2"]
    one = await world.get("/v1/vens/home-1")
    assert (one["online"], one["presence"], one["since_at"]) == (True, "late", "2026-07-15T12:01:40Z")
    found = await world.get("/v1/vens/home-1/presence", limit=1)
    assert [(change["state"], change["cause"]) for change in found["items"]] == [("late", "silence")]
    rest = await world.get("/v1/vens/home-1/presence", cursor=found["next_cursor"])
    assert [change["state"] for change in rest["items"]] == ["online"]
    assert (await world.door.get("/v1/vens/nobody/presence")).status_code == 404
    assert (await world.door.get("/v1/vens/home-1/presence", params={"cursor": "eA=="})).status_code == 422
    await world.fleet.measure()
    assert metrics.REGISTRY.get_sample_value("tieline_vens", {"state": "late"}) == 1


async def test_what_is_shed_already_cannot_be_shed_and_a_home_off_line_gives_nothing(world: World) -> None:
    await world.beat("home-2")
    await world.say(-1, home_1=2.0, home_1__ev__power_shed=0.5, home_1__ev__sheddable=0.5, home_1__ev__withheld=6.0)
    await world.say(-1, home_1__hvac__power=1.5, home_1__hvac__sheddable=1.2)
    await world.say(-1, home_2=3.0, home_2__ev__power_shed=0.0, home_2__ev__sheddable=0.0)
    await world.say(-1, home_3=5.0, home_3__ev__power=4.0, home_3__ev__sheddable=4.0)
    await world.taken()
    total = (await world.get("/v1/fleet/statistics"))["total"]
    assert (total["used_kw"], total["controllable_kw"], total["shed_kw"]) == (10.0, 5.2, 6.0)
    assert (total["shedding"], total["untold"]) == (2, 1)
    by_kind = (await world.get("/v1/fleet/statistics", by="kind"))["groups"]
    assert [(one["key"], one["sums"]["used_kw"], one["sums"]["controllable_kw"]) for one in by_kind] == [
        ("ev", 4.5, 4.0),
        ("hvac", 1.5, 1.2),
    ]
    assert by_kind[1]["sums"]["excluded"]["stale"] == 2
    by_target = (await world.get("/v1/fleet/statistics", by="target"))["groups"]
    assert [(one["key"], one["sums"]["used_kw"]) for one in by_target] == [("east", 10.0), ("peak", 2.0)]
    page = await world.get("/v1/fleet/statistics", by="site", limit=2)
    rest = await world.get("/v1/fleet/statistics", by="site", cursor=page["next_cursor"])
    assert [one["name"] for one in [*page["groups"], *rest["groups"]]] == ["home-1", "home-2", "home-3"]
    await world.clock.advance(200)  # home-2 beat, and does no more; home-3 never did
    await settled(world)
    assert (await world.get("/v1/fleet/statistics"))["total"]["counted"] == 2
    assert (await world.get("/v1/fleet"))["shedding"] == 1


# --- history ----------------------------------------------------------------------------------------------------------


async def minutes(world: World, first: int, last: int, **values: float) -> None:
    for minute in range(first, last + 1):
        await world.say(minute, **values)


async def test_steps_are_closed_and_count_who_had_data(world: World) -> None:
    async with world.rolling() as rollup:
        await minutes(world, 0, 10, home_1=2.0, home_2=3.0, home_1__ev__power=1.0, home_1__ev__sheddable=0.75)
        await world.clock.advance(12 * 60 + 30)
        await world.rolled(rollup)
        found = await world.history(0, 10)
        assert (found["used_kw"], found["controllable_kw"], found["shed_kw"]) == ([5.0, 5.0], [0.75, 0.75], [0.0, 0.0])
        assert (found["counted"], found["excluded"]) == ([2, 2], [1, 1])
        await world.clock.advance(5 * 60)
        await world.rolled(rollup)
        assert (await world.history(10, 20))["used_kw"] == [None, None]
        assert (await world.history(0, 20, step_s=1200))["used_kw"] == [5.0]
        problem = await world.door.get("/v1/fleet/statistics/history", params={"start": iso(at(1)), "end": iso(at(10))})
        assert problem.status_code == 422


async def test_readings_that_come_late_mend_their_steps(world: World) -> None:
    async with world.rolling() as rollup:
        await minutes(world, 0, 30, home_1=2.0)
        await world.clock.advance(33 * 60)
        await world.rolled(rollup)
        assert (await world.history(0, 30))["used_kw"] == [2.0] * 6
        await minutes(world, 5, 15, home_2=4.0)  # a home that was cut off tells what it kept
        await world.rolled(rollup)
        found = await world.history(0, 30)
        assert found["used_kw"] == [6.0, 6.0, 6.0, 2.0, 2.0, 2.0]
        assert found["counted"] == [2, 2, 2, 1, 1, 1]
        assert await world.rebuild(0, 30, verify=True) == {"steps": 6, "differing": []}


async def test_what_a_crash_left_undone_is_done_after_it(world: World) -> None:
    async with world.rolling() as rollup:
        await minutes(world, 0, 10, home_1=2.0)
        await world.clock.advance(13 * 60)
        await world.rolled(rollup)
        position = await reads.position(world.rows, READINGS)
        assert position == world.said
    await minutes(world, 3, 4, home_2=4.0)  # while nobody rolls up
    await world.clock.advance(10 * 60)
    async with world.rolling() as again:
        await world.rolled(again)
        assert (await world.history(0, 10))["counted"] == [2, 1]
        assert (await world.history(10, 20))["excluded"] == [3, 3]
        assert await world.rebuild(0, 20, verify=True) == {"steps": 4, "differing": []}


async def test_no_step_is_left_out_whoever_dies_over_it(world: World) -> None:
    """After a day away more is to be made than at once; what is made first is what is new."""
    await world.clock.advance(86_400)
    since, over = step_of(START - timedelta(hours=1)), step_of(world.clock.now() - timedelta(seconds=SETTLE_S))
    for made in (1, 7):  # looks before it is killed, and after
        rollup = Rollup(world.log, world.rows, world.series, world.clock, world.tail)
        await rollup.begin()
        for _ in range(made):
            await rollup.close()
    kept = await reads.kept(world.rows, Span(START - timedelta(days=1), world.clock.now()))
    assert [step_of(one.start_at) for one in kept] == list(range(since, over))
    await rollup.close()
    assert await reads.position(world.rows, CLOSED) == over
    assert await reads.missing(world.rows, over) == set()


async def test_a_young_platform_has_no_steps_from_before_its_first_ven(world: World) -> None:
    async with world.rolling() as rollup:
        await minutes(world, 0, 10, home_1=2.0)
        await world.clock.advance(13 * 60)
        await world.rolled(rollup)
        spans = [(-180, -120), (-120, -60), (-90, -30), (-50, 10)]
        told = [await world.rebuild(first, last, verify=True) for first, last in spans]
        assert [one["steps"] for one in told] == [0, 0, 6, 12]
        assert [one["differing"] for one in told] == [[], [], [], []]


async def test_what_a_run_that_failed_had_marked_is_marked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> list[Step]:
        raise Broken("no disk")

    async with world.rolling() as rollup:
        await minutes(world, 0, 10, home_1=2.0)
        await world.clock.advance(13 * 60)
        await world.rolled(rollup)
        await minutes(world, 3, 4, home_2=4.0)  # late
        await until(lambda: rollup._followed >= world.said)
        with monkeypatch.context() as broken:
            broken.setattr(reads, "from_raw", failing)
            with pytest.raises(Broken):
                await rollup.close()
    await world.clock.advance(300)  # another step is to be closed
    task = asyncio.create_task(rollup.run())
    while (await world.history(0, 10))["counted"] != [2, 1]:
        await world.clock.advance(15)
        await asyncio.sleep(0.02)
    await stopped(task)


async def test_a_history_that_was_lost_is_made_again_from_raw_readings(world: World) -> None:
    await minutes(world, 0, 10, home_1=2.0, home_1__ev__power_shed=0.5, home_1__ev__withheld=6.0)
    await world.taken()
    told = await world.rebuild(0, 10, verify=True)
    assert (told["steps"], len(told["differing"])) == (2, 2)
    assert (await world.history(0, 10))["used_kw"] == [None, None]
    await world.rebuild(0, 10, verify=False)
    assert (await world.history(0, 10))["shed_kw"] == [6.0, 6.0]
    assert (await world.rebuild(0, 10, verify=True))["differing"] == []
    body = {"start": iso(at(0)), "end": iso(at(25 * 60))}
    assert (await world.door.post("/v1/fleet/statistics/rebuild", json=body)).status_code == 422


def test_a_tick_is_shorter_than_the_shortest_beat() -> None:
    assert Policy().least_beat_s > TICK_S
