"""A fleet is told in portions: these are said while the next are entered, and nothing is said that is not committed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.dispatch_world import NOW, POLICY, Floor
from tests.servers.rows import rows_at
from tieline.base.errors import Unready
from tieline.base.time import VirtualClock
from tieline.dispatch import dispatcher, reads
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.model import EventChange, NewProgram, RowState
from tieline.dispatch.mqtt import Answers
from tieline.ports import Entry
from tieline.wires.mqtt.messages import Op

HOMES = 10
ALL_KW = 100.0


@pytest.fixture
async def floor(tables: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    monkeypatch.setattr(dispatcher, "PORTION", 3)
    clock = VirtualClock(NOW)
    async with rows_at(tables, clock) as rows:
        floor = Floor(rows, clock, HOMES)
        await floor.add_program(NewProgram("peak", "Peak"))
        yield floor


async def test_what_is_said_is_committed_and_each_is_told_once(floor: Floor) -> None:
    event_id = await floor.call(ALL_KW, ahead=30)
    portions: list[int] = []

    async def speak(messages: Sequence[tuple[str, bytes]]) -> None:
        told = {topic.rpartition("/")[2] for topic, _ in messages}
        states = {row.state for row in await floor.ledger(event_id) if row.ven_id in told}
        calls = await floor.rows.read(lambda reader: reads.calls_to(reader, event_id, told))
        assert (states, set(calls)) == ({RowState.SENT}, told)
        portions.append(len(messages))
        await floor._speak(messages)

    await Dispatcher(floor.rows, floor.clock, speak, floor._measure, POLICY).step()
    assert sorted(portions) == [1, 3, 3, 3]  # whichever is said first
    assert sorted(ven_id for ven_id, _ in floor.spoken) == sorted(ven_id for ven_id, _ in floor.draws)


async def test_an_event_stopped_between_two_portions_calls_nobody_more(floor: Floor) -> None:
    event_id = await floor.call(ALL_KW, ahead=30)

    async def speak(messages: Sequence[tuple[str, bytes]]) -> None:
        await floor._speak(messages)
        await floor.cancel(event_id)

    await Dispatcher(floor.rows, floor.clock, speak, floor._measure, POLICY).step()
    called = {ven_id for ven_id, command in floor.spoken if command.op is Op.EVENT}
    assert {row.ven_id for row in await floor.ledger(event_id) if row.sent_at is not None} == called
    await floor.pass_time(60)
    assert {ven_id for ven_id, command in floor.spoken if command.op is Op.RESTORE} == called
    assert {row.state for row in await floor.ledger(event_id)} == {RowState.RESTORED}


async def test_who_is_first_told_of_an_event_that_was_changed_meanwhile_is_told_how_it_is_now(floor: Floor) -> None:
    event_id, end_at = await floor.call(ALL_KW, ahead=30), NOW + timedelta(hours=1)
    event = await floor.rows.read(lambda reader: reads.the_event(reader, event_id))
    await floor.dispatcher._hold(event, NOW)
    await floor.change(event_id, EventChange(end_at=end_at))
    await floor.dispatcher._send(event, NOW)
    assert {(command.op, command.end_at) for _, command in floor.spoken} == {(Op.EVENT, end_at)}


async def test_a_broker_away_for_one_portion_holds_up_no_other(floor: Floor) -> None:
    event_id = await floor.call(ALL_KW, ahead=30)
    failed: list[str] = []

    async def speak(messages: Sequence[tuple[str, bytes]]) -> None:
        if not failed:
            failed.extend(topic.rpartition("/")[2] for topic, _ in messages)
            raise Unready("the broker is away")
        await asyncio.sleep(0.01)
        await floor._speak(messages)

    one = Dispatcher(floor.rows, floor.clock, speak, floor._measure, POLICY)
    await one.step()
    assert len(floor.spoken) == HOMES - len(failed)  # all are said before anything newer is
    await floor.clock.advance(POLICY.resend_s + 1)
    await one.step()
    assert {ven_id for ven_id, _ in floor.spoken} >= set(failed)
    calls = await floor.rows.read(lambda reader: reads.calls_to(reader, event_id, failed))
    assert {call.n for call in calls.values()} == {1}


async def test_answers_are_entered_once_the_commands_of_the_call_are_out(floor: Floor) -> None:
    await floor.call(ALL_KW, ahead=30)
    entered: list[int] = []

    async def speak(messages: Sequence[tuple[str, bytes]]) -> None:
        await floor._speak(messages)
        await asyncio.sleep(0.01)
        assert not one.quiet.is_set()
        assert not entered
        if len(floor.spoken) == HOMES:
            raise Unready("the broker is away")  # then they are entered too

    one = Dispatcher(floor.rows, floor.clock, speak, floor._measure, POLICY)
    answers = Answers(OneAnswer(), floor.rows, floor.clock, POLICY, Entering(entered), one.quiet)  # type: ignore[arg-type]
    one.quiet.clear()
    task = asyncio.create_task(answers.run())
    try:
        await one.step()
        async with asyncio.timeout(60):
            await task
    finally:
        task.cancel()
    assert entered == [1]


class OneAnswer:
    """A Log that lends one delivery."""

    entries: Sequence[Entry] = ()

    async def work(self, _: str, *, group: str) -> AsyncIterator["OneAnswer"]:
        yield self

    async def done(self, *, but: Sequence[Entry] = ()) -> None: ...


class Entering:
    """What is told of each delivery that was entered."""

    def __init__(self, entered: list[int]) -> None:
        self._entered = entered

    async def telling(self) -> None:
        self._entered.append(1)


class News:
    """A Log of which only what is said of events is followed."""

    def __init__(self) -> None:
        self.said = asyncio.Queue[str]()

    async def follow(self, _: str, *, after: int | None) -> AsyncIterator[list[Entry]]:
        while True:
            yield [Entry(1, await self.said.get(), b"{}", NOW)]


async def test_an_event_is_looked_at_as_soon_as_it_is_published(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "POLL_S", 3600)
    news: Any = News()
    spoken, floor_speaks = asyncio.Event(), floor._speak

    async def speak(messages: Sequence[tuple[str, bytes]]) -> None:
        await floor_speaks(messages)
        spoken.set()

    one = Dispatcher(floor.rows, floor.clock, speak, floor._measure, POLICY)
    tasks = [asyncio.create_task(one.run()), asyncio.create_task(one.listen(news))]
    try:
        await asyncio.sleep(0)
        await floor.call(ALL_KW, ahead=30)
        news.said.put_nowait("news.event.progress")  # asks for nothing
        news.said.put_nowait("news.event.published")
        async with asyncio.timeout(90):
            await spoken.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
