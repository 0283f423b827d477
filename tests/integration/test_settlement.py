"""Settlement through its doors: from readings and a ledger to frozen baselines and statements."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide

from tieline import doors
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Conflict
from tieline.base.names import power_series
from tieline.base.series import readings
from tieline.base.time import VirtualClock, iso
from tieline.base.units import Kilowatts
from tieline.dispatch import actions as dispatch
from tieline.dispatch import reads as dispatch_reads
from tieline.dispatch.model import Event, EventState, NewEvent, NewProgram, Policy, command_id
from tieline.dispatch.planning import Headroom
from tieline.ports import Series
from tieline.registry import actions as registry
from tieline.registry.model import Kind, NewResource, NewSite, NewVen
from tieline.settlement import actions, reads
from tieline.settlement.model import FrozenBaseline, Statement, StatementLine, canonical
from tieline.settlement.part import Settler
from tieline.settlement.routes import ROUTES
from tieline.wires.mqtt.messages import Ack, Answer

ZONE = ZoneInfo("America/Los_Angeles")
START = datetime(2026, 7, 15, 17, 0, tzinfo=ZONE)  # a Wednesday
END = START + timedelta(hours=2)
QUARTER = timedelta(minutes=15)
HISTORY_FROM = START.replace(hour=0) - timedelta(days=14)


class World:
    """A small platform: rows, series and a clock, and what its people and homes do."""

    def __init__(self, rows: SqliteRows, series: Series, clock: VirtualClock) -> None:
        self.rows, self.series, self.clock = rows, series, clock
        self._position = 0

    async def register(self, *ven_ids: str) -> None:
        for ven_id in ven_ids:
            site = NewSite(site_id=f"site-{ven_id}", name=ven_id, zone=str(ZONE))
            hvac = NewResource("hvac", "HVAC", Kind.HVAC, rated_kw=5, sheddable=True)
            await registry.register_ven(self.rows, self.clock, NewVen(ven_id, ven_id, site=site, resources=[hvac]))

    async def read(
        self, ven_id: str, start: datetime, end: datetime, kw: float, known_at: datetime, step: timedelta = QUARTER
    ) -> None:
        """The meter says the same power all the way from start to end."""
        stamps = [start + step * n for n in range(1, (end - start) // step + 1)]
        self._position += 1
        rows = readings(
            [power_series(ven_id)] * len(stamps),
            [at.astimezone(UTC) for at in stamps],
            [kw] * len(stamps),
            known_at=known_at.astimezone(UTC),
            seq=self._position,
        )
        await self.series.append(rows, writer="test", position=self._position)

    async def history(self, *ven_ids: str, kw: float = 2.0, until: datetime = START) -> None:
        for ven_id in ven_ids:
            await self.read(ven_id, HISTORY_FROM, until, kw, known_at=until)

    async def call(
        self,
        *ven_ids: str,
        event_id: str = "hot",
        start: datetime = START,
        end: datetime = END,
        answer: Answer = Answer.ACCEPTED,
    ) -> Event:
        """Those VENs are called, and answer; the event begins."""
        if await self.rows.read(lambda r: dispatch_reads.find_program(r, "summer")) is None:
            await dispatch.add_program(self.rows, self.clock, NewProgram("summer", "Summer peaks"))
        new = NewEvent("summer", start, end, target_kw=1.5 * len(ven_ids), event_id=event_id)
        await dispatch.publish(self.rows, self.clock, new)
        await self.until(start)
        now = self.clock.now()
        headroom = [Headroom(ven_id, "hvac", Kilowatts(1.5)) for ven_id in ven_ids]
        await self.step(event_id, lambda tx, event: dispatch.choose(tx, event, headroom, now))
        await self.step(event_id, lambda tx, event: dispatch.send(tx, event, ven_ids, now))
        for ven_id in ven_ids:
            await self.answer(event_id, ven_id, "event", answer)
        return await self.step(event_id, lambda tx, event: dispatch.begin(tx, event, now))

    async def answer(self, event_id: str, ven_id: str, op: str, answer: Answer = Answer.ACCEPTED) -> None:
        now = self.clock.now()
        ack = Ack(command_id(event_id, ven_id, op), answer, now)
        await self.rows.transaction(lambda tx: dispatch.hear(tx, event_id, ven_id, op, ack, now, Policy()))

    async def over(self, event_id: str = "hot", at: datetime = END, state: EventState = EventState.ENDED) -> None:
        """The event ends, and every VEN gives back."""
        await self.until(at)
        await self.step(event_id, lambda tx, event: dispatch.close(tx, event, state, self.clock.now()))
        for ven_id in await dispatch_reads.participants(self.rows, event_id):
            await self.answer(event_id, ven_id, "restore")

    async def step(self, event_id: str, work: Callable[[Any, Event], None]) -> Event:
        event = await dispatch_reads.event(self.rows, event_id)
        await self.rows.transaction(lambda tx: work(tx, event))
        return await dispatch_reads.event(self.rows, event_id)

    async def until(self, at: datetime) -> None:
        await self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))

    async def settle(self, event_id: str = "hot", known_at: datetime | None = None) -> Statement:
        return await actions.settle(
            event_id,
            rows=self.rows,
            series=self.series,
            clock=self.clock,
            known_at=known_at and known_at.astimezone(UTC),
        )

    async def freeze(self, event: Event) -> FrozenBaseline:
        return await actions.freeze(event, rows=self.rows, series=self.series)

    def settler(self, delay_s: float = 120) -> Settler:
        return Settler(self.rows, self.series, self.clock, delay_s, 0, ())

    def door(self) -> httpx.AsyncClient:
        def given(port: object) -> Provide:
            return Provide(lambda: port, sync_to_thread=False)

        provided = {"rows": given(self.rows), "series": given(self.series), "clock": given(self.clock)}
        app = Litestar(ROUTES, dependencies=provided, exception_handlers=doors.PROBLEMS)
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its scopes more narrowly
        return httpx.AsyncClient(transport=transport, base_url="http://tieline")


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    clock, series = VirtualClock(HISTORY_FROM), DeltaSeries.in_folder(folder / "series")
    async with SqliteRows(folder / "rows.sqlite", clock) as rows:
        await rows.migrate()
        yield World(rows, series, clock)
    await series.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def settled_world(world: World) -> Statement:
    """Two homes that usually draw 2 kW; called, one goes down to 0.5 kW and the other changes nothing."""
    await world.register("home-1", "home-2")
    await world.history("home-1", "home-2")
    await world.freeze(await world.call("home-1", "home-2"))
    await world.read("home-1", START, END + QUARTER, 0.5, known_at=END)
    await world.read("home-2", START, END + QUARTER, 2.0, known_at=END)
    await world.over()
    await world.until(END + timedelta(seconds=120))
    return await world.settle()


# --- the statement ----------------------------------------------------------------------------------------------------


async def test_delivered_is_baseline_less_used(world: World) -> None:
    statement = await settled_world(world)
    home_1, home_2 = statement.lines
    assert (home_1.baseline_kwh, home_1.used_kwh, home_1.delivered_kwh) == (4.0, 1.0, 3.0)
    assert (home_2.baseline_kwh, home_2.used_kwh, home_2.delivered_kwh) == (4.0, 4.0, 0.0)
    assert (home_1.readings, home_1.gap_seconds, home_1.note) == (8, 0.0, "")
    assert (statement.statement_id, statement.target_kwh, statement.vens) == ("hot-1", 6.0, 2)
    assert statement.end_at == END


async def test_the_books_balance(world: World) -> None:
    homes = [f"home-{n}" for n in range(9)]
    await world.register(*homes)
    for n, home in enumerate(homes):
        await world.history(home, kw=1 / 3 + n / 7)
    await world.call(*homes)
    for n, home in enumerate(homes):
        await world.read(home, START, END, 0.1 + n / 11, known_at=END, step=timedelta(seconds=97))
    await world.over(at=END + timedelta(minutes=3))
    statement = await world.settle()

    def micro(kwh: float) -> int:
        return round(kwh * 1_000_000)

    for line in [*statement.lines, statement]:
        assert isinstance(line, StatementLine | Statement)
        assert micro(line.baseline_kwh) - micro(line.used_kwh) == micro(line.delivered_kwh)
    for total in ("baseline_kwh", "used_kwh", "delivered_kwh", "gap_seconds"):
        assert sum(micro(getattr(line, total)) for line in statement.lines) == micro(getattr(statement, total))


async def test_settling_again_with_nothing_new_changes_nothing(world: World) -> None:
    statement = await settled_world(world)
    await world.clock.advance(3600)
    assert canonical(await world.settle()) == canonical(statement)
    assert canonical(await world.settle(known_at=statement.known_at)) == canonical(statement)
    assert len(await reads.summaries(world.rows)) == 1


async def test_the_same_inputs_give_the_same_bytes_elsewhere(world: World, tmp_path: Path) -> None:
    statement = await settled_world(world)
    async with opened(tmp_path / "elsewhere") as other:
        assert canonical(await settled_world(other)) == canonical(statement)


async def test_late_readings_make_a_second_statement_and_leave_the_first(world: World) -> None:
    first = await settled_world(world)
    await world.clock.advance(3600)
    await world.read("home-2", START, END, 1.0, known_at=world.clock.now())
    second = await world.settle()
    assert (second.statement_id, second.lines[1].delivered_kwh) == ("hot-2", 2.0)
    assert second.digest != first.digest
    async with world.door() as door:
        assert (await door.get("/v1/statements/hot-1")).content == msgspec.json.encode(first)
        was = (await door.get("/v1/statements/hot-1/readings?ven_id=home-2")).json()["items"]
        now = (await door.get("/v1/statements/hot-2/readings?ven_id=home-2")).json()["items"]
    assert {reading["value"] for reading in was} == {2.0}
    assert {reading["value"] for reading in now} == {1.0}


async def test_a_gap_counts_on_neither_side(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    await world.call("home-1")
    await world.read("home-1", START, START + timedelta(hours=1), 0.5, known_at=END)
    await world.over()
    (line,) = (await world.settle()).lines
    assert (line.baseline_kwh, line.used_kwh, line.delivered_kwh) == (2.0, 0.5, 1.5)
    assert line.gap_seconds == 3600


async def test_a_cancelled_event_is_settled_until_it_was_cancelled(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    await world.call("home-1")
    stopped = START + timedelta(minutes=47)
    await world.read("home-1", START, END, 0.5, known_at=END)
    await world.over(at=stopped, state=EventState.CANCELLED)
    await world.until(END)
    statement = await world.settle()
    assert statement.end_at == stopped
    assert statement.baseline_kwh == pytest.approx(2 * 47 / 60, abs=1e-6)
    assert statement.delivered_kwh == pytest.approx(1.5 * 47 / 60, abs=1e-6)


async def test_who_took_no_part_and_who_has_no_baseline_is_said(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    await world.until(START - timedelta(days=2))
    await world.register("newcomer")
    await world.call("home-1", "newcomer", answer=Answer.OPTED_OUT)
    for ven_id in ("home-1", "newcomer"):
        await world.read(ven_id, START, END, 2.0, known_at=END)
    await world.over()
    statement = await world.settle()
    home_1, newcomer = statement.lines
    assert home_1.note == "took no part: opted_out"
    assert newcomer.note.startswith("not settled: 0 business days")
    assert (newcomer.baseline_kwh, newcomer.used_kwh, newcomer.readings) == (0, 0, 8)
    assert statement.delivered_kwh == home_1.delivered_kwh


async def test_only_what_is_over_can_be_settled(world: World) -> None:
    await world.register("home-1")
    await world.call("home-1")
    with pytest.raises(Conflict, match="is active"):
        await world.settle()


# --- the baseline -----------------------------------------------------------------------------------------------------


async def test_a_baseline_once_frozen_stays(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    event = await world.call("home-1")
    frozen = await world.freeze(event)
    await world.clock.advance(60)
    await world.read("home-1", HISTORY_FROM, START, 9.0, known_at=world.clock.now())
    assert await world.freeze(event) == frozen
    assert frozen.vens[0].kw == [2.0] * 24
    assert frozen.known_at == event.started_at


async def test_the_same_clock_time_on_other_days_also_where_clocks_change(world: World) -> None:
    """Daylight time began on 8 March 2026: earlier days' 17:00 is an hour later in UTC."""
    start = datetime(2026, 3, 11, 17, 0, tzinfo=ZONE)
    clock = VirtualClock(start - timedelta(days=20))
    world.clock = clock
    await world.register("home-1")
    for n in range(1, 15):
        day = start - timedelta(days=n)
        day = datetime.combine(day.date(), start.timetz()).astimezone(UTC)
        await world.read("home-1", day - timedelta(hours=5), day, 1.0, known_at=start)
        await world.read("home-1", day, day + timedelta(hours=2), 3.0, known_at=start)
    today = start.astimezone(UTC)
    await world.read("home-1", today - timedelta(hours=5), today, 1.0, known_at=start)
    event = await world.call("home-1", start=start, end=start + timedelta(hours=2))
    frozen = await world.freeze(event)
    assert frozen.vens[0].kw == [3.0] * 24


