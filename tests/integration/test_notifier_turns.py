"""Which process tells a change, and from where on: several at once, one that dies or stands still, another Log."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.integration.notifier_world import Office, opened
from tieline.adapters.sql.outbox import Outbox
from tieline.vtn import mqtt, progress
from tieline.vtn.audience import BUSINESS, CLIENT
from tieline.vtn.mqtt import MQTT, Publish
from tieline.vtn.notifier import WEBHOOKS
from tieline.wires.openadr31.change import SUBJECTS

START = datetime(2026, 7, 15, 17, tzinfo=UTC)


@pytest.fixture
async def office(tables: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(tmp_path, tables) as office:
        yield office


async def test_several_processes_tell_each_change_once(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    await office.readers.note(CLIENT, "home")
    await office.readers.note(BUSINESS, "")
    async with office.listening("openadr3/clients/#") as heard, office.telling(None, None, None):
        events = []
        for _ in range(5):
            events += [await office.event(program) for _ in range(4)]
            await office.told()
        last = await office.event(program)
        await office.told()
        messages = [told["object"]["id"] for topic, told in await heard(len(events) + 2) if "/events/" in topic]
    assert sorted(messages) == sorted([*events, last])
    queued = [one.object_id for one in await office.queue(hook) if one.told["objectType"] == "EVENT"]
    assert queued == [*events, last]


async def test_a_process_that_dies_while_it_tells_leaves_no_change_untold_and_no_webhook_twice(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    await office.readers.note(CLIENT, "home")
    reached = asyncio.Event()
    published: list[str] = []

    async def stuck(topic: str, payload: bytes, *, retain: bool) -> None:
        reached.set()
        await asyncio.sleep(3600)

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        published.append(msgspec.json.decode(payload)["object"]["id"])

    events = [await office.event(program) for _ in range(10)]
    async with office.telling(stuck):
        await office.told(WEBHOOKS)
        await reached.wait()
    async with office.telling(publish):
        await office.told()
    assert published[-10:] == events
    queued = [one.object_id for one in await office.queue(hook) if one.told["objectType"] == "EVENT"]
    assert queued == events


async def test_a_process_that_publishes_for_long_keeps_its_turn(office: Office) -> None:
    await office.readers.note(CLIENT, "home")
    program = await office.program("tariff")
    event_id = await office.event(program, name="0")
    for name in ("1", "2"):
        await office.update_event(event_id, program, name=name)
    told: list[str] = []
    publishing: list[str] = []

    def slowly(process: str) -> Publish:
        async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
            publishing.append(process)
            await office.clock.sleep(1.2 * mqtt.CLAIM_S)
            assert set(publishing) == {process}
            publishing.remove(process)
            if "/events/" in topic:
                told.append(msgspec.json.decode(payload)["object"]["eventName"])

        return publish

    async with office.telling(slowly("one"), slowly("two")):
        await office.told(MQTT)
    assert told == ["0", "1", "2"]


async def test_a_process_that_lost_its_turn_publishes_no_more(office: Office) -> None:
    """It stood still for longer than its claim, and another went on."""
    await office.readers.note(CLIENT, "home")
    program = await office.program("tariff")
    event_id = await office.event(program, name="first")
    await office.update_event(event_id, program, name="second")
    await Outbox(office.rows, office.log).relay()
    second = await office.log.last(SUBJECTS)
    assert second is not None
    told: list[str] = []

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        if "/events/" in topic:
            told.append(msgspec.json.decode(payload)["object"]["eventName"])
        if told == ["first"]:
            later = office.clock.now() + timedelta(seconds=2 * mqtt.CLAIM_S)
            await office.do(lambda tx, _: progress.claim(tx, MQTT, "other", later, later))
            await office.do(lambda tx, _: progress.advance(tx, MQTT, second.position, "other"))
            await office.clock.sleep(mqtt.CLAIM_S)

    async with office.telling(publish):
        await office.told(MQTT)
        await office.event(program, name="third")
        await office.told(MQTT)
    assert told == ["first", "third"]


async def test_on_another_log_than_before_all_that_is_said_is_told(office: Office) -> None:
    """The broker's store was lost, that of Rows was not: positions begin anew."""
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    for name in (WEBHOOKS, MQTT):
        await office.rows.transaction(partial(progress.advance, name=name, to=1_000_000))
    async with office.telling():
        event_id = await office.event(program)
        while not [one for one in await office.queue(hook) if one.object_id == event_id]:
            await Outbox(office.rows, office.log).relay()
        await office.told()


async def test_on_another_log_that_has_grown_longer_than_the_one_before_all_is_told_too(office: Office) -> None:
    await office.readers.note(CLIENT, "home")
    program = await office.program("tariff")
    events = [await office.event(program) for _ in range(3)]
    await Outbox(office.rows, office.log).relay()
    await office.do(lambda tx, _: progress.advance(tx, MQTT, 2, said_at=START))  # on the Log that was lost
    told: list[str] = []

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        told.append(msgspec.json.decode(payload)["object"]["id"])

    async with office.telling(publish):
        await office.told(MQTT)
    assert sorted(told) == sorted([program, *events])
    async with office.telling(publish):  # on the same Log, nothing is told again
        events.append(await office.event(program))
        await office.told(MQTT)
    assert sorted(told) == sorted([program, *events])


async def test_of_two_workers_one_has_the_turn_until_it_is_done_or_its_claim_ends(office: Office) -> None:
    async def claim(worker: str, at_s: float) -> int | None:
        at = START + timedelta(seconds=at_s)
        return await office.do(lambda tx, _: progress.claim(tx, MQTT, worker, at, at + timedelta(seconds=10)))

    assert await claim("one", 0) == 0
    assert await claim("two", 9) is None
    assert await claim("one", 9) == 0
    assert await claim("two", 18) is None
    assert await claim("two", 19) == 0
    await office.do(lambda tx, _: progress.advance(tx, MQTT, 7, "one"))  # it was late, but it did publish
    assert await claim("one", 20) is None
    await office.do(lambda tx, _: progress.advance(tx, MQTT, 5, "two"))
    assert await claim("one", 20) == 7
