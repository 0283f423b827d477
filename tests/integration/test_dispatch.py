"""Dispatch over real rows and a virtual clock: VENs that accept, decline, dawdle, go silent; a broker that fails."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.dispatch_world import NOW, POLICY, Floor
from tests.servers.rows import with_tables
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Conflict, NotFound, Refused
from tieline.base.time import VirtualClock
from tieline.dispatch import reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.metered import HeldSpan, Metered
from tieline.dispatch.model import (
    EventState,
    NewEvent,
    NewProgram,
    RowState,
)
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op

SECOND = timedelta(seconds=1)
LONG_AGO = datetime(1, 1, 1, 1, tzinfo=UTC)


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = VirtualClock(NOW)
    async with SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        floor = Floor(rows, clock)
        await floor.add_program(NewProgram("peak", "Peak"))
        yield floor


async def test_an_event_is_planned_sent_acted_on_and_given_back(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(235)
    assert await floor.ledger(event_id) == []  # more than a minute ahead nobody is called yet
    await floor.pass_time(15)
    assert {row.state for row in await floor.ledger(event_id)} <= {RowState.SENT, RowState.ACKED}
    await floor.pass_time(120)
    view = await floor.view(event_id)
    assert (view.state, view.rows["metered"]) == (EventState.ACTIVE, 3)
    assert view.planned_kw >= 6.0
    assert view.delivered_kw is not None
    assert view.delivered_kw >= 6.0
    await floor.pass_time(16 * 60)
    view = await floor.view(event_id)
    assert (view.state, view.rows["restored"]) == (EventState.ENDED, 3)
    for row in await floor.ledger(event_id):
        times = [
            row.planned_at, row.sent_at, row.acked_at, row.acting_at, row.metered_at, row.restoring_at, row.restored_at
        ]  # fmt: skip
        assert times == sorted(at for at in times if at is not None)
    assert {command.op for command in floor.retained.values()} == {Op.RESTORE}


async def test_the_shortfall_of_answers_is_planned_again(floor: Floor) -> None:
    out: list[str] = []

    def behave(ven_id: str, command: Command) -> tuple[float, Answer]:
        if len(out) < 2 and command.op is Op.EVENT:
            out.append(ven_id)
        return 3.0, Answer.OPTED_OUT if ven_id in out and command.op is Op.EVENT else Answer.ACCEPTED

    floor.behave = behave
    event_id = await floor.call(6.0)
    await floor.pass_time(260)
    rows = await floor.ledger(event_id)
    assert sum(row.planned_kw for row in rows if row.answer == "accepted") >= 6.0
    assert [row.ven_id for row in rows if row.answer == "opted_out"] == out
    assert len(rows) == 5  # two of the three first called declined, two others were called for them
    await floor.pass_time(20 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}


async def test_an_owner_who_opts_out_later_is_given_back_and_others_are_called(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(420)
    first = (await floor.ledger(event_id))[0]
    accepted = Ack(f"{event_id}:{first.ven_id}:event:1", Answer.ACCEPTED, floor.clock.now())
    await floor.answer(first.ven_id, msgspec.structs.replace(accepted, answer=Answer.OPTED_OUT, reason="by the owner"))
    await floor.answer(first.ven_id, accepted)  # delivered again, late
    rows = {row.ven_id: row for row in await floor.ledger(event_id)}
    assert (rows[first.ven_id].state, rows[first.ven_id].cause) == (RowState.OPTED_OUT, "by the owner")
    await floor.pass_time(120)
    view = await floor.view(event_id)
    assert len(await floor.ledger(event_id)) > 3  # others were called for it
    assert view.delivered_kw is not None
    assert view.delivered_kw >= 6.0
    await floor.pass_time(20 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}


async def test_a_command_without_an_answer_is_said_again_with_the_same_identity(floor: Floor) -> None:
    floor.behave = lambda *_: None
    await floor.call(2.0)
    await floor.pass_time(360)
    first, _ = floor.spoken[0]
    said = [command for ven_id, command in floor.spoken if ven_id == first and command.op is Op.EVENT]
    assert len(said) >= 3
    assert len({command.command_id for command in said}) == 1


async def test_a_stopped_event_gives_back_at_once(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.pass_time(400)
    await floor.cancel(event_id)
    await floor.pass_time(20)
    view = await floor.view(event_id)
    assert (view.state, view.rows["restored"]) == (EventState.CANCELLED, 3)
    assert (await floor.cancel(event_id)).state is EventState.CANCELLED


async def test_who_never_answers_the_restore_is_escalated_and_who_comes_back_later_is_restored(floor: Floor) -> None:
    mute: list[str] = []

    def behave(ven_id: str, command: Command) -> tuple[float, Answer] | None:
        if command.op is Op.EVENT and not mute:
            mute.append(ven_id)
        return None if (ven_id, command.op) == (mute[0], Op.RESTORE) else (3, Answer.ACCEPTED)

    floor.behave = behave
    event_id = await floor.call(6.0)
    await floor.pass_time(300 + 15 * 60 + 17 * 60)
    states = {row.ven_id: row.state for row in await floor.ledger(event_id)}
    assert states.pop(mute[0]) is RowState.ESCALATED
    assert list(states.values()) == [RowState.RESTORED] * 2
    await floor.answer(mute[0], Ack(f"{event_id}:{mute[0]}:restore:2", Answer.ACCEPTED, floor.clock.now()))
    assert (await floor.view(event_id)).rows["restored"] == 3


async def test_an_event_stopped_while_it_is_planned_calls_nobody(floor: Floor) -> None:
    event_id = await floor.call(6.0, ahead=30)

    async def measure(now: datetime, held: Sequence[HeldSpan]) -> Metered:
        await floor.cancel(event_id)
        return await floor._measure(now, held)

    await Dispatcher(floor.rows, floor.clock, floor._speak, measure, POLICY).step()
    await floor.pass_time(60)
    assert (await floor.ledger(event_id), floor.spoken) == ([], [])


async def test_who_refuses_to_restore_is_told_again_and_never_taken_for_restored(floor: Floor) -> None:
    def behave(_: str, command: Command) -> tuple[float, Answer]:
        return 3, Answer.REFUSED if command.op is Op.RESTORE else Answer.ACCEPTED

    floor.behave = behave
    event_id = await floor.call(2.0)
    await floor.pass_time(300 + 15 * 60 + 300)
    rows = await floor.ledger(event_id)
    assert {row.state for row in rows} == {RowState.RESTORING}
    assert "did not restore: refused" in rows[0].cause
    assert len([1 for _, command in floor.spoken if command.op is Op.RESTORE]) > 3
    await floor.pass_time(12 * 60)
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.ESCALATED}


async def test_a_restore_is_issued_after_what_it_takes_back(floor: Floor) -> None:
    await floor.call(6.0)
    await floor.pass_time(300 + 16 * 60)
    for ven_id in {ven_id for ven_id, _ in floor.spoken}:
        issued = {op: {c.issued_at for v, c in floor.spoken if v == ven_id and c.op is op} for op in Op}
        assert len(issued[Op.EVENT]) == 1
        assert min(issued[Op.RESTORE]) > max(issued[Op.EVENT])


async def test_two_dispatchers_that_cross_say_whole_commands(floor: Floor) -> None:
    """The other one looks while this one measures: each command still carries its limits, and is said once."""
    event_id = await floor.call(100.0, ahead=30)
    other = Dispatcher(floor.rows, floor.clock, floor._speak, floor._measure, POLICY)

    async def measure(now: datetime, held: Sequence[HeldSpan]) -> Metered:
        await other.step()
        return await floor._measure(now, held)

    await Dispatcher(floor.rows, floor.clock, floor._speak, measure, POLICY).step()
    assert len(await floor.ledger(event_id)) == len(floor.draws)
    assert all(command.limits for _, command in floor.spoken)
    assert len(floor.spoken) == len({ven_id for ven_id, _ in floor.spoken}) == len(floor.draws)


async def test_a_load_is_never_held_by_two_events(floor: Floor) -> None:
    first, second = await floor.call(10.0), await floor.call(100.0)
    await floor.pass_time(400)
    held = [{(row.ven_id, row.resource_id) for row in await floor.ledger(one)} for one in (first, second)]
    assert all(held)
    assert not held[0] & held[1]


async def test_an_event_whose_window_passed_while_nothing_ran_ends_by_its_clock(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    await floor.clock.advance(3600)
    await floor.dispatcher.step()
    view = await floor.view(event_id)
    assert (view.state, sum(view.rows.values())) == (EventState.ENDED, 0)


async def test_a_broker_that_is_away_delays_and_loses_nothing(floor: Floor) -> None:
    event_id = await floor.call(6.0)
    floor.deaf = True
    await floor.pass_time(290)
    floor.deaf = False
    await floor.pass_time(120)
    assert (await floor.view(event_id)).rows["metered"] >= 3


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_row_ends_and_nothing_stays_shed(floor: Floor, seed: int) -> None:
    """Random answers, delays, silences and broker failures; a second dispatcher beside; a stop at a random moment."""
    chance = random.Random(seed)
    other = Dispatcher(floor.rows, floor.clock, floor._speak, floor._measure, POLICY)

    def behave(_: str, command: Command) -> tuple[float, Answer] | None:
        if chance.random() < 0.2:
            return None
        answer = chance.choice(list(Answer)) if command.op is Op.EVENT else Answer.ACCEPTED
        return chance.uniform(0, 120), answer

    floor.behave = behave
    events = [await floor.call(chance.uniform(1, 15), ahead=chance.uniform(0, 400), minutes=20) for _ in range(2)]
    for _ in range(60):
        floor.deaf = chance.random() < 0.15
        await floor.pass_time(60, step=15)
        await other.step()
        if chance.random() < 0.02:
            await _stop(floor, chance.choice(events))
    floor.deaf = False
    await floor.pass_time(40 * 60, step=30)
    for event_id in events:
        rows = await floor.ledger(event_id)
        assert {row.state for row in rows} <= {RowState.RESTORED, RowState.ESCALATED}
        assert all(row.answer in (None, "accepted") for row in rows if row.state is RowState.ESCALATED)
    assert {command.op for command in floor.retained.values()} <= {Op.RESTORE}
    assert all(command.limits for _, command in floor.spoken if command.op is Op.EVENT)
    begun = [(ven_id, command.command_id) for ven_id, command in floor.spoken]
    assert len(set(begun)) == len({command_id for _, command_id in begun})  # an identity belongs to one VEN


async def _stop(floor: Floor, event_id: str) -> None:
    try:
        await floor.cancel(event_id)
    except Conflict:
        assert (await floor.view(event_id)).state is EventState.ENDED


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"end_at": NOW}, "end after it starts"),
        ({"start_at": NOW - SECOND}, "past"),
        ({"end_at": NOW + timedelta(days=3)}, "24 h"),
        ({"start_at": LONG_AGO, "end_at": LONG_AGO + timedelta(hours=1), "allow_past": True}, "days ago"),
    ],
)
async def test_a_window_that_cannot_be_called_is_refused(floor: Floor, changed: dict[str, Any], said: str) -> None:
    good = NewEvent("peak", NOW + timedelta(minutes=1), NOW + timedelta(minutes=2), 1.0)
    with pytest.raises(Refused, match=said):
        await floor.publish(msgspec.structs.replace(good, **changed))
    assert await reads.views(floor.rows) == []


async def test_the_past_is_called_when_it_is_meant(floor: Floor) -> None:
    past = NewEvent("peak", NOW - timedelta(minutes=5), NOW + timedelta(minutes=5), 2.0, allow_past=True)
    event_id = (await floor.publish(past)).event_id
    await floor.pass_time(30)
    rows = (await floor.view(event_id)).rows
    assert rows["acting"] + rows["metered"] == 1


async def test_what_is_not_there_or_there_already_is_refused(floor: Floor) -> None:
    new = NewEvent("peak", NOW + SECOND, NOW + timedelta(minutes=1), 1.0, event_id="one")
    await floor.publish(new)
    with pytest.raises(Conflict):
        await floor.publish(new)
    with pytest.raises(NotFound):
        await floor.publish(msgspec.structs.replace(new, program_id="other", event_id="two"))
    with pytest.raises(Conflict):
        await floor.add_program(NewProgram("peak", "Again"))
    with pytest.raises(NotFound):
        await floor.answer("home-01", Ack("one:home-01:event", Answer.ACCEPTED, NOW))  # it was sent nothing


async def test_every_change_is_told_on_the_log(floor: Floor) -> None:
    event_id = await floor.call(2.0)
    await floor.pass_time(300 + 16 * 60)
    said = await floor.rows.read(lambda reader: [row.subject for row in reader.execute(OUTBOX.select())])
    told = [subject.removeprefix("news.event.") for subject in said if subject.startswith("news.event.")]
    assert [one for one in told if one != "progress"] == ["published", "planned", "started", "ended"]
    assert event_id