async def test_days_of_other_events_do_not_count(world: World) -> None:
    await world.register("home-1", "home-2")
    await world.history("home-1", "home-2")
    yesterday = START - timedelta(days=1)
    await world.call("home-1", event_id="before", start=yesterday, end=yesterday + timedelta(hours=2))
    await world.over("before", at=yesterday + timedelta(hours=2))
    event = await world.call("home-1", "home-2")
    home_1, home_2 = (await world.freeze(event)).vens
    assert yesterday.date() not in home_1.days
    assert yesterday.date() in home_2.days


async def test_an_event_in_the_hours_before_forbids_the_adjustment(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1", until=START - timedelta(hours=4))
    await world.read("home-1", START - timedelta(hours=4), START, 0.5, known_at=START)
    noon = START - timedelta(hours=4)
    await world.call("home-1", event_id="noon", start=noon, end=noon + timedelta(hours=2))
    await world.over("noon", at=noon + timedelta(hours=2))
    frozen = await world.freeze(await world.call("home-1"))
    assert frozen.vens[0].kw == [2.0] * 24
    assert "an earlier event" in frozen.vens[0].note


# --- the doors --------------------------------------------------------------------------------------------------------


async def test_the_baseline_at_its_door(world: World) -> None:
    await world.register("home-1", "home-2", "newcomer")
    await world.history("home-1", "home-2")
    async with world.door() as door:
        missing = await door.get("/v1/events/hot/baseline")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        event = await world.call("home-1")
        early = (await door.get("/v1/events/hot/baseline")).json()
        assert (early["known_at"], early["at"], early["baseline_kw"]) == (None, [], [])
        await world.freeze(event)
        body = (await door.get("/v1/events/hot/baseline")).json()
    assert body["baseline_kw"] == [4.0] * 24
    assert body["at"] == [START.timestamp() + 300 * n for n in range(24)]
    assert (body["vens"], body["step_s"], body["rule"]) == (2, 300, "caiso-10-in-10")
    assert body["start_at"] == iso(START.astimezone(UTC))
    assert [one["ven_id"] for one in body["left_out"]] == ["newcomer"]


async def test_statements_at_their_doors(world: World) -> None:
    statement = await settled_world(world)
    async with world.door() as door:
        page = (await door.get("/v1/statements?event_id=hot")).json()
        assert page == {"items": [msgspec.to_builtins(statement.summary())], "next_cursor": None}
        assert (await door.get("/v1/statements?event_id=cold")).json()["items"] == []
        csv = await door.get("/v1/statements/hot-1", headers={"accept": "text/csv"})
        assert csv.text.splitlines() == [
            "ven_id,baseline_kwh,used_kwh,delivered_kwh,gap_seconds,readings,note",
            "home-1,4.0,1.0,3.0,0.0,8,",
            "home-2,4.0,4.0,0.0,0.0,8,",
        ]
        for path in ("/v1/statements/hot-9", "/v1/statements/hot-1/readings?ven_id=nobody"):
            assert (await door.get(path)).status_code == 404


async def test_pages_of_statements(world: World) -> None:
    await settled_world(world)
    for kw in (1.5, 1.0):
        await world.clock.advance(60)
        await world.read("home-2", START, END, kw, known_at=world.clock.now())
        await world.settle()
    async with world.door() as door:
        first = (await door.get("/v1/statements?limit=2")).json()
        rest = (await door.get("/v1/statements", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["statement_id"] for one in first["items"] + rest["items"]] == ["hot-3", "hot-2", "hot-1"]
    assert rest["next_cursor"] is None


async def test_the_readings_behind_a_line(world: World) -> None:
    await settled_world(world)
    async with world.door() as door:
        found = (await door.get("/v1/statements/hot-1/readings?ven_id=home-1&limit=5")).json()
        more = (
            await door.get("/v1/statements/hot-1/readings", params={"ven_id": "home-1", "cursor": found["next_cursor"]})
        ).json()
    items = found["items"] + more["items"]
    assert [item["at"] for item in items] == [iso((START + QUARTER * n).astimezone(UTC)) for n in range(1, 9)]
    assert sum(item["value"] * 0.25 for item in items) == 1.0


# --- the loop ---------------------------------------------------------------------------------------------------------


async def test_the_loop_freezes_at_the_start_and_settles_after_the_delay(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    settler = world.settler(delay_s=120)
    await world.call("home-1")
    await settler.look(world.clock.now())
    assert await world.rows.read(reads.frozen_events) == {"hot"}
    await world.over()
    await world.clock.advance(119)
    await settler.look(world.clock.now())
    assert await reads.summaries(world.rows) == []
    await world.clock.advance(1)
    await settler.look(world.clock.now())
    (summary,) = await reads.summaries(world.rows)
    assert summary.known_at == world.clock.now()


async def test_what_nobody_looked_at_is_made_up_for_once(world: World) -> None:
    """A process that was down for the whole event; then two of them, at the same time."""
    await world.register("home-1")
    await world.history("home-1")
    event = await world.call("home-1")
    await world.over()
    await world.clock.advance(500)
    await asyncio.gather(*[world.settler().look(world.clock.now()) for _ in range(2)])
    (summary,) = await reads.summaries(world.rows)
    frozen = await world.rows.read(lambda reader: reads.the_baseline(reader, summary.event_id))
    assert frozen.known_at == event.started_at


async def test_an_event_cancelled_before_its_start_has_no_statement(world: World) -> None:
    await dispatch.add_program(world.rows, world.clock, NewProgram("summer", "Summer peaks"))
    await dispatch.publish(world.rows, world.clock, NewEvent("summer", START, END, 3.0, event_id="hot"))
    await world.step("hot", lambda tx, event: dispatch.close(tx, event, EventState.CANCELLED, world.clock.now()))
    await world.clock.advance(86400)
    await world.settler().look(world.clock.now())
    assert await reads.summaries(world.rows) == []


async def test_a_statement_is_told_with_its_summary(world: World) -> None:
    statement = await settled_world(world)
    outbox = sa.select(OUTBOX.c.data).where(OUTBOX.c.subject == "news.statement.made")
    (news,) = await world.rows.read(lambda reader: reader.execute(outbox).scalars().all())
    assert msgspec.json.decode(news) == msgspec.to_builtins(statement.summary())
