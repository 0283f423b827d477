"""Opt-outs in part: of a load, of a part of its power, from an instant on; each with its reason, and made up for."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.integration.dispatch_world import NOW, POLICY, Floor
from tests.servers.rows import with_tables
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock
from tieline.dispatch import actions, reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.metered import HeldSpan, Metered
from tieline.dispatch.model import NewProgram, RowState
from tieline.wires.mqtt.messages import Ack, Answer, Op, OptOut

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = VirtualClock(NOW)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        floor = Floor(rows, clock)
        await floor.add_program(NewProgram("peak", "Peak"))
        yield floor


async def opt_out(floor: Floor, event_id: str, ven_id: str, *opt_outs: OptOut, n: int = 1) -> None:
    """As the VEN's control, and with its answer."""
    for out in opt_outs:
        floor.controls[ven_id].opt_out(f"event:{event_id}", out, floor.clock.now())
    accepted = Ack(f"{event_id}:{ven_id}:event:{n}", Answer.ACCEPTED, floor.clock.now())
    await floor.answer(ven_id, msgspec.structs.replace(accepted, opt_outs=list(opt_outs)))


async def test_from_an_instant_on_it_is_held_until_then_made_up_for_before_and_given_back(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(420)
    first = (await floor.ledger(event_id))[0].ven_id
    leaves_at = floor.clock.now() + 5 * MINUTE
    await opt_out(floor, event_id, first, OptOut("ev", leaves_at, reason="guests"))
    await floor.pass_time(200)
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[first]
    assert (row.state, row.opted_out_from_at) == (RowState.METERED, leaves_at)
    assert len(await floor.ledger(event_id)) == 3  # what it gives until then counts
    await floor.pass_time(95)
    assert len(await floor.ledger(event_id)) > 3  # and what it would give afterwards does not
    held = {ven_id for ven_id, _ in floor.down()}
    assert first in held
    await floor.pass_time(30)
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[first]
    assert (row.state, row.answer) == (RowState.RESTORED, "accepted")  # until then it took part
    assert row.cause == "opted out from 2026-07-15T17:12:00Z on: guests"
    assert row.restoring_at is not None
    assert row.restoring_at - leaves_at < timedelta(seconds=6)
    assert floor.held_kw() >= 6.0
    steps = await floor.rows.read(lambda reader: reads.steps_of(reader, event_id, first))
    assert [step.state for step in steps if "guests" in step.cause] == ["metered", "restoring", "restored"]
    await floor.pass_time(20 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}
    assert first not in {row.ven_id for row in await floor.ledger(event_id) if row.cause == ""}


async def test_who_gives_less_is_counted_for_less_and_others_are_called(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(420)
    before = (await floor.ledger(event_id))[0]
    await opt_out(floor, event_id, before.ven_id, OptOut("ev", limit_kw=1.5, reason="the battery is low"))
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[before.ven_id]
    assert (row.state, row.limit_kw) == (before.state, 1.5)
    assert row.planned_kw == pytest.approx(before.reference_kw - 1.5)
    assert row.cause == "gives less, held to 1.5 kW: the battery is low"
    await opt_out(floor, event_id, before.ven_id, OptOut("ev", limit_kw=1.0))  # says less than what was said
    assert {one.ven_id: one for one in await floor.ledger(event_id)}[before.ven_id] == row


async def test_before_it_is_called_for_and_of_what_has_begun_it_is_out_at_once(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(260)
    first, second, _ = [row.ven_id for row in await floor.ledger(event_id)]
    await opt_out(floor, event_id, first, OptOut(None, floor.clock.now() + timedelta(seconds=30), reason="a party"))
    await opt_out(floor, event_id, second, OptOut("ev", floor.clock.now() - MINUTE), OptOut("pool"))
    rows = {row.ven_id: row for row in await floor.ledger(event_id)}
    assert {rows[ven_id].state for ven_id in (first, second)} == {RowState.OPTED_OUT}
    assert (rows[first].cause, rows[second].cause) == ("a party", "opted out by its owner")
    assert "pool" not in {row.resource_id for row in rows.values()}  # of what was never called
    await floor.pass_time(180)
    assert floor.held_kw() >= 6.0
    await floor.pass_time(20 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}


async def test_who_opts_out_after_the_end_before_it_comes_back_is_given_back(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(420)
    event = await floor.rows.read(lambda reader: reads.the_event(reader, event_id))
    ven_id, now = (await floor.ledger(event_id))[0].ven_id, floor.clock.now()
    late = {ven_id: event.end_at + 30 * MINUTE}
    await floor.rows.transaction(lambda tx: actions.put_off(tx, event, late, now))
    await floor.pass_time(15 * 60)
    states = {row.ven_id: row.state for row in await floor.ledger(event_id)}
    assert (states.pop(ven_id), set(states.values())) == (RowState.METERED, {RowState.RESTORED})
    call = await floor.rows.read(lambda reader: reads.calls_to(reader, event_id, [ven_id]).get(ven_id))
    assert call
    await floor.answer(ven_id, Ack(call.command_id, Answer.OPTED_OUT, floor.clock.now(), "I am back"))
    await floor.pass_time(30)
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[ven_id]
    assert (row.state, row.cause) == (RowState.RESTORED, "I am back")


async def test_who_opts_out_while_others_are_chosen_is_not_called(floor: Floor) -> None:
    event_id, now = await floor.call(100.0, ahead=30), floor.clock.now()

    async def measure(at: datetime, held: Sequence[HeldSpan]) -> Metered:
        out = [OptOut("ev", reason="guests")]
        await floor.rows.transaction(lambda tx: actions.opt_out(tx, event_id, "home-00", out, now))
        return await floor._measure(at, held)

    await Dispatcher(floor.rows, floor.clock, floor._speak, measure, POLICY).step()
    rows = {row.ven_id: row for row in await floor.ledger(event_id)}
    assert (rows["home-00"].state, rows["home-00"].cause) == (RowState.OPTED_OUT, "guests")
    assert "home-00" not in {ven_id for ven_id, _ in floor.spoken}
    assert len(floor.spoken) == 9


async def test_however_much_one_answer_says_of_a_load_it_is_entered_once(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(400)
    ven_id, now = (await floor.ledger(event_id))[0].ven_id, floor.clock.now()
    steps = len(await floor.rows.read(lambda reader: reads.steps_of(reader, event_id, ven_id)))
    later = [OptOut("ev", now + (9 - n / 100) * MINUTE, reason=f"{n}") for n in range(128)]
    less = [OptOut(limit_kw=n / 128, reason=f"{n}") for n in range(1, 128)]
    await opt_out(floor, event_id, ven_id, *later, *less)
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[ven_id]
    assert (row.opted_out_from_at, row.limit_kw) == (later[-1].from_at, 127 / 128)
    assert len(await floor.rows.read(lambda reader: reads.steps_of(reader, event_id, ven_id))) == steps + 2


@pytest.mark.parametrize("seed", range(4))
async def test_in_whatever_order_opt_outs_come_the_ledger_says_the_same_and_ends(floor: Floor, seed: int) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(400)
    ven_id = (await floor.ledger(event_id))[0].ven_id
    now, chance = floor.clock.now(), random.Random(seed)
    said = [
        OptOut("ev", now + 4 * MINUTE), OptOut(None, now + 2 * MINUTE), OptOut("ev", now + 9 * MINUTE),
        OptOut("ev", limit_kw=0.5), OptOut(limit_kw=0.7),
    ] * 2  # fmt: skip
    chance.shuffle(said)
    for out in said:
        await opt_out(floor, event_id, ven_id, out)
    row = {one.ven_id: one for one in await floor.ledger(event_id)}[ven_id]
    assert (row.opted_out_from_at, row.limit_kw) == (now + 2 * MINUTE, 0.7)
    await floor.pass_time(140)
    assert {one.ven_id: one for one in await floor.ledger(event_id)}[ven_id].state is RowState.RESTORED
    await floor.pass_time(25 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}
    assert not floor.down()
    assert {command.op for ven, command in floor.spoken if ven == ven_id} == {Op.EVENT, Op.RESTORE}
