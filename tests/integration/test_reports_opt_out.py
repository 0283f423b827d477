"""An opt-out that a report tells reaches the delivery ledger: whoever was called or not, whenever it comes, once."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.dispatch_world import metered_now
from tests.integration.reports_world import HOUR, STATE, World, state, world_in
from tieline.base.time import iso
from tieline.dispatch import actions, publishing, reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.holding import Circle, look
from tieline.dispatch.metered import HeldSpan, Metered
from tieline.dispatch.model import (
    HELD,
    EventState,
    EventView,
    LedgerRow,
    NewEvent,
    NewProgram,
    Policy,
    RowState,
    parse_command_id,
)
from tieline.registry import reads as registry
from tieline.ven.control import Control
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op
from tieline.wires.openadr31.messages import ReportDescriptor

POLICY = Policy()
LOADS = ("EV", "HVAC")


class Fleet:
    """VENs that take commands by MQTT and opt out by OpenADR reports; a dispatcher on the world's clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: dict[str, str] = {}
        self.loads: dict[tuple[str, str], str] = {}
        self.behave: Callable[[str, Command], tuple[float, Answer] | None] = lambda *_: (3.0, Answer.ACCEPTED)
        self.spoken: list[tuple[datetime, str, Command]] = []
        self.controls: dict[str, Control] = {}
        self._answers: list[tuple[datetime, str, Ack]] = []
        self.dispatcher = Dispatcher(world.rows, world.clock, self._speak, self._measure, POLICY)

    async def join(self, homes: int) -> "Fleet":
        for n in range(homes):
            ven_id = await self.world.ven(f"client-{n}", *LOADS)
            self.clients[ven_id] = f"client-{n}"
            for one in await registry.resources(self.world.rows, ven_id):
                self.loads[ven_id, one.name] = one.resource_id
            self.controls[ven_id] = Control([self.loads[ven_id, name] for name in LOADS])
        now = self.world.clock.now()
        await self.world.do(lambda tx: publishing.add_program(tx, NewProgram("peak", "Peak"), now))
        return self

    async def _speak(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            self._hear(topic, payload)

    def _hear(self, topic: str, payload: bytes) -> None:
        ven_id, command = topic.rpartition("/")[2], msgspec.json.decode(payload, type=Command)
        now = self.world.clock.now()
        self.spoken.append((now, ven_id, command))
        if (answer := self.behave(ven_id, command)) is not None:
            due = now + timedelta(seconds=answer[0])
            if answer[1] is Answer.ACCEPTED:
                self.controls[ven_id].take(command, due)
            self._answers.append((due, ven_id, Ack(command.command_id, answer[1], due)))

    async def _measure(self, now: datetime, _: Sequence[HeldSpan]) -> Metered:
        """Each home draws 2 kW with its EV and 1 kW with its heating, the first homes a little more."""
        draws = {
            (ven_id, self.loads[ven_id, name]): kw - n / 1000
            for n, ven_id in enumerate(self.clients)
            for name, kw in (("EV", 2.0), ("HVAC", 1.0))
        }
        down = [(ven_id, load) for ven_id, control in self.controls.items() for load in control.limits(now)]
        return metered_now(draws, now, down=down)

    async def pass_time(self, seconds: float, step: float = 5) -> None:
        for _ in range(round(seconds / step)):
            await self.world.clock.advance(step)
            due = [one for one in self._answers if one[0] <= self.world.clock.now()]
            self._answers = [one for one in self._answers if one[0] > self.world.clock.now()]
            for _, ven_id, ack in due:
                await self._answer(ven_id, ack)
            await self.dispatcher.step()

    async def _answer(self, ven_id: str, ack: Ack) -> None:
        event_id, _, op = parse_command_id(ack.command_id)
        now = self.world.clock.now()
        await self.world.do(lambda tx: actions.hear(tx, event_id, ven_id, op, ack, now, POLICY))

    async def call(self, kw: float, *, ahead: float = 300, minutes: float = 15) -> str:
        now = self.world.clock.now()
        start = now + timedelta(seconds=ahead)
        new = NewEvent("peak", start, start + timedelta(minutes=minutes), kw)
        return (await self.world.do(lambda tx: publishing.publish(tx, new, now))).event_id

    async def opt_out(self, event_id: str, ven_id: str, name: str, said: str = "IDLE_OPTED_OUT", **more: Any) -> None:
        report = await self.world.report(
            event_id, self.clients[ven_id], state(name, said), payloadDescriptors=[STATE], **more
        )
        assert report.event_id == event_id
        await self.world.take()

    async def rows(self, event_id: str) -> list[LedgerRow]:
        return await self.world.rows.read(lambda reader: reads.ledger_of(reader, event_id))

    async def view(self, event_id: str) -> EventView:
        return await self.world.rows.read(lambda reader: reads.the_view(reader, event_id))

    async def row(self, event_id: str, ven_id: str, name: str) -> LedgerRow:
        (found,) = [
            one
            for one in await self.rows(event_id)
            if (one.ven_id, one.resource_id) == (ven_id, self.loads[ven_id, name])
        ]
        return found

    def called(self, ven_id: str) -> set[str]:
        """The loads that were ever commanded."""
        return {limit.resource_id for _, one, command in self.spoken if one == ven_id for limit in command.limits}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with world_in(tmp_path) as world:
        yield await Fleet(world).join(4)


@pytest.fixture
async def large_fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with world_in(tmp_path) as world:
        yield await Fleet(world).join(10)


async def test_who_opts_out_before_the_plan_is_not_called(fleet: Fleet) -> None:
    event_id, (first, second, *_) = await fleet.call(3.0), fleet.clients
    await fleet.opt_out(event_id, first, "EV")
    await fleet.opt_out(event_id, second, "AGGREGATED_REPORT", "RUNNING_OPTED_OUT", reportName="on holiday")
    row = await fleet.row(event_id, first, "EV")
    assert (row.state, row.planned_kw, row.answer, row.sent_at) == (RowState.OPTED_OUT, 0.0, "opted_out", None)
    assert row.cause.startswith("report ")
    assert row.cause.endswith(": IDLE_OPTED_OUT")
    assert (await fleet.row(event_id, second, "HVAC")).cause.endswith(": RUNNING_OPTED_OUT (on holiday)")
    await fleet.pass_time(330)
    assert fleet.loads[first, "EV"] not in fleet.called(first)
    assert fleet.called(second) == set()
    view = await fleet.view(event_id)
    assert (view.rows["opted_out"], view.acked_kw >= 3.0) == (3, True)
    await fleet.pass_time(20 * 60)
    assert {one.state for one in await fleet.rows(event_id)} == {RowState.RESTORED}
    assert {ven_id for _, ven_id, command in fleet.spoken if ven_id == second} == set()


async def test_who_opts_out_between_plan_and_command_is_not_called_and_others_are(fleet: Fleet) -> None:
    event_id, (first, *_) = await fleet.call(3.0, ahead=30), fleet.clients
    event, now = await fleet.world.rows.read(lambda reader: reads.the_event(reader, event_id)), fleet.world.clock.now()
    metered = await fleet._measure(now, ())
    await fleet.world.do(lambda tx: actions.hold(tx, event, look(event, [], Circle(), metered, POLICY)))
    first = (await fleet.rows(event_id))[0].ven_id
    await fleet.opt_out(event_id, first, "EV")
    await fleet.pass_time(80)
    assert fleet.loads[first, "EV"] not in fleet.called(first)
    assert (await fleet.row(event_id, first, "EV")).planned_kw == pytest.approx(2.0, rel=0.01)
    accepted = [one for one in await fleet.rows(event_id) if one.answer == "accepted"]
    assert sum(one.planned_kw for one in accepted) >= 3.0


async def test_who_opts_out_while_it_acts_is_replaced_and_still_restored(large_fleet: Fleet) -> None:
    fleet = large_fleet
    event_id = await fleet.call(4.0, minutes=30)
    await fleet.pass_time(400)
    evs = {ven_id: fleet.loads[ven_id, "EV"] for ven_id in fleet.clients}
    acting = [one for one in await fleet.rows(event_id) if one.resource_id == evs[one.ven_id]]
    assert {one.state for one in acting} == {RowState.METERED}
    await fleet.opt_out(event_id, acting[0].ven_id, "EV")
    await fleet.pass_time(60)
    rows = await fleet.rows(event_id)
    assert sum(one.planned_kw for one in rows if one.state in HELD) >= 3.95
    again = [one for one in rows if one.state in HELD and one.ven_id not in {one.ven_id for one in acting}]
    await fleet.opt_out(event_id, again[0].ven_id, "AGGREGATED_REPORT")
    await fleet.pass_time(60)
    rows = await fleet.rows(event_id)
    assert sum(one.planned_kw for one in rows if one.state in HELD) >= 3.95
    out = await fleet.row(event_id, acting[0].ven_id, "EV")
    assert (out.state, out.answer, out.planned_kw > 0) == (RowState.OPTED_OUT, "opted_out", True)
    assert out.acked_at is not None
    assert out.acting_at is not None
    assert out.acked_at <= out.acting_at
    await fleet.pass_time(40 * 60)
    assert {one.state for one in await fleet.rows(event_id)} == {RowState.RESTORED}
    assert [command.op for _, ven_id, command in fleet.spoken if ven_id == acting[0].ven_id][-1] is Op.RESTORE


async def test_who_opts_out_of_a_later_interval_is_held_until_then(large_fleet: Fleet) -> None:
    fleet = large_fleet
    event_id = await fleet.call(4.0, minutes=30)
    await fleet.pass_time(400)
    evs = {ven_id: fleet.loads[ven_id, "EV"] for ven_id in fleet.clients}
    ven_id = next(one.ven_id for one in await fleet.rows(event_id) if one.resource_id == evs[one.ven_id])
    from_at = fleet.world.clock.now() + timedelta(minutes=5)
    said = state("EV", "IDLE_OPTED_OUT")
    said["intervals"][0]["intervalPeriod"] = {"start": iso(from_at), "duration": "PT10M"}
    await fleet.world.report(event_id, fleet.clients[ven_id], said, payloadDescriptors=[STATE], reportName="on holiday")
    await fleet.world.take()
    row = await fleet.row(event_id, ven_id, "EV")
    assert (row.state, row.opted_out_from_at) == (RowState.METERED, from_at)
    await fleet.pass_time(330)
    row = await fleet.row(event_id, ven_id, "EV")
    assert (row.state, row.cause.endswith("IDLE_OPTED_OUT (on holiday)")) == (RowState.RESTORED, True)
    assert sum(one.planned_kw for one in await fleet.rows(event_id) if one.state in HELD) >= 3.95


async def test_others_on_their_way_count_before_more_are_called(large_fleet: Fleet) -> None:
    """Two opt out one after the other: the second is not made up for twice."""
    fleet = large_fleet
    fleet.behave = lambda *_: (20.0, Answer.ACCEPTED)
    event_id = await fleet.call(4.0, minutes=30)
    await fleet.pass_time(400)
    evs = {ven_id: fleet.loads[ven_id, "EV"] for ven_id in fleet.clients}
    acting = [one.ven_id for one in await fleet.rows(event_id) if one.resource_id == evs[one.ven_id]]
    await fleet.opt_out(event_id, acting[0], "EV")
    await fleet.pass_time(5)
    await fleet.opt_out(event_id, acting[1], "EV")
    await fleet.pass_time(120)
    rows = await fleet.rows(event_id)
    assert 3.95 <= sum(one.planned_kw for one in rows if one.state in HELD) < 5


async def test_a_load_that_opted_out_of_one_event_is_free_for_another(fleet: Fleet) -> None:
    later, (first, *_) = await fleet.call(3.0, ahead=7200), fleet.clients
    for ven_id in fleet.clients:
        await fleet.opt_out(later, ven_id, "AGGREGATED_REPORT")
    soon = await fleet.call(12.0, ahead=120)
    await fleet.pass_time(150)
    assert len(await fleet.rows(soon)) == 8
    assert fleet.loads[first, "EV"] in fleet.called(first)


@pytest.mark.parametrize("said", ["NORMAL", "IDLE_NORMAL", "RUNNING_CURTAILED", "ERROR"])
async def test_other_states_change_nothing(fleet: Fleet, said: str) -> None:
    event_id, (first, *_) = await fleet.call(3.0), fleet.clients
    await fleet.opt_out(event_id, first, "EV", said)
    assert await fleet.rows(event_id) == []
    await fleet.opt_out(event_id, first, "EV")
    await fleet.opt_out(event_id, first, "EV", said)
    assert [one.state for one in await fleet.rows(event_id)] == [RowState.OPTED_OUT]


async def test_delivered_and_said_again_it_changes_nothing_twice(fleet: Fleet) -> None:
    event_id, (first, *_) = await fleet.call(3.0), fleet.clients
    await fleet.pass_time(400)
    posted = await fleet.world.report(event_id, fleet.clients[first], state("EV", "IDLE_OPTED_OUT"))
    entries = await fleet.world.take()
    once, told = await fleet.rows(event_id), await progress(fleet)
    for entry in entries:
        await fleet.world.new_intake().take(entry)
    await fleet.opt_out(event_id, first, "EV")
    await fleet.opt_out(event_id, first, "EV", report_id=posted.id)
    assert (await fleet.rows(event_id), await progress(fleet)) == (once, told)


async def progress(fleet: Fleet) -> int:
    return len(await fleet.world.said("news.event.progress", EventView))


async def test_what_comes_after_the_end_changes_nothing(fleet: Fleet) -> None:
    event_id, (first, second, *_) = await fleet.call(3.0), fleet.clients
    await fleet.pass_time(400)
    await fleet.pass_time(15 * 60)
    assert (await fleet.view(event_id)).state is EventState.ENDED
    ended = await fleet.rows(event_id)
    for ven_id in (first, second):
        await fleet.opt_out(event_id, ven_id, "AGGREGATED_REPORT")
    assert await fleet.rows(event_id) == ended


async def test_an_event_that_only_signals_has_its_opt_outs_and_rests(fleet: Fleet) -> None:
    """Nobody is called, so that nothing has to be watched until it ends: then its rows end too."""
    event_id = await fleet.world.event(ReportDescriptor(payload_type="OPERATING_STATE", frequency=0))
    first = next(iter(fleet.clients))
    await fleet.opt_out(event_id, first, "EV")
    assert [one.state for one in await fleet.rows(event_id)] == [RowState.OPTED_OUT]
    assert await fleet.world.states(event_id) == [(None, "received")]
    now = fleet.world.clock.now()
    assert await fleet.world.rows.read(lambda reader: reads.unfinished(reader, now)) == []
    await fleet.pass_time(6 * HOUR.total_seconds(), step=600)
    assert [one.state for one in await fleet.rows(event_id)] == [RowState.RESTORED]
    assert fleet.spoken == []


async def test_a_deleted_event_ends_its_opt_outs(fleet: Fleet) -> None:
    event_id, (first, *_) = await fleet.call(3.0, ahead=7200), fleet.clients
    await fleet.opt_out(event_id, first, "EV")
    now = fleet.world.clock.now()
    await fleet.world.do(lambda tx: publishing.delete_event(tx, event_id, now))
    assert [one.state for one in await fleet.rows(event_id)] == [RowState.RESTORED]


@pytest.mark.parametrize("seed", range(10))
async def test_whoever_opts_out_whenever_every_row_ends_and_nobody_out_is_called(fleet: Fleet, seed: int) -> None:
    """Random answers and silences, random opt-outs of loads and whole VENs, before, in and after two events."""
    chance = random.Random(seed)

    def behave(_: str, command: Command) -> tuple[float, Answer] | None:
        if chance.random() < 0.2:
            return None
        answer = chance.choice(list(Answer)) if command.op is Op.EVENT else Answer.ACCEPTED
        return chance.uniform(0, 90), answer

    fleet.behave = behave
    events = [await fleet.call(chance.uniform(1, 8), ahead=chance.uniform(60, 400), minutes=15) for _ in range(2)]
    out: dict[tuple[str, str, str], datetime] = {}
    for _ in range(40):
        await fleet.pass_time(30, step=15)
        if chance.random() < 0.3:
            event_id, ven_id, name = chance.choice(events), chance.choice(list(fleet.clients)), chance.choice(LOADS)
            whole = chance.random() < 0.3
            await fleet.opt_out(event_id, ven_id, "AGGREGATED_REPORT" if whole else name)
            for one in LOADS if whole else (name,):
                out.setdefault((event_id, ven_id, fleet.loads[ven_id, one]), fleet.world.clock.now())
    await fleet.pass_time(45 * 60, step=30)
    begun: dict[tuple[str, str], datetime] = {}
    for at, ven_id, command in fleet.spoken:
        begun.setdefault((command.event_id, ven_id), at)
        for limit in command.limits:
            opted_at = out.get((command.event_id, ven_id, limit.resource_id))
            assert opted_at is None or begun[command.event_id, ven_id] <= opted_at
    for event_id in events:
        rows = await fleet.rows(event_id)
        assert {one.state for one in rows} <= {RowState.RESTORED, RowState.ESCALATED}
        for row in rows:
            times = [row.planned_at, row.sent_at, row.restoring_at, row.restored_at]
            told = [at for at in times if at is not None]
            assert told == sorted(told)
