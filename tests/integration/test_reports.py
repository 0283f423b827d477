"""Reports that are due, come, come late or not at all: over real rows, on a virtual clock."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from tests.integration.reports_world import HOUR, NOW, World, used, world_in
from tieline.base.time import iso
from tieline.dispatch import publishing
from tieline.dispatch import reads as dispatch
from tieline.ports import Transaction
from tieline.registry import openadr
from tieline.vtn import expectations, tracking
from tieline.wires.openadr31.messages import EventRequest, IntervalPeriod, ReportDescriptor

T = TypeVar("T")
QUARTER = timedelta(minutes=15)
HOURLY = ReportDescriptor(payload_type="USAGE", start_interval=0, num_intervals=1, frequency=1, repeat=-1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as world:
        yield world


# --- expectations -----------------------------------------------------------------------------------------------------


async def test_a_report_is_expected_received_and_listed(world: World) -> None:
    ven_id, event_id = await world.ven("c1", "HVAC"), await world.event()
    assert await world.states(event_id) == [(4, "expected")]
    await world.clock.advance(5.2 * 3600)
    posted = await world.report(event_id, "c1", used("HVAC", 1, 1, 1, 1, each="PT1H"))
    await world.take()
    (listed,) = await world.tracked(event_id)
    assert (listed["ven_id"], listed["descriptor"], listed["payload_type"]) == (ven_id, 0, "USAGE")
    assert (listed["state"], listed["report_id"]) == ("received", posted.id)
    assert listed["received_at"] == (NOW - HOUR + timedelta(hours=5.2)).isoformat().replace("+00:00", "Z")
    await world.clock.advance(HOUR.total_seconds())
    await world.sweep()
    assert await world.missing() == []


async def test_what_does_not_come_is_missing_and_told_once_and_later_late(world: World) -> None:
    ven_id, event_id = await world.ven("c1", "HVAC"), await world.event(HOURLY)
    await world.clock.advance(2.2 * 3600)
    await world.sweep()
    assert await world.missing() == []  # due, but within its grace
    await world.clock.advance(3600)
    await world.sweep()
    await world.sweep()
    assert [(one.due_at, one.ven_ids, one.missing) for one in await world.missing()] == [(NOW + HOUR, [ven_id], 1)]
    assert (await world.states(event_id))[:3] == [(1, "missing"), (2, "expected"), (3, "expected")]
    await world.report(event_id, "c1", used("HVAC", 1, each="PT1H"))
    await world.take()
    assert (await world.states(event_id))[0] == (1, "late")
    await world.sweep()
    assert len(await world.missing()) == 1


async def test_what_is_missing_survives_a_restart_and_is_told_by_one_process(world: World) -> None:
    vens = [await world.ven(f"c{n}", "HVAC") for n in range(3)]
    event_id = await world.event(HOURLY)
    await world.clock.advance(3.5 * 3600)
    sweeps = [world.new_overdue() for _ in range(4)]
    await asyncio.gather(*[one.sweep() for one in sweeps])
    await world.clock.advance(3600)
    await asyncio.gather(*[one.sweep() for one in [*sweeps, world.new_overdue()]])
    told = await world.missing()
    assert [(one.due_at - NOW) / HOUR for one in told] == [1, 2, 3]
    assert {tuple(one.ven_ids) for one in told} == {tuple(sorted(vens))}
    assert [state for _, state in await world.states(event_id)].count("missing") == 9


async def test_what_is_judged_stays_judged(world: World) -> None:
    """A process that lags behind, and sees other VENs, does not judge again."""
    ven_id, event_id = await world.ven("c1"), await world.event(HOURLY)
    context = await world.rows.read(lambda reader: tracking.context(reader, event_id))
    assert context is not None
    event, program = context
    first, second, *_ = expectations.due(event, program, after=NOW, until=NOW + 9 * HOUR)
    asked = [{ven_id: NOW - HOUR}]
    for dues, whom, owing in ((first, asked, 1), (second, asked, 1), (first, [{"other": NOW - HOUR}], 0)):
        assert await world.do(partial(tracking.judge, event=event, dues=[dues], asked=whom)) == owing
    assert await world.rows.read(lambda reader: tracking.judged_until(reader, event_id)) == second.due_at


async def test_an_outage_of_the_sweep_misses_nothing(world: World) -> None:
    await world.ven("c1", "HVAC")
    await world.event(HOURLY, hours=48)
    await world.clock.advance(72 * 3600)
    await world.sweep()
    assert [(one.due_at - NOW) / HOUR for one in await world.missing()] == list(range(1, 49))


async def test_only_those_are_asked_who_see_the_event_and_have_a_client(world: World) -> None:
    north, meter = await world.ven("c1", targets=["north"]), await world.ven("c2", targets=["north", "meters"])
    await world.ven("c3", targets=["south"])
    await world.ven(openadr.UNCLAIMED)
    both = (ReportDescriptor(payload_type="USAGE"), ReportDescriptor(payload_type="DEMAND", targets=("meters",)))
    event_id = await world.event(*both, targets=("north",))
    expected = {(one["ven_id"], one["payload_type"]) for one in await world.tracked(event_id)}
    assert expected == {(north, "USAGE"), (meter, "USAGE"), (meter, "DEMAND")}
    await world.clock.advance(6 * 3600)
    await world.sweep()
    missing = {(one.payload_type, tuple(one.ven_ids)) for one in await world.missing()}
    assert missing == {("USAGE", tuple(sorted([north, meter]))), ("DEMAND", (meter,))}


async def test_only_the_report_of_who_is_asked_counts(world: World) -> None:
    asked, other = await world.ven("c1", "HVAC", targets=["north"]), await world.ven("c2", "HVAC", targets=["south"])
    event_id = await world.event(ReportDescriptor(payload_type="USAGE", targets=("north", "west")))
    for client_id in ("c1", "c2"):
        await world.report(event_id, client_id, used("HVAC", 1, 1, 1, 1, each="PT1H"))
    await world.take()
    states = {one["ven_id"]: one["state"] for one in await world.tracked(event_id)}
    assert states == {asked: "received", other: "not_wanted"}


async def test_who_came_after_a_report_was_due_owes_none(world: World) -> None:
    await world.event(HOURLY)
    await world.clock.advance(2.5 * 3600)
    ven_id = await world.ven("c1")
    await world.clock.advance(2 * 3600)
    await world.sweep()
    assert [((one.due_at - NOW) / HOUR, one.ven_ids) for one in await world.missing()] == [(2, [ven_id]), (3, [ven_id])]


async def test_what_nobody_asked_for_is_listed_as_not_wanted(world: World) -> None:
    await world.ven("c1", "HVAC", targets=["north"])
    asked = ReportDescriptor(payload_type="DEMAND", targets=("south",))
    event_id = await world.event(ReportDescriptor(payload_type="DEMAND"), asked)
    posted = await world.report(event_id, "c1", used("HVAC", 1))
    await world.take()
    await world.report(event_id, "c1", used("HVAC", 2), report_id=posted.id)
    await world.take()
    assert await world.states(event_id) == [(None, "not_wanted"), (4, "expected")]


async def test_a_report_when_the_ven_likes_is_received_and_never_missing(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event(ReportDescriptor(payload_type="USAGE", frequency=0))
    assert await world.tracked(event_id) == []
    posted = await world.report(event_id, "c1", used("HVAC", 1))
    await world.report(event_id, "c1", used("HVAC", 1), report_id=posted.id)
    await world.report(event_id, "c1", used("HVAC", 2))
    await world.take()
    await world.clock.advance(48 * 3600)
    await world.sweep()
    assert await world.states(event_id) == [(None, "received"), (None, "received")]
    assert await world.missing() == []


async def test_one_report_kept_up_to_date_pays_every_turn(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id, posted = await world.event(HOURLY), None
    await world.clock.advance(3600)
    for hour in range(1, 5):
        await world.clock.advance(3600)
        posted = await world.report(
            event_id, "c1", used("HVAC", *[1] * hour, each="PT1H"), report_id=posted.id if posted else None
        )
        await world.take()
        await world.sweep()
    await world.clock.advance(3600)
    await world.sweep()
    assert await world.states(event_id) == [(hour, "received") for hour in (1, 2, 3, 4)]
    assert await world.missing() == []


async def test_an_event_that_is_moved_asks_again_and_one_that_is_only_renamed_does_not(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(5.1 * 3600)
    await world.report(event_id, "c1", used("HVAC", 1, 1, 1, 1, each="PT1H"))
    await world.take()
    await change(world, event_id, event_name="renamed")
    assert await world.states(event_id) == [(4, "received")]
    await world.clock.advance(3600)
    await world.sweep()
    assert await world.missing() == []
    later = IntervalPeriod(start=iso(NOW + 10 * HOUR), duration="PT1H")
    await change(world, event_id, interval_period=later)
    assert await world.states(event_id) == [(4, "received"), (14, "expected")]
    await world.clock.advance(10 * 3600)
    await world.sweep()
    assert [(one.due_at - NOW) / HOUR for one in await world.missing()] == [14]


async def change(world: World, event_id: str, **values: Any) -> None:
    now = world.clock.now()

    def work(tx: Transaction) -> None:
        old: EventRequest = dispatch.the_event(tx, event_id).request
        publishing.update_event(tx, event_id, replace(old, **values), now)

    await world.do(work)


async def test_a_deleted_event_expects_nothing_more(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event(HOURLY)
    await world.clock.advance(2.5 * 3600)
    await world.sweep()
    now = world.clock.now()
    await world.do(lambda tx: publishing.delete_event(tx, event_id, now))
    await world.clock.advance(5 * 3600)
    await world.sweep()
    assert await world.states(event_id) == [(1, "missing")]


async def test_the_list_is_paged_as_csv_and_strict(world: World) -> None:
    for n in range(7):
        await world.ven(f"c{n}", "HVAC")
    event_id = await world.event(HOURLY, ReportDescriptor(payload_type="DEMAND"))
    await world.report(event_id, "c1", used("HVAC", 1, each="PT1H"))
    await world.take()
    whole = await world.tracked(event_id, limit=1000)
    assert len(whole) == 7 * 5
    for limit in (1, 4, 34):
        assert await world.tracked(event_id, limit=limit) == whole
    async with world.door() as door:
        answer = await door.get(f"/v1/events/{event_id}/reports", headers={"accept": "text/csv"})
        lines = answer.text.splitlines()
        assert lines[0] == "ven_id,descriptor,turn,payload_type,due_at,state,report_id,received_at"
        assert len(lines) == 1 + len(whole)
        assert (await door.get("/v1/events/none/reports")).status_code == 404
        for cursor in ("x", "fHx8", "YXwxfGI="):
            assert (await door.get(f"/v1/events/{event_id}/reports", params={"cursor": cursor})).status_code == 422
