"""From a change on the Log to the queue of webhooks and the broker: a real broker, real rows, several processes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.integration.notifier_world import EVERYTHING, Office, opened
from tests.servers.receiver import receiving
from tieline.base.errors import Unready
from tieline.base.time import RatedClock
from tieline.identity import actions as identity
from tieline.identity.model import NewClient
from tieline.identity.scopes import Role
from tieline.ports import Transaction
from tieline.registry import openadr as registry
from tieline.vtn import mqtt, reports, subscriptions
from tieline.vtn.audience import BUSINESS, CLIENT, VEN, Audience
from tieline.vtn.mqtt import MQTT
from tieline.vtn.notifier import WEBHOOKS, Readings
from tieline.vtn.store import topic_reader
from tieline.vtn.webhooks import reads as webhooks
from tieline.vtn.webhooks.courier import Courier
from tieline.vtn.webhooks.model import Policy
from tieline.vtn.webhooks.sender import Sender
from tieline.wires.openadr31 import messages as m
from tieline.wires.openadr31.change import SUBJECTS, Change
from tieline.wires.openadr31.messages import ObjectType, Operation, decode
from tieline.wires.openadr301 import messages as m301

EVENTS_AND_REPORTS = msgspec.structs.replace(EVERYTHING, objects=(ObjectType.EVENT, ObjectType.REPORT))
RESOURCES_AND_VENS = msgspec.structs.replace(EVERYTHING, objects=(ObjectType.RESOURCE, ObjectType.VEN))


@pytest.fixture
async def office(tables: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(tmp_path, tables) as office:
        yield office


async def test_an_event_is_told_to_those_who_may_know_each_in_its_way(office: Office) -> None:
    ven_id = await office.ven("home", "north")
    await office.ven("other", "south")
    program = await office.program("tariff")
    hooks = {who: await office.subscribe(who, business=who == "bl") for who in ("home", "other", "bl")}
    for kind, reader in ((BUSINESS, ""), (CLIENT, "home"), (CLIENT, "other"), (VEN, ven_id)):
        await office.readers.note(kind, reader)
    async with office.listening() as heard, office.telling():
        await office.told()
        already = len(await office.queue())
        event_id = await office.event(program, "north", "east")
        await office.told()
        messages = await heard(4, event_id)

    new = (await office.queue())[already:]
    assert {(one.subscription_id, one.callback_url, one.object_id) for one in new} == {
        (hooks["home"], "https://home.example/hook", event_id),
        (hooks["bl"], "https://home.example/hook", event_id),
    }
    told = {one.subscription_id: one.told for one in new}
    assert told[hooks["home"]]["operation"] == "CREATE"
    assert told[hooks["home"]]["targets"] == told[hooks["home"]]["object"]["targets"] == ["north"]
    assert told[hooks["bl"]]["object"]["targets"] == ["north", "east"]
    about = {topic: told["object"]["targets"] for topic, told in messages}
    assert about == {
        "openadr3/all/events/create": ["north", "east"],
        f"openadr3/all/programs/{program}/events/create": ["north", "east"],
        f"openadr3/clients/home/programs/{program}/events/create": ["north"],
        f"openadr3/clients/home/vens/{ven_id}/events/create": ["north"],
    }
    assert msgspec.convert(messages[0][1], m.Notification).object_type is ObjectType.EVENT
    assert office.woken


async def test_a_broker_that_is_away_holds_up_no_webhook_and_hears_all_in_order_when_it_is_back(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    await office.readers.note(CLIENT, "home")
    away, published = True, []

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        assert not retain
        if away:
            raise Unready("the broker is away")
        told = msgspec.json.decode(payload)
        published.append((topic.rpartition("/")[2], told["object"]["id"]))

    async with office.telling(publish):
        event_id = await office.event(program)
        await office.update_event(event_id, program, name="two")
        await office.delete_event(event_id)
        await office.told(WEBHOOKS)
        assert [one.operation for one in await office.queue(hook)][-3:] == ["CREATE", "UPDATE", "DELETE"]
        assert published == []
        away = False
        await office.told(MQTT)
    assert published[-3:] == [("create", event_id), ("update", event_id), ("delete", event_id)]


async def test_what_is_told_of_one_object_is_told_in_order(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    await office.readers.note(CLIENT, "home")
    events = [await office.event(program, name="0") for _ in range(5)]
    for n in range(1, 20):
        await asyncio.gather(*(office.update_event(one, program, name=str(n)) for one in events))
    async with office.listening("openadr3/clients/home/programs/#") as heard, office.telling(None, None):
        await office.told()
        messages = [told for topic, told in await heard(101) if "/events/" in topic]
    names: dict[str, list[str]] = defaultdict(list)
    for told in messages:
        names[told["object"]["id"]].append(told["object"]["eventName"])
    assert dict(names) == {one: [str(n) for n in range(20)] for one in events}
    for one in events:
        queued = [told.told["object"]["eventName"] for told in await office.queue(hook) if told.object_id == one]
        assert queued == names[one]


async def test_who_subscribes_or_is_granted_something_is_told_of_the_very_next_event(office: Office) -> None:
    program = await office.program("tariff")
    async with office.telling(None, None):
        for n in range(10):
            await office.ven(f"home-{n}", f"target-{n}")
            hook = await office.subscribe(f"home-{n}")
            event_id = await office.event(program, f"target-{n}")
            await office.told(WEBHOOKS)
            assert [one.object_id for one in await office.queue(hook) if one.told["objectType"] == "EVENT"] == [
                event_id
            ]


async def test_an_event_taken_from_a_ven_is_deleted_for_it_and_shows_nothing_new(office: Office) -> None:
    for who in ("north", "south"):
        await office.ven(who, who)
    one, two = await office.program("one"), await office.program("two")
    hooks = {who: await office.subscribe(who) for who in ("north", "south")}
    in_one = await office.subscribe("bl", business=True, program_id=one)
    async with office.telling():
        event_id = await office.event(one, "north", "south")
        await office.update_event(event_id, two, "south", name="secret")
        await office.told(WEBHOOKS)

    def said(told: Any) -> tuple[str, list[str], str]:
        return told["operation"], told["object"]["targets"], told["object"]["eventName"]

    queue = [two for two in await office.queue() if two.object_id == event_id]
    told = {id_: [said(one.told) for one in queue if one.subscription_id == id_] for id_ in (*hooks.values(), in_one)}
    assert told[hooks["north"]] == [("CREATE", ["north"], "one"), ("DELETE", ["north"], "one")]
    assert told[hooks["south"]] == [("CREATE", ["south"], "one"), ("UPDATE", ["south"], "secret")]
    assert told[in_one] == [("CREATE", ["north", "south"], "one"), ("DELETE", ["north", "south"], "one")]


async def test_a_subscription_of_3_0_1_is_told_in_3_0_1(office: Office) -> None:
    await office.ven("home", "GROUP:north")
    program = await office.program("tariff")
    hook = await office.subscribe("home", EVENTS_AND_REPORTS, dialect="3.0.1", program_id=program)
    async with office.telling():
        event_id = await office.event(program, "GROUP:north", "GROUP:south")
        await office.told(WEBHOOKS)
        report = m.ReportRequest(event_id=event_id, client_name="home", resources=())
        report_id = (await office.do(lambda tx, now: reports.create(tx, report, "home", now))).id
        await office.told(WEBHOOKS)
    told = [msgspec.convert(one.told, m301.Notification) for one in await office.queue(hook)]
    assert [(one.object_type, one.operation, one.object.id) for one in told] == [
        (ObjectType.EVENT, m301.Verb.CREATE, event_id),
        (ObjectType.REPORT, m301.Verb.CREATE, report_id),
    ]
    assert msgspec.to_builtins(told[0].targets) == ({"type": "GROUP", "values": ("north",)},)
    assert isinstance(told[1].object, m301.Report)
    assert told[1].object.program_id == program


async def test_a_client_that_was_revoked_is_told_nothing(office: Office) -> None:
    program = await office.program("tariff")
    await office.do(lambda tx, now: identity.add_client(tx, NewClient("home", "home", Role.VEN), now))
    hook = await office.subscribe("home")
    async with office.telling():
        heard = await office.event(program)
        await office.told(WEBHOOKS)
        await office.do(lambda tx, now: identity.revoke_client(tx, "home", now))
        await office.event(program)
        await office.told(WEBHOOKS)
        await office.do(lambda tx, now: identity.renew_client(tx, "home", now))
        again = await office.event(program)
        await office.told(WEBHOOKS)
    queued = [one.object_id for one in await office.queue(hook) if one.told["objectType"] == "EVENT"]
    assert queued == [heard, again]


async def test_what_waits_for_a_client_when_it_is_revoked_is_not_delivered(office: Office) -> None:
    program = await office.program("tariff")
    async with receiving() as receiver, Sender(development=True) as sender:
        for name in ("home", "other"):
            await office.do(partial(_enrolled, client_id=name))
            wish = msgspec.structs.replace(EVENTS_AND_REPORTS, callback_url=receiver.url(f"/{name}"))
            await office.subscribe(name, wish)
        async with office.telling():
            await office.event(program)
            await office.told(WEBHOOKS)
        assert len(await office.queue()) == 2
        await office.do(lambda tx, now: identity.revoke_client(tx, "home", now))
        courier = Courier(office.rows, sender, office.clock, subscriptions.bearers, Policy())
        working = asyncio.create_task(courier.run())
        async with asyncio.timeout(90):
            while (await office.rows.read(webhooks.backlog)).waiting:
                await asyncio.sleep(0.02)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert [one.path for one in receiver.heard] == ["/other"]
    assert [one.reason for one in await webhooks.dead(office.rows)] == ["its subscription is gone"]


async def test_a_client_that_was_revoked_hears_nothing_by_mqtt_either(office: Office) -> None:
    program, ven_id = await office.program("tariff"), await office.ven("home")
    await office.do(lambda tx, now: identity.add_client(tx, NewClient("home", "home", Role.VEN), now))
    for kind, reader in ((CLIENT, "home"), (VEN, ven_id), (BUSINESS, "")):
        await office.readers.note(kind, reader)
    told: list[tuple[str, str]] = []

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        told.append((topic, msgspec.json.decode(payload)["object"]["id"]))

    async with office.telling(publish):
        heard = await office.event(program)
        await office.told(MQTT)
        await office.do(lambda tx, now: identity.revoke_client(tx, "home", now))
        unheard = await office.event(program)
        await office.told(MQTT)
        await office.do(lambda tx, now: identity.renew_client(tx, "home", now))
        again = await office.event(program)
        await office.told(MQTT)
    events = [object_id for topic, object_id in told if topic == "openadr3/all/events/create"]
    assert events == [heard, unheard, again]
    places = (f"openadr3/clients/home/programs/{program}", f"openadr3/clients/home/vens/{ven_id}")
    for place in places:
        assert [object_id for topic, object_id in told if topic == f"{place}/events/create"] == [heard, again]


async def test_a_ven_hears_of_its_own_ven_and_resources_and_of_no_other_s(office: Office) -> None:
    mine, other = await office.ven("home"), await office.ven("other")
    for ven_id in (mine, other):
        await office.readers.note(VEN, ven_id)
    hook = await office.subscribe("home", RESOURCES_AND_VENS)
    async with office.listening("openadr3/clients/+/vens/#") as heard, office.telling():
        for ven_id, client_id in ((mine, "home"), (other, "other")):
            new = m.BlResourceRequest(client_id=client_id, resource_name="ev", ven_id=ven_id)
            await office.do(partial(_born, request=new))
            await office.told()
            await office.do(partial(_deleted, ven_id=ven_id))
            await office.told()
        messages = [(topic, told["object"]["clientID"]) for topic, told in await heard(6)]
    assert messages == [
        (f"openadr3/clients/{who}/vens/{ven_id}{what}", who)
        for ven_id, who in ((mine, "home"), (other, "other"))
        for what in ("/resources/create", "/resources/delete", "/delete")
    ]
    queued = await office.queue(hook)
    assert {one.told["object"]["clientID"] for one in queued} == {"home"}
    assert [(one.told["objectType"], one.operation) for one in queued] == [
        ("VEN", "CREATE"),
        ("RESOURCE", "CREATE"),
        ("RESOURCE", "DELETE"),
        ("VEN", "DELETE"),
    ]


def _enrolled(tx: Transaction, now: datetime, *, client_id: str) -> None:
    identity.add_client(tx, NewClient(client_id, client_id, Role.VEN), now)


def _born(tx: Transaction, now: datetime, request: m.BlResourceRequest) -> None:
    registry.create_resource(tx, request, now, named=True)


def _deleted(tx: Transaction, now: datetime, ven_id: str) -> None:
    registry.delete_ven(tx, ven_id, now)


async def test_a_reading_is_told_by_webhook_where_somebody_wants_to_know(office: Office) -> None:
    program = await office.program("tariff")
    event_id = await office.event(program)
    await office.view.load(fresh=True)
    event = office.view.events.get(event_id)
    assert event is not None
    read = Readings(office.log, office.view, office.clock)
    await read(event)
    assert await office.log.last("news.openadr.event.read") is None

    wish = m.ObjectOperation(
        objects=(ObjectType.EVENT,), operations=(Operation.READ,), callback_url="https://home.example/hook"
    )
    hook = await office.subscribe("home", wish)
    await office.readers.note(BUSINESS, "")
    await office.view.load(fresh=True)
    async with office.telling():
        await office.told()
        await read(event)
        await office.told()
    assert [(one.operation, one.object_id) for one in await office.queue(hook)] == [("READ", event_id)]
    last = await office.log.last(SUBJECTS)
    assert last is not None
    assert decode(Change, last.data).program_id == program


async def test_what_cannot_be_read_is_passed_over(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    async with office.telling():
        await office.log.say("news.openadr.event.created", b"{}")
        event_id = await office.event(program)
        await office.told()
    assert [one.object_id for one in await office.queue(hook)][-1] == event_id


async def test_a_subscription_that_is_changed_or_gone_is_told_as_it_stands(office: Office) -> None:
    program = await office.program("tariff")
    hook = await office.subscribe("home")
    elsewhere = msgspec.structs.replace(EVERYTHING, callback_url="https://new.example/")
    new = m.SubscriptionRequest(client_name="home", object_operations=(elsewhere,))
    async with office.telling():
        await office.event(program)
        await office.told(WEBHOOKS)
        await office.do(lambda tx, now: subscriptions.update(tx, hook, new, now))
        await office.event(program)
        await office.told(WEBHOOKS)
        queue = [one.callback_url for one in await office.queue(hook) if one.told["objectType"] == "EVENT"]
        await office.event(program)  # told when the subscription is gone already
        await office.do(lambda tx, now: subscriptions.delete(tx, hook, now))
        await office.event(program)
        await office.told(WEBHOOKS)
    assert queue == ["https://home.example/hook", "https://new.example/"]
    assert await office.queue(hook) == []


async def test_ten_thousand_vens_are_told_of_an_event_few_messages_at_once(office: Office) -> None:
    clients = [f"home-{n}" for n in range(10_000)]
    audience = Audience()
    on_the_way, most, topics, tasks = 0, 0, set(), 0

    async def publish(topic: str, payload: bytes, *, retain: bool) -> None:
        nonlocal on_the_way, most, tasks
        on_the_way += 1
        most, tasks = max(most, on_the_way), max(tasks, len(asyncio.all_tasks()))
        await asyncio.sleep(0)
        topics.add(topic)
        on_the_way -= 1

    before = len(asyncio.all_tasks())
    rows = [{"kind": CLIENT, "reader_id": client_id} for client_id in clients]
    await office.do(lambda tx, _: tx.execute(sa.insert(topic_reader), rows))
    # At the wall's own pace: at twenty times it a turn lasts half a second, which a busy machine may need to renew it.
    teller = mqtt.Topics(office.log, office.rows, RatedClock(), publish)
    program = await office.program("tariff")
    await office.event(program)
    following = asyncio.create_task(teller.run(audience, 0))
    await office.told(MQTT)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert f"openadr3/clients/home-9999/programs/{program}/events/create" in topics
    assert len([one for one in topics if one.endswith("/events/create")]) == 10_000
    assert most <= mqtt.AT_ONCE
    assert tasks <= before + mqtt.AT_ONCE + 10
