"""A target that is held: changed, profiled, undone by homes that drop out and come back; on both kinds of rows."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.integration.dispatch_world import NOW, POLICY, Floor
from tests.servers.rows import rows_at
from tieline.base.errors import Conflict, NotFound, Refused
from tieline.base.time import VirtualClock
from tieline.dispatch import publishing, reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.model import (
    EventChange,
    EventState,
    Level,
    NewProgram,
    ProgramChange,
    RowState,
    Rules,
    number_of,
)
from tieline.registry import actions as registry
from tieline.registry.model import NewSite, NewVen
from tieline.wires.mqtt.messages import Ack, Answer, Command, Op

AT_ONCE = Rules(return_s=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def floor(tables: str) -> AsyncIterator[Floor]:
    clock = VirtualClock(NOW)
    async with rows_at(tables, clock) as rows:
        floor = Floor(rows, clock, loads=("ev", "dryer"))
        await floor.add_program(NewProgram("peak", "Peak", rules=AT_ONCE))
        yield floor


async def test_more_or_less_is_called_or_given_back_within_seconds(floor: Floor) -> None:
    event_id = await floor.call(8.0)
    await floor.pass_time(420)
    assert 8.0 <= floor.held_kw() < 10.5
    await floor.change(event_id, EventChange(target_kw=20.0))
    await floor.pass_time(10)
    assert 20.0 <= floor.held_kw() < 22.5
    await floor.pass_time(120)
    await floor.change(event_id, EventChange(target_kw=6.0))
    await floor.pass_time(10)
    assert 6.0 <= floor.held_kw() < 8.5
    assert (await floor.view(event_id)).target_kw == 6.0


async def test_each_command_says_all_that_is_asked_and_has_a_number_of_its_own(floor: Floor) -> None:
    """A VEN called for one load, then for both, then for one, then for none."""
    event_id = await floor.call(40.0)
    await floor.pass_time(420)
    await floor.change(event_id, EventChange(target_kw=20.0))
    await floor.pass_time(30)
    said = [command for ven_id, command in floor.spoken if ven_id == "home-00"]
    assert [number_of(command.command_id) for command in said] == list(range(1, len(said) + 1))
    for ven_id, command in floor.retained.items():
        now = floor.clock.now()
        limits = {one.resource_id for one in command.limits} if command.op is Op.EVENT else set()
        assert floor.controls[ven_id].limits(now).keys() == limits
    both = [command for _, command in floor.spoken if len(command.limits) == 2]
    less = [v for v, command in floor.retained.items() if len(command.limits) < 2]
    assert both
    assert less
    states = await floor.states(event_id)
    assert states[RowState.RESTORED] + states[RowState.METERED] == 20


async def test_an_answer_to_an_older_command_undoes_nothing(floor: Floor) -> None:
    floor.behave = lambda _, command: (40.0, Answer.ACCEPTED) if number_of(command.command_id) > 1 else None
    event_id = await floor.call(2.0, ahead=60)
    await floor.pass_time(20)
    (row,) = await floor.ledger(event_id)
    await floor.cancel(event_id)
    await floor.pass_time(5)
    await floor.answer(row.ven_id, Ack(f"{event_id}:{row.ven_id}:event:1", Answer.ACCEPTED, floor.clock.now()))
    (row,) = await floor.ledger(event_id)
    assert (row.state, row.answer) == (RowState.RESTORING, "accepted")
    for never in (f"{event_id}:{row.ven_id}:event:2", f"{event_id}:{row.ven_id}:restore:3"):
        with pytest.raises(NotFound, match="was sent no command"):
            await floor.answer(row.ven_id, Ack(never, Answer.ACCEPTED, floor.clock.now()))
    await floor.pass_time(60)
    assert await floor.states(event_id) == {RowState.RESTORED: 1}


async def test_homes_that_drop_out_are_replaced_and_given_back_when_they_return(floor: Floor) -> None:
    event_id = await floor.call(8.0)
    await floor.pass_time(420)
    floor.silent = {ven_id for ven_id, _ in floor.down()}
    await floor.pass_time(70)
    heard = sum(floor.draws[load] for load in floor.down() if load[0] not in floor.silent)
    assert heard >= 8.0
    floor.silent = set()
    await floor.pass_time(130)
    assert 8.0 <= floor.held_kw() < 10.5
    causes = {row.cause for row in await floor.ledger(event_id) if row.state is RowState.RESTORED}
    assert causes == {"released: more was held than asked"}


async def test_a_profile_is_followed(floor: Floor) -> None:
    start = floor.clock.now() + timedelta(seconds=300)
    steps = [Level(start + 5 * MINUTE, 16.0), Level(start + 10 * MINUTE, 4.0)]
    event_id = await floor.call(8.0, profile=steps)
    for at, kw in ((420, 8.0), (300, 16.0), (300, 4.0)):
        await floor.pass_time(at)
        assert kw <= floor.held_kw() < kw + 2.5
    view = await floor.view(event_id)
    assert (view.target_kw, view.profile) == (16.0, steps)
    seen = await floor.rows.read(lambda reader: reads.deliveries(reader, event_id))
    assert {one.target_kw for one in seen} == {8.0, 16.0, 4.0}


async def test_another_end_is_said_at_once_and_kept_by_the_homes_own_clock(floor: Floor) -> None:
    event_id = await floor.call(8.0)
    await floor.pass_time(400)
    end = floor.clock.now() + timedelta(minutes=5)
    await floor.change(event_id, EventChange(end_at=end))
    await floor.pass_time(10)
    held = {ven_id for ven_id, _ in floor.down()}
    assert {floor.retained[ven_id].end_at for ven_id in held} == {end}
    await floor.clock.advance(300)
    assert floor.held_kw() == 0
    await floor.pass_time(60)
    assert (await floor.view(event_id)).state is EventState.ENDED
    with pytest.raises(Conflict, match="is over"):
        await floor.change(event_id, EventChange(target_kw=9.0))


async def test_a_change_that_cannot_be_is_refused(floor: Floor) -> None:
    event_id = await floor.call(8.0)
    with pytest.raises(Refused):
        await floor.change(event_id, EventChange(end_at=NOW))
    with pytest.raises(Refused, match="profile"):
        await floor.change(event_id, EventChange(profile=[Level(NOW, 3.0)]))
    with pytest.raises(NotFound):
        await floor.change("nothing", EventChange(target_kw=3.0))


async def test_who_was_called_today_rests_where_the_program_says_so(floor: Floor) -> None:
    rules = Rules(events_a_day=1, return_s=0)
    await floor.rows.transaction(lambda tx: publishing.change_program(tx, "peak", ProgramChange(rules)))
    for n in range(10):
        await register(floor, f"home-{n:02}")
    first = await floor.call(12.0, minutes=5)
    await floor.pass_time(11 * 60)
    second = await floor.call(100.0, minutes=5)
    await floor.pass_time(6 * 60)
    called = [{row.ven_id for row in await floor.ledger(one)} for one in (first, second)]
    assert all(called)
    assert not called[0] & called[1]
    plans = await floor.rows.read(lambda reader: reads.plans_of(reader, second))
    whys = await floor.rows.read(lambda reader: reads.why(reader, second, plans[-1].plan_id))
    assert {one.ven_id for one in whys if one.reason == "call_limit_day"} == called[0]


async def register(floor: Floor, ven_id: str) -> None:
    site = NewSite(site_id=ven_id, name=ven_id, zone="UTC")
    await registry.register_ven(floor.rows, floor.clock, NewVen(ven_id=ven_id, name=ven_id, site=site))


async def test_every_state_is_kept_with_its_time_and_cause(floor: Floor) -> None:
    event_id = await floor.call(2.0)
    await floor.pass_time(420)
    await floor.cancel(event_id)
    await floor.pass_time(20)
    (row,) = await floor.ledger(event_id)
    steps = await floor.rows.read(lambda reader: reads.steps_of(reader, event_id, row.ven_id))
    assert [step.state for step in steps] == [
        RowState.PLANNED, RowState.SENT, RowState.ACKED, RowState.ACTING, RowState.METERED, RowState.RESTORING,
        RowState.RESTORED,
    ]  # fmt: skip
    assert [step.at for step in steps] == sorted(step.at for step in steps)


@pytest.mark.parametrize("seed", range(3))
async def test_two_dispatchers_at_once_do_nothing_twice(floor: Floor, seed: int) -> None:
    """Side by side all the way, with answers that dawdle: one command a number, every row ends, nothing stays shed."""
    chance = random.Random(seed)
    beside = [Dispatcher(floor.rows, floor.clock, floor._speak, floor._measure, POLICY) for _ in range(2)]

    def behave(_: str, command: Command) -> tuple[float, Answer] | None:
        if chance.random() < 0.1:
            return None
        declines = command.op is Op.EVENT and chance.random() < 0.2
        return chance.uniform(0, 60), chance.choice(list(Answer)) if declines else Answer.ACCEPTED

    floor.behave = behave
    event_id = await floor.call(20.0, minutes=10)
    for _ in range(80):
        await floor.clock.advance(5)
        await floor.take_answers()
        await asyncio.gather(*(one.step() for one in beside))
        if chance.random() < 0.1 and (await floor.view(event_id)).state in (EventState.SCHEDULED, EventState.ACTIVE):
            await floor.change(event_id, EventChange(target_kw=chance.uniform(4, 30)))
    floor.behave = lambda *_: (3.0, Answer.ACCEPTED)
    await floor.pass_time(40 * 60, step=30)
    assert set(await floor.states(event_id)) <= {RowState.RESTORED, RowState.ESCALATED}
    assert floor.held_kw() == 0
    said: dict[str, Command] = {}
    for _, command in floor.spoken:
        assert said.setdefault(command.command_id, command) == command
