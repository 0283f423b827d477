"""The readings in reports, each value once: over real rows, on a virtual clock, killed at any step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from tests.integration.reports_world import HOUR, NOW, USAGE, World, used, world_in, world_on_postgres
from tieline.base.errors import Unready
from tieline.ports import Reader, Rows, Transaction
from tieline.registry import reads as registry
from tieline.telemetry import reported
from tieline.telemetry.model import Limits
from tieline.vtn import reports
from tieline.wires.openadr31.messages import ReportDescriptor, ReportRequest, decode

T = TypeVar("T")
QUARTER = timedelta(minutes=15)
HOURLY = ReportDescriptor(payload_type="USAGE", start_interval=0, num_intervals=1, frequency=1, repeat=-1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as world:
        yield world


# --- what is taken ----------------------------------------------------------------------------------------------------


async def test_readings_of_a_report_go_onto_the_stream_once(world: World) -> None:
    ven_id, event_id = await world.ven("c1", "HVAC"), await world.event()
    (resource,) = await world.rows.read(lambda reader: registry.resources_of(reader, ven_id))
    series_id = f"{ven_id}.{resource.resource_id}.power_kw"
    await world.clock.advance(1.52 * 3600)
    posted = await world.report(event_id, "c1", used("HVAC", 0.5, 0.25))
    (entry,) = await world.take()
    said = [(series_id, NOW + QUARTER, 2.0), (series_id, NOW + 2 * QUARTER, 1.0)]
    assert await world.vintages() == said
    await world.intake.take(entry)  # delivered again
    await world.report(event_id, "c1", used("HVAC", 0.5, 0.25))  # sent again
    await world.report(event_id, "c1", used("HVAC", 0.5, 0.25), report_id=posted.id)  # put again
    await world.clock.advance(3600)
    await world.report(event_id, "c1", used("HVAC", 0.5, 0.25), report_id=posted.id)  # and again, by now late
    await world.take()
    assert await world.vintages() == said
    await world.report(event_id, "c1", used("HVAC", 0.5, 0.75, 0.25), report_id=posted.id)
    await world.take()
    assert (await world.vintages())[2:] == [(series_id, NOW + 2 * QUARTER, 3.0), (series_id, NOW + 3 * QUARTER, 1.0)]


async def test_a_rolling_forecast_is_a_new_vintage_only_where_it_says_otherwise(world: World) -> None:
    ven_id, event_id = await world.ven("c1", "HVAC"), await world.event()
    forecast = [{**USAGE, "readingType": "FORECAST"}]
    for hour, values in enumerate([(1, 2, 3), (2, 3.5, 4), (3.5, 4, 5)]):
        said = used("AGGREGATED_REPORT", *values, start=NOW + hour * HOUR, each="PT1H")
        await world.report(event_id, "c1", said, payloadDescriptors=forecast)
        await world.clock.advance(3600)
    await world.take()
    series_id = f"{ven_id}.openadr_usage_forecast_kwh"
    assert [(one, (at - NOW) / HOUR, value) for one, at, value in await world.vintages()] == [
        (series_id, 1, 1),
        (series_id, 2, 2),
        (series_id, 3, 3),
        (series_id, 3, 3.5),
        (series_id, 4, 4),
        (series_id, 5, 5),
    ]
    declared = await world.rows.read(lambda reader: registry.the_series(reader, series_id))
    assert (declared.unit, declared.source, declared.step_s, declared.ven_id) == ("KWH", "openadr", 3600, ven_id)


async def test_an_older_state_never_comes_over_a_newer_one(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(2 * 3600)
    first = await world.report(event_id, "c1", used("HVAC", 0.5), used("Pool", 1))
    other = await world.report(event_id, "c1", used("HVAC", 0.25))
    await world.clock.advance(60)
    await world.report(event_id, "c1", used("HVAC", 0.75), report_id=first.id)
    older, old, new = await world.entries()
    for entry in (new, older, old):
        await world.intake.take(entry)
    assert [value for _, _, value in await world.vintages()] == [3.0]
    assert await world.dead() == []  # of the state that was overtaken
    assert other.id != first.id


async def test_what_cannot_be_taken_is_a_dead_letter_with_its_bytes_and_the_report_stays(world: World) -> None:
    ven_id, event_id = await world.ven("c1", "HVAC"), await world.event()
    await world.clock.advance(2 * 3600)
    posted = await world.report(
        event_id,
        "c1",
        used("HVAC", 0.5),
        used("Pool", 1),
        used("HVAC", 1, start=NOW + 9 * HOUR),
        {"resourceName": "HVAC", "intervals": [{"id": 99, "payloads": [{"type": "USAGE", "values": [1]}]}]},
        {"resourceName": "HVAC", "intervals": [{"id": 0, "payloads": [{"type": "READING", "values": [1]}]}]},
    )
    (entry,) = await world.take()
    await world.intake.take(entry)
    letters = {one.reason: one for one in await world.dead()}
    assert sorted(letters) == ["future stamp", "no period", "no unit", "unknown load"]
    assert len(await world.dead()) == 4
    assert {(one.ven_id, one.subject) for one in letters.values()} == {(ven_id, "news.openadr.report.created")}
    assert await world.blobs.get(letters["unknown load"].digest) == entry.data
    assert "'Pool'" in letters["unknown load"].detail
    assert [value for _, _, value in await world.vintages()] == [2.0]
    assert await world.rows.read(lambda reader: reports.the(reader, posted.id)) == posted


async def test_a_report_that_was_deleted_before_it_was_read_is_not_taken(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    posted, now = await world.report(event_id, "c1", used("HVAC", 0.5)), world.clock.now()
    await world.do(lambda tx: reports.delete(tx, posted.id, now))
    await world.clock.advance(2 * 3600)
    await world.take()
    assert (await world.vintages(), await world.dead()) == ([], [])
    assert await world.states(event_id) == [(4, "expected")]


async def test_what_is_not_a_change_is_refused_and_stops_nothing(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(2 * 3600)
    await world.report(event_id, "c1", used("HVAC", 0.5))
    (entry,) = await world.entries()
    said: list[tuple[str, bytes]] = []

    class Log:
        async def say(self, subject: str, data: bytes, *, key: str | None = None) -> int:
            said.append((subject, data))
            return 1

    intake = world.new_intake()
    intake._log = Log()  # type: ignore[assignment]  # all that a refusal asks of it
    await intake.take(replace(entry, data=b"what is this"))
    await intake.take(entry)
    assert [subject for subject, _ in said] == ["dead.mqtt"]
    assert [value for _, _, value in await world.vintages()] == [2.0]


async def test_what_is_too_old_to_come_again_is_forgotten(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(2 * 3600)
    await world.report(event_id, "c1", used("HVAC", 0.5))
    await world.take()
    await reported.forget(world.rows, world.clock, Limits())
    await world.report(event_id, "c1", used("HVAC", 0.5))
    await world.take()
    assert len(await world.vintages()) == 1
    await world.clock.advance(47 * 86400)
    await reported.forget(world.rows, world.clock, Limits())
    await world.report(event_id, "c1", used("HVAC", 0.5))
    await world.take()
    assert (len(await world.vintages()), [one.reason for one in await world.dead()]) == (1, ["stale stamp"])


# --- faults -----------------------------------------------------------------------------------------------------------


class Dying(Rows):
    """Rows of a process that is killed at its n-th step, before or after the commit of that step."""

    def __init__(self, rows: Rows, step: int, *, committed: bool) -> None:
        self._rows, self._left, self._committed = rows, step, committed

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        return await self._step(lambda: self._rows.transaction(work))

    async def read(self, work: Callable[[Reader], T]) -> T:
        return await self._step(lambda: self._rows.read(work))

    async def ready(self) -> None: ...

    async def _step(self, do: Callable[[], Awaitable[T]]) -> T:
        self._left -= 1
        if self._left < 0:
            if self._committed:
                await do()
            raise Unready("killed")
        return await do()


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("step", range(3))
async def test_killed_at_any_step_everything_happens_once(world: World, step: int, committed: bool) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event(HOURLY)
    await world.clock.advance(2.1 * 3600)
    out = {"resourceName": "HVAC", "intervals": [{"id": 0, "payloads": [{"type": "OPERATING_STATE",
           "values": ["IDLE_OPTED_OUT"]}]}]}  # fmt: skip
    await world.report(event_id, "c1", used("HVAC", 1, each="PT1H"), used("Pool", 1), out)
    (entry,) = await world.entries()
    dying = world.new_intake(Dying(world.rows, step, committed=committed))
    try:
        await dying.take(entry)
    except Unready:
        await world.new_intake().take(entry)
    assert len(await world.vintages()) == 4
    assert [one.reason for one in await world.dead()] == ["unknown load"]
    assert (await world.states(event_id))[0] == (1, "received")
    assert [len(rows) for rows in (await world.ledger(event_id)).values()] == [1]


async def test_two_processes_that_are_lent_the_same_take_it_once(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event(HOURLY)
    await world.clock.advance(2.1 * 3600)
    for _ in range(3):  # the same thrice, by three reports
        await world.report(event_id, "c1", used("HVAC", 1, each="PT1H"), used("Pool", 1))
    entries = await world.entries()
    processes = [world.new_intake() for _ in range(4)]
    await asyncio.gather(*[one.take(entry) for one in processes for entry in entries])
    assert len(await world.vintages()) == 4
    assert len(await world.dead()) == 3
    assert sorted(state for due, state in await world.states(event_id) if due in (None, 1)) == [
        "not_wanted",
        "not_wanted",
        "received",
    ]


async def test_it_is_all_the_same_on_postgresql(tmp_path: Path, postgres_tables: str) -> None:
    async with world_on_postgres(postgres_tables, tmp_path) as world:
        vens = [await world.ven(f"c{n}", "HVAC") for n in range(3)]
        event_id = await world.event(HOURLY, ReportDescriptor(payload_type="USAGE", frequency=0))
        await world.clock.advance(2.1 * 3600)
        posted = [await world.report(event_id, f"c{n}", used("HVAC", 1, each="PT1H")) for n in range(2)]
        entries = await world.entries()
        processes = [world.new_intake() for _ in range(3)]
        await asyncio.gather(*[one.take(entry) for one in processes for entry in entries])
        assert len(await world.vintages()) == 8
        await world.report(event_id, "c0", used("HVAC", 2, each="PT1H"), report_id=posted[0].id)
        await world.take()
        assert len(await world.vintages()) == 12
        await world.clock.advance(3600)
        await asyncio.gather(*[world.new_overdue().sweep() for _ in range(3)])
        assert [one.ven_ids for one in await world.missing()] == [[vens[2]]]
        states = [state for _, state in await world.states(event_id)]
        assert {one: states.count(one) for one in states} == {"received": 4, "missing": 1, "expected": 9}
        await reported.forget(world.rows, world.clock, Limits())


async def test_a_large_report_is_taken_whole(world: World) -> None:
    await world.ven("c1", "HVAC")
    event_id = await world.event()
    await world.clock.advance(4 * 3600)
    values = [{"type": "USAGE", "values": [0.001] * 19_999}]
    resource = {"resourceName": "HVAC", "intervals": [{"id": 0, "payloads": values}],
                "intervalPeriod": {"start": NOW.isoformat(), "duration": "PT1H"}}  # fmt: skip
    now = world.clock.now()
    said = {"eventID": event_id, "clientName": "c", "payloadDescriptors": [USAGE], "resources": [resource]}
    request: ReportRequest = decode(ReportRequest, msgspec.json.encode(said))
    await world.do(lambda tx: reports.create(tx, request, "c1", now))
    await world.take()
    assert len(await world.vintages()) == 19_999
