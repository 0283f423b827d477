"""Settlement through its actions: from readings and a ledger to frozen baselines and statements."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.integration.settlement_world import END, HISTORY_FROM, START, ZONE, World, opened, settled_world, world
from tieline.base.errors import Conflict
from tieline.base.time import VirtualClock
from tieline.dispatch.model import EventState
from tieline.settlement import reads
from tieline.settlement.model import Statement, StatementLine, canonical
from tieline.wires.mqtt.messages import Answer

__all__ = ["world"]  # a fixture


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


async def test_a_baseline_reaches_to_the_end_of_an_event_called_for_longer(world: World) -> None:
    await world.register("home-1")
    await world.history("home-1")
    event = await world.call("home-1")
    frozen = await world.freeze(event)
    await world.clock.advance(60)
    await world.read("home-1", HISTORY_FROM, START, 9.0, known_at=world.clock.now())
    longer = await world.extend(event, timedelta(hours=1))
    again = await world.freeze(longer)
    assert (again.known_at, again.end_at) == (frozen.known_at, longer.end_at)
    assert again.vens[0].kw == [2.0] * 36  # from the same knowledge
    assert await world.freeze(longer) == again


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
