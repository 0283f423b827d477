"""Programs and events as documents, over real rows: what may change, what stands once the fleet was called."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from tests.integration.dispatch_world import metered_now
from tests.servers.rows import with_tables
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Conflict, NotFound
from tieline.base.time import VirtualClock
from tieline.dispatch import actions, publishing, reads
from tieline.dispatch.calls import as_request
from tieline.dispatch.holding import Circle, Look, look
from tieline.dispatch.model import Event, EventState, NewEvent, Policy
from tieline.ports import Transaction
from tieline.registry import openadr
from tieline.wires.openadr31.messages import (
    BlResourceRequest,
    BlVenRequest,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    ValuesMap,
)

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
HOUR = timedelta(hours=1)
T = TypeVar("T")


class Desk:
    """Work in transactions, a second later each time."""

    def __init__(self, rows: SqliteRows) -> None:
        self.rows, self.now = rows, NOW

    async def do(self, work: Callable[[Transaction, datetime], T]) -> T:
        self.now += timedelta(seconds=1)
        now = self.now
        return await self.rows.transaction(lambda tx: work(tx, now))

    async def program(self, **more: object) -> str:
        request = ProgramRequest(program_name="peak", **more)  # type: ignore[arg-type]
        return (await self.do(lambda tx, now: publishing.create_program(tx, request, now))).program_id

    async def call(self, program_id: str) -> Event:
        request = as_request(NewEvent(program_id, NOW + HOUR, NOW + 2 * HOUR, 60.0))
        return await self.do(lambda tx, now: publishing.create_event(tx, request, now))

    async def update(self, event_id: str, request: EventRequest) -> Event:
        return await self.do(lambda tx, now: publishing.update_event(tx, event_id, request, now))

    async def event(self, event_id: str) -> Event:
        return await reads.event(self.rows, event_id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), VirtualClock(NOW)) as rows:
        yield Desk(rows)


def looked(event: Event, now: datetime) -> Look:
    """At nobody."""
    return look(event, [], Circle(), metered_now({}, now), Policy())


def empty(request: EventRequest) -> EventRequest:
    """Called off: a window without duration (User Guide 7.9)."""
    return msgspec.structs.replace(request, interval_period=IntervalPeriod(start="0001-01-01", duration="PT0S"))


async def test_events_without_a_time_of_their_own_move_with_their_program(desk: Desk) -> None:
    program_id = await desk.program(interval_period=IntervalPeriod(start="2026-07-15T18:00:00Z", duration="PT1H"))
    price = Interval(id=0, payloads=(ValuesMap(type="PRICE", values=(0.2,)),))
    inherits = EventRequest(program_id=program_id, intervals=(price,))
    event_id = (await desk.do(lambda tx, now: publishing.create_event(tx, inherits, now))).event_id
    moved = ProgramRequest(
        program_name="peak", interval_period=IntervalPeriod(start="2026-07-15T20:00:00Z", duration="PT1H")
    )
    await desk.do(lambda tx, now: publishing.update_program(tx, program_id, moved, now))
    event = await desk.event(event_id)
    assert (event.start_at, event.end_at) == (NOW + 3 * HOUR, NOW + 4 * HOUR)


async def test_a_call_that_was_called_off_is_not_revived(desk: Desk) -> None:
    event = await desk.call(await desk.program())
    await desk.do(lambda tx, now: actions.hold(tx, event, looked(event, now)))
    await desk.update(event.event_id, empty(event.request))
    assert (await desk.event(event.event_id)).state is EventState.CANCELLED
    with pytest.raises(Conflict, match="called off"):
        await desk.update(event.event_id, event.request)


async def test_the_dispatcher_leaves_an_event_that_was_moved_since_it_looked(desk: Desk) -> None:
    seen = await desk.call(await desk.program())
    later = as_request(NewEvent(seen.program_id, NOW + 5 * HOUR, NOW + 6 * HOUR, 30.0))
    await desk.update(seen.event_id, later)
    await desk.do(lambda tx, now: actions.hold(tx, seen, looked(seen, now)))
    await desk.do(lambda tx, now: actions.begin(tx, seen, now))
    await desk.do(lambda tx, now: actions.close(tx, seen, EventState.ENDED, now))
    event = await desk.event(seen.event_id)
    assert (event.state, event.planned_at, event.target_kw) == (EventState.SCHEDULED, None, 30.0)


async def test_deleting_a_program_calls_its_events_off(desk: Desk) -> None:
    program_id = await desk.program()
    event = await desk.call(program_id)
    await desk.do(lambda tx, now: publishing.delete_program(tx, program_id, now))
    assert (await desk.event(event.event_id)).state is EventState.CANCELLED
    with pytest.raises(NotFound):
        await desk.do(lambda tx, now: publishing.delete_event(tx, event.event_id, now))
    assert await desk.program() != program_id  # its name is free again


async def test_resources_go_with_their_ven_to_another_client(desk: Desk) -> None:
    new = BlVenRequest(client_id="alice", ven_name="home")
    ven = await desk.do(lambda tx, now: openadr.create_ven(tx, new, "UTC", now, named=True))
    pump = BlResourceRequest(client_id="alice", resource_name="pump", ven_id=ven.id)
    resource = await desk.do(lambda tx, now: openadr.create_resource(tx, pump, now, named=True))
    given = BlVenRequest(client_id="bob", ven_name="home")
    await desk.do(lambda tx, now: openadr.update_ven(tx, ven.id, given, now, named=True))
    assert (await desk.rows.read(lambda r: openadr.the_resource(r, resource.id))).client_id == "bob"


async def test_a_name_that_a_ven_chose_is_not_confirmed_by_writing_it_back(desk: Desk) -> None:
    own = BlVenRequest(client_id="mallory", ven_name="hospital")
    ven = await desk.do(lambda tx, now: openadr.create_ven(tx, own, "UTC", now, named=False))
    back = BlVenRequest(client_id="mallory", ven_name="hospital", targets=("north",))
    await desk.do(lambda tx, now: openadr.update_ven(tx, ven.id, back, now, named=True))
    assert await desk.rows.read(openadr.named_ones) == set()
    renamed = BlVenRequest(client_id="mallory", ven_name="clinic")
    await desk.do(lambda tx, now: openadr.update_ven(tx, ven.id, renamed, now, named=True))
    assert await desk.rows.read(openadr.named_ones) == {ven.id}
