"""Forecasts through their door on real ports: made once when due, kept as they were, compared with what came."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Broken
from tieline.base.series import Flag, readings
from tieline.base.time import RatedClock, VirtualClock, iso
from tieline.forecasts import making
from tieline.forecasts.actions import Turns
from tieline.forecasts.apart import Compute
from tieline.forecasts.forecaster import Forecaster
from tieline.forecasts.forecasting import Made, Task, forecast
from tieline.forecasts.history import History
from tieline.forecasts.model import Horizon, Measure, Method, Plan, State, Subject
from tieline.forecasts.routes import ROUTES
from tieline.registry import actions as registry
from tieline.registry.model import Kind, NewResource, NewSite, NewVen
from tieline.telemetry.model import Batch
from tieline.telemetry.tail import Tail

NOW = datetime(2026, 7, 15, 9, 4, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DAYS = 4
HOMES = ("home-1", "home-2", "home-3")
EV = NewResource("ev", "Car", Kind.EV, 7.4, sheddable=True)


@contextlib.asynccontextmanager
async def beside() -> AsyncIterator[Compute]:
    """In this process: starting another takes seconds."""

    async def compute(task: Task) -> Made:
        return await asyncio.to_thread(forecast, task)

    yield compute


class World:
    """Three homes with a car each, too few days for a model, which would take seconds, and two forecasters."""

    def __init__(self, log: NatsLog, series: DeltaSeries, rows: SqliteRows, clock: VirtualClock) -> None:
        self.log, self.series, self.rows, self.clock = log, series, rows, clock
        self.tail = Tail(log, series, seals=True, seal_seconds=3600)
        self.turns, self.plan = Turns(rows, RatedClock()), Plan("UTC", hour=9, every_s=3600)
        self.history, self.forecaster = self._process()
        self._position = 0
        given = {"rows": rows, "series": series, "clock": clock}
        app: Any = Litestar(
            ROUTES,
            dependencies={name: _given(one) for name, one in given.items()},
            exception_handlers=dict[Any, Any](doors.PROBLEMS),
        )
        self.door = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")

    def _process(self) -> tuple[History, Forecaster]:
        history = History(self.log, self.rows, self.series, self.clock, self.turns, self.tail)
        parts = (self.rows, self.series, self.clock, history, self.turns, beside, self.plan)
        return history, Forecaster(*parts)

    def another(self) -> Forecaster:
        return self._process()[1]

    async def measured(self, start: datetime, end: datetime, ending: str, kw: float) -> None:
        """What each home's series tell: more in the evening, and never quite the same."""
        ends = [start + n * QUARTER for n in range(1, (end - start) // QUARTER + 1)]
        random = np.random.default_rng(len(ending))
        for home in HOMES:
            hours = np.array([one.hour + one.minute / 60 for one in ends])
            value = kw * (1 + np.exp(-(((hours - 19) / 3) ** 2)) + 0.3 * random.normal(size=len(ends)))
            self._position += 1
            rows = readings([f"{home}.{ending}"] * len(ends), ends, value.tolist(), known_at=self.clock.now())
            await self.series.append(rows, writer="test", position=self._position)

    async def late(self, at: datetime, kw: float) -> None:
        """A reading that a device sends long after."""
        batch = Batch(self.clock.now())
        batch.add(batch.named("home-1.power_kw"), at, kw, Flag.LATE, 1)
        said = await self.log.say("readings.mqtt", msgspec.msgpack.encode(batch))
        async with asyncio.timeout(90):
            while self.tail.position < said or self.history._followed < said:
                await asyncio.sleep(0.02)

    async def look(self) -> None:
        """Until nothing is left to do: a look takes so much at once."""
        for _ in range(3):
            await self.forecaster.look()

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.door.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _given(thing: object) -> Provide:
    return Provide(lambda: thing, sync_to_thread=False)


@pytest.fixture
async def world(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[World]:
    clock, series = VirtualClock(NOW), DeltaSeries.in_folder(tmp_path / "series")
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        world = World(await NatsLog.open(connection), series, rows, clock)
        for home in HOMES:
            new = NewVen(home, home, site=NewSite(f"site-{home}", home, "UTC"), resources=[EV])
            await registry.register_ven(rows, clock, new)
        tasks = [asyncio.create_task(one) for one in (world.tail.run(), world.history.follow())]
        async with world.door:
            yield world
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await connection.close()
    await series.close()


MIDNIGHT = NOW.replace(hour=0, minute=0)
TOMORROW, AFTER = MIDNIGHT + timedelta(days=1), MIDNIGHT + timedelta(days=2)
DAY = {"start": iso(TOMORROW), "end": iso(AFTER), "horizon": "day-ahead"}
VALUES = "/v1/forecasts/fleet.load/values"


async def test_a_fleet_is_forecast_and_the_forecast_is_kept_and_judged(world: World) -> None:
    for ending, kw in (("power_kw", 1.0), ("ev.power_kw", 2.0), ("ev.sheddable_kw", 2.0)):
        await world.measured(MIDNIGHT - DAYS * timedelta(days=1), NOW.replace(minute=0), ending, kw)
    await asyncio.gather(*(one.look() for one in (world.forecaster, world.another())))
    await world.look()
    await _every_group_once(world)
    thought = await _tomorrow_as_json_and_csv(world)
    await world.clock.advance((AFTER + timedelta(hours=10) - NOW).total_seconds())
    await world.measured(NOW.replace(minute=0), AFTER + timedelta(hours=10), "power_kw", 1.0)
    await world.look()
    came = await _kept_and_judged(world, thought)
    await world.late(TOMORROW + QUARTER, kw=90.0)
    await world.look()
    mended = await world.get(VALUES, **DAY)
    assert mended["actual_kw"][0] > came["actual_kw"][0] + 80
    assert mended["actual_kw"][1:] == came["actual_kw"][1:]


async def _every_group_once(world: World) -> None:
    listed = {(one["forecast_id"], one["horizon"]): one for one in (await world.get("/v1/forecasts"))["items"]}
    of = ("fleet.flexible", "fleet.load", "kind.ev.flexible", "kind.ev.load")
    assert sorted({one for one, _ in listed}) == list(of)
    assert all(one["newest"]["state"] == "made" for one in listed.values())
    load = listed["fleet.load", "day-ahead"]["newest"]
    assert (load["devices"], load["method"], load["tried"]) == (3, "seasonal-naive", None)
    assert load["reason"] == "4 days of history are too few for a model"
    assert load["tried_naive"]["n"] == 96
    for one in of:  # two processes looked at once
        assert len((await world.get(f"/v1/forecasts/{one}/runs", horizon="intraday"))["items"]) == 1


async def _tomorrow_as_json_and_csv(world: World) -> Any:
    thought = await world.get(VALUES, **DAY)
    assert len(thought["at"]) == 96
    assert all(a <= b <= c for a, b, c in zip(*(thought[name] for name in ("p05_kw", "p50_kw", "p95_kw")), strict=True))
    assert np.mean(thought["p50_kw"][72:80]) > 1.3 * np.mean(thought["p50_kw"][28:36])  # the evening
    assert thought["actual_kw"] == [None] * 96
    answer = await world.door.get(VALUES, params=DAY, headers={"accept": "text/csv"})
    assert answer.text.splitlines()[0].startswith("at,known_at,p05_kw,p50_kw,p95_kw,naive_p05_kw")
    assert answer.text.splitlines()[1].startswith(f"{iso(TOMORROW)},{iso(NOW)},")
    room = await world.get("/v1/forecasts/headroom", start=iso(TOMORROW), end=iso(AFTER))
    assert all(0 <= sure <= kw for sure, kw in zip(room["sure_kw"], room["expected_kw"], strict=True))
    return thought


async def _kept_and_judged(world: World, thought: Any) -> Any:
    kept = await world.get(VALUES, **DAY, as_of=iso(NOW))
    assert {**kept, "as_of": None} == thought
    came = await world.get(VALUES, **DAY)
    assert came["p50_kw"] == thought["p50_kw"]
    assert None not in came["actual_kw"]
    judged = (await world.get("/v1/forecasts", horizon="day-ahead"))["items"][1]
    assert judged["forecast_id"] == "fleet.load"
    assert judged["accuracy"]["n"] == 96
    assert judged["accuracy"]["coverage"] > 0.6
    assert judged["accuracy"]["naive_rrmse"] > 0
    return came


async def test_who_learns_too_slowly_is_served_by_the_naive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(task: Task) -> Made:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(making, "LEARN_S", 0.01)
    [found] = await _outcomes(world, never)
    assert (found.run.state, found.run.reason) == (State.MADE, "no time to learn")
    assert found.rows is not None


async def _outcomes(world: World, compute: Compute) -> list[making.Outcome]:
    await world.measured(MIDNIGHT - DAYS * timedelta(days=1), NOW.replace(minute=0), "power_kw", 1.0)
    members = {Subject("fleet", Measure.LOAD): [f"{home}.power_kw" for home in HOMES]}
    assert await world.history.keep(members, "UTC")
    span = world.plan.span(Horizon.INTRADAY, NOW, NOW)
    asked = await making.opened(world.series, list(members), Horizon.INTRADAY, span, NOW, "UTC")
    return await making.outcomes(asked, members, compute)


async def test_what_comes_late_while_late_readings_are_summed_is_summed_after_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.measured(MIDNIGHT - DAYS * timedelta(days=1), NOW.replace(minute=0), "power_kw", 1.0)
    await world.look()
    before = (await world.get(VALUES, start=iso(MIDNIGHT), end=iso(MIDNIGHT + 8 * QUARTER)))["actual_kw"]
    sums, meanwhile = world.history._sum, [MIDNIGHT + 2 * QUARTER, MIDNIGHT + 5 * QUARTER]

    async def slow(*args: Any) -> None:
        await sums(*args)
        if meanwhile:
            await world.late(meanwhile.pop(), kw=90.0)

    monkeypatch.setattr(world.history, "_sum", slow)
    await world.late(MIDNIGHT + 2 * QUARTER - timedelta(minutes=5), kw=50.0)
    await world.look()
    came = (await world.get(VALUES, start=iso(MIDNIGHT), end=iso(MIDNIGHT + 8 * QUARTER)))["actual_kw"]
    assert [n for n, (kw, was) in enumerate(zip(came, before, strict=True)) if kw > was + 10] == [1, 4]


async def test_who_learns_and_dies_is_stood_in_for_by_the_naive(world: World) -> None:
    async def dies(task: Task) -> Made:
        raise Broken("the process that learns died, perhaps for lack of memory")

    [found] = await _outcomes(world, dies)
    assert (found.run.state, found.run.method) == (State.MADE, Method.NAIVE)
    assert found.run.reason == "the process that learns died, perhaps for lack of memory"
    assert found.rows is not None


async def test_what_is_asked_for_is_made_at_the_next_look(world: World) -> None:
    assert (await world.get("/v1/forecasts"))["items"] == []
    await world.measured(NOW.replace(minute=0) - timedelta(days=5), NOW.replace(minute=0), "power_kw", 1.0)
    await world.look()
    await world.clock.advance(60)
    await world.look()
    assert len((await world.get("/v1/forecasts/fleet.load/runs"))["items"]) == 2
    answer = await world.door.post("/v1/forecasts/run", json={"horizon": Horizon.INTRADAY})
    assert answer.status_code == 202
    await world.look()
    runs = (await world.get("/v1/forecasts/fleet.load/runs"))["items"]
    assert [one["horizon"] for one in runs] == ["intraday", "intraday", "day-ahead"]
    for path in (
        "/v1/forecasts/nothing.load/runs",
        "/v1/forecasts/fleet.price/values?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z",
    ):
        assert (await world.door.get(path)).status_code == 404
