"""A small platform for the tests of settlement: rows, series and a clock, and what its people and homes do."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from tests.integration.dispatch_world import metered_now
from tests.servers.rows import AnyRows, rows_at, with_tables
from tieline import doors
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.series import DeltaSeries
from tieline.base.names import power_series
from tieline.base.series import readings
from tieline.base.time import VirtualClock
from tieline.dispatch import actions as dispatch
from tieline.dispatch import publishing
from tieline.dispatch import reads as dispatch_reads
from tieline.dispatch.holding import Circle, look
from tieline.dispatch.model import Event, EventChange, EventState, NewEvent, NewProgram, Policy, command_id
from tieline.ports import Blobs, Series
from tieline.registry import actions as registry
from tieline.registry.model import Kind, NewResource, NewSite, NewVen
from tieline.settlement import actions
from tieline.settlement.model import FrozenBaseline, Statement
from tieline.settlement.part import Settler, part
from tieline.wires.mqtt.messages import Ack, Answer, Op

ZONE = ZoneInfo("America/Los_Angeles")
START = datetime(2026, 7, 15, 17, 0, tzinfo=ZONE)  # a Wednesday
END = START + timedelta(hours=2)
QUARTER = timedelta(minutes=15)
EVERYBODY = ("", "~")
"""From the first VEN's id to the last's."""
HISTORY_FROM = START.replace(hour=0) - timedelta(days=14)


class World:
    """A small platform: rows, series and a clock, and what its people and homes do."""

    def __init__(self, rows: AnyRows, series: Series, clock: VirtualClock, blobs: Blobs) -> None:
        self.rows, self.series, self.clock, self.blobs = rows, series, clock, blobs
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

    async def add_program(self, new: NewProgram) -> None:
        now = self.clock.now()
        await self.rows.transaction(lambda tx: publishing.add_program(tx, new, now))

    async def extend(self, event: Event, by: timedelta) -> Event:
        now = self.clock.now()
        change = EventChange(end_at=event.end_at + by)
        await self.rows.transaction(lambda tx: publishing.change(tx, event.event_id, change, now))
        return await dispatch_reads.event(self.rows, event.event_id)

    async def publish(self, new: NewEvent) -> None:
        now = self.clock.now()
        await self.rows.transaction(lambda tx: publishing.publish(tx, new, now))

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
            await self.add_program(NewProgram("summer", "Summer peaks"))
        await self.publish(NewEvent("summer", start, end, target_kw=1.5 * len(ven_ids), event_id=event_id))
        await self.until(start)
        now = self.clock.now()
        metered = metered_now({(ven_id, "hvac"): 1.5 for ven_id in ven_ids}, now)
        await self.step(
            event_id, lambda tx, event: dispatch.hold(tx, event, look(event, [], Circle(), metered, Policy()))
        )
        await self.step(event_id, lambda tx, event: dispatch.send(tx, event, EVERYBODY, now, now))
        for ven_id in ven_ids:
            await self.answer(event_id, ven_id, "event", answer)
        return await self.step(event_id, lambda tx, event: dispatch.begin(tx, event, now))

    async def answer(self, event_id: str, ven_id: str, op: str, answer: Answer = Answer.ACCEPTED) -> None:
        now = self.clock.now()
        call = await self.rows.read(lambda reader: dispatch_reads.calls_to(reader, event_id, [ven_id]).get(ven_id))
        ack = Ack(call.command_id if call else command_id(event_id, ven_id, op), answer, now)
        await self.rows.transaction(lambda tx: dispatch.hear(tx, event_id, ven_id, Op(op), ack, now, Policy()))

    async def over(self, event_id: str = "hot", at: datetime = END, state: EventState = EventState.ENDED) -> None:
        """The event ends, and every VEN gives back."""
        await self.until(at)
        await self.step(event_id, lambda tx, event: dispatch.close(tx, event, state, self.clock.now()))
        now = self.clock.now()
        await self.step(event_id, lambda tx, event: dispatch.send(tx, event, EVERYBODY, now, now))
        for ven_id in await dispatch_reads.participants(self.rows, event_id):
            await self.answer(event_id, ven_id, "restore")

    async def step(self, event_id: str, work: Callable[[Any, Event], object]) -> Event:
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
            blobs=self.blobs,
            known_at=known_at and known_at.astimezone(UTC),
        )

    async def freeze(self, event: Event) -> FrozenBaseline:
        return await actions.freeze(event, rows=self.rows, series=self.series)

    def settler(self, delay_s: float = 120) -> Settler:
        return Settler(self.rows, self.series, self.clock, self.blobs, delay_s, 0, ())

    def door(self) -> httpx.AsyncClient:
        def given(port: object) -> Provide:
            return Provide(lambda: port, sync_to_thread=False)

        ports = {"rows": self.rows, "series": self.series, "clock": self.clock, "blobs": self.blobs}
        provided = {name: given(port) for name, port in ports.items()}
        routes = part(self.rows, self.series, self.clock, blobs=self.blobs).routes
        app: Any = Litestar(routes, dependencies=provided, exception_handlers=doors.PROBLEMS)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app)
        return httpx.AsyncClient(transport=transport, base_url="http://tieline")


@contextlib.asynccontextmanager
async def opened(folder: Path, place: str | None = None) -> AsyncIterator[World]:
    """With its rows at a place, else in a file of its own."""
    clock, series = VirtualClock(HISTORY_FROM), DeltaSeries.in_folder(folder / "series")
    async with rows_at(place or str(with_tables(folder / "rows.sqlite")), clock) as rows:
        yield World(rows, series, clock, ObjectBlobs.folder(folder / "blobs"))
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
