"""Clients at the MQTT door with a token as password: the real broker holds each to what it may hear."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiomqtt
import pytest
from aiomqtt.exceptions import MqttConnectError

from tests.integration.identity_world import World
from tests.servers.nats import free_port
from tests.servers.rows import with_tables
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.access import Caller, Grant
from tieline.base.time import RatedClock, VirtualClock
from tieline.identity import actions, mqtt
from tieline.identity.model import TokenPolicy
from tieline.identity.scopes import Role
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.messages import ObjectType, Operation

MINE, OTHERS = topics.of_ven("ven-a", "aaa1"), topics.of_ven("ven-b", "bbb1")


class Door:
    """A broker, clients with tokens, and a device as before."""

    def __init__(self, world: World, server: NatsServer, publisher: MqttPublisher) -> None:
        self.world, self.server, self.publisher = world, server, publisher
        self.passwords: dict[str, str] = {}
        self.violations: list[str] = []

    async def decide(self, caller: Caller) -> Grant | None:
        return await mqtt.decide("token", self.world.rows, self.world.clock, self.world.verifier)(caller)

    async def prepare(self) -> None:
        for name, role in (("bl", Role.BL), ("ven-a", Role.VEN), ("ven-b", Role.VEN), ("odd.id~1@x", Role.VEN)):
            self.passwords[name] = await self.world.token(name, await self.world.add(name, role))
        now = self.world.clock.now()
        issue = self.world.rows.transaction(lambda tx: actions.issue(tx, "home-1", now))
        self.passwords["home-1"] = await issue

    def device(self, user: str, client_id: str = "", password: str = "", *, clean: bool = True) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.server.mqtt_host,
            self.server.mqtt_port,
            username=user,
            password=password or self.passwords[user],
            identifier=client_id or f"{topics.level(user)}-session",
            clean_session=clean,
            timeout=60,
        )

    async def tell(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self.publisher.publish(topic, payload, retain=retain)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    violations: list[str] = []
    clock = VirtualClock(RatedClock().now())  # the broker ends connections by the wall's time
    server = NatsServer(tmp_path / "nats", mqtt_port=free_port(), on_violation=violations.append)
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)
    async with publisher, SqliteRows(with_tables(tmp_path / "rows.sqlite"), clock) as rows:
        door = Door(World(rows, clock), server, publisher)
        door.violations = violations
        await door.prepare()
        callout = AuthCallout(connection, door.decide, issuer_seed=server.issuer_seed)
        await callout.start()
        yield door
        await callout.stop()
    await connection.close()
    await server.stop()


async def heard(device: aiomqtt.Client) -> tuple[str, object]:
    async with asyncio.timeout(90):
        message = await anext(aiter(device.messages))
    return str(message.topic), message.payload


async def subscribed(device: aiomqtt.Client, topic: str, qos: int = 1) -> bool:
    codes = await device.subscribe(topic, qos=qos)
    return [code if isinstance(code, int) else code.value for code in codes] != [0x80]  # SUBACK: failure


def created(place: str, kind: ObjectType = ObjectType.EVENT) -> str:
    return topics.topic(topics.objects(place, kind), Operation.CREATE)


async def test_a_ven_hears_its_own_topics_by_name_and_by_wildcard(door: Door) -> None:
    own = [topics.of_client("ven-a"), MINE, topics.of_ven("ven-a", "made later")]
    async with door.device("ven-a") as device:
        for place in own:
            events = topics.names(topics.objects(place, ObjectType.EVENT))
            for topic in (
                events.create,
                events.update,
                events.delete,
                events.all,
                topics.names(place).all,
                f"{place}/#",
            ):
                assert await subscribed(device, str(topic), 0)
                assert await subscribed(device, str(topic), 1)
        await device.unsubscribe(f"{MINE}/#")
    async with door.device("ven-a") as device:
        for place in own:
            assert await subscribed(device, f"{place}/events/+")
            await door.tell(created(place), place.encode())
            assert await heard(device) == (created(place), place.encode())


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_ven_is_refused_what_is_not_its_own(door: Door, qos: int) -> None:
    others = [topics.of_client("ven-b"), OTHERS, topics.ALL, topics.of_client("bl")]
    asked = [topic for place in others for topic in (created(place), f"{place}/#", f"{place}/events/+", f"{place}/+")]
    asked += [
        "#",
        "+/#",
        "+/+/+/+/+",
        "openadr3/#",
        "openadr3/+/#",
        "openadr3/clients/+/vens/+/events/create",
        "openadr3/clients/#",
    ]
    asked += [
        "openadr3/clients/+/events/+",
        "openadr3/clients/ven-a",
        "openadr3/clients/>",
        "openadr3/clients/*/events/+",
    ]
    asked += ["openadr3/clients/+/vens/aaa1/#", topics.of_ven("ven-b", "aaa1") + "/#"]  # which was its own once
    asked += ["$SYS/#", "$SYS/>", "$JS/#", "$JS/API/#", "$MQTT/#", "$MQTT/msgs/#", "$MQTT/rmsgs/#", "_INBOX/#"]
    asked += ["oadr/meter/home-1", "ven/cmd/home-1", "ven/cmd/+", "openadr3/clients/ven-b.vens.aaa1.events.create"]
    own = created(MINE)
    for topic in (created(OTHERS), created(topics.ALL)):
        await door.tell(topic, b"secret", retain=True)
    async with door.device("ven-a") as device:
        allowed = [topic for topic in asked if await subscribed(device, topic, qos)]
        # The level itself is granted with what is below it, as `#` takes in both: nothing is ever told there.
        assert allowed == ["openadr3/clients/ven-a"]
        for topic in (created(OTHERS), created(topics.of_client("ven-b")), created(topics.ALL)):
            await door.tell(topic, b"secret too")
        assert await subscribed(device, own)
        await door.tell(own, b"mine")
        assert await heard(device) == (own, b"mine")


async def test_bl_hears_everything_of_openadr_and_nothing_else(door: Door) -> None:
    async with door.device("bl") as device:
        assert await subscribed(device, "openadr3/#")
        for place in (topics.ALL, OTHERS, topics.of_client("ven-a")):
            await door.tell(created(place), b"x")
            assert await heard(device) == (created(place), b"x")
        for topic in ("#", "+/#", "$SYS/#", "$JS/#", "ven/#", "oadr/meter/+", "$MQTT/#"):
            assert not await subscribed(device, topic)


@pytest.mark.parametrize("user", ["bl", "ven-a"])
async def test_a_client_says_nothing(door: Door, user: str) -> None:
    said = [created(topics.ALL), created(MINE), created(topics.of_client(user)), "oadr/meter/home-1"]
    async with door.device("bl", "listener") as listener, door.device(user, "speaker") as speaker:
        assert await subscribed(listener, "openadr3/#")
        for topic in said:
            await speaker.publish(topic, b"forged", qos=0)
        while len(door.violations) < len(said):
            await asyncio.sleep(0.05)
        await door.tell(created(topics.ALL), b"true")
        assert await heard(listener) == (created(topics.ALL), b"true")


async def test_an_id_that_the_broker_would_read_as_syntax_has_a_place_of_its_own(door: Door) -> None:
    place = topics.of_client("odd.id~1@x")
    async with door.device("odd.id~1@x") as device:
        assert await subscribed(device, f"{place}/events/+")
        assert not await subscribed(device, "openadr3/clients/odd.id~1@x/events/+")
        await door.tell(created(place), b"x")
        assert await heard(device) == (created(place), b"x")


async def connects(door: Door, user: str, client_id: str = "", password: str = "") -> bool:
    try:
        async with door.device(user, client_id, password):
            return True
    except MqttConnectError:
        return False


async def test_only_the_client_s_own_token_opens_the_door(door: Door) -> None:
    assert await connects(door, "ven-a")
    assert not await connects(door, "ven-a", password=door.passwords["ven-b"])
    assert not await connects(door, "ven-a", password="x" * 9000)
    assert not await connects(door, "bl", password=door.passwords["ven-a"])
    assert not await connects(door, "{clientID}", password=door.passwords["ven-a"])
    await door.world.revoke("ven-a")
    await door.world.clock.advance(1)
    assert not await connects(door, "ven-a")
    await door.world.clock.advance(3700)
    assert not await connects(door, "ven-b")


@pytest.mark.parametrize("client_id", ["home-1", "ven-b", "tieline-0123456789abcdef"])
async def test_no_client_shuts_out_a_device_another_client_or_the_platform(door: Door, client_id: str) -> None:
    assert not await connects(door, "ven-a", client_id)


async def test_a_client_may_be_called_at_the_broker_what_it_is_called_here(door: Door) -> None:
    assert await connects(door, "ven-a", "ven-a")
    assert await connects(door, "ven-a", "paho1234567890")


async def test_a_device_connects_as_before(door: Door) -> None:
    async with door.device("home-1", "home-1") as device:
        assert await subscribed(device, "ven/cmd/home-1")
        assert not await subscribed(device, created(topics.of_client("home-1")))


async def test_a_session_that_another_leaves_behind_gives_nothing_away(door: Door) -> None:
    """MQTT lets whoever knows a client id go on with its session: the broker then asks again what he may hear."""
    secret = created(MINE)
    async with door.device("ven-a", "shared", clean=False) as device:
        assert await subscribed(device, secret)
    await door.tell(secret, b"while it was away")
    async with door.device("ven-b", "shared", clean=False) as device:
        own = created(OTHERS)
        assert await subscribed(device, own)
        for n in range(3):
            await door.tell(secret, b"now")
            await door.tell(own, b"mine %d" % n)
            assert await heard(device) == (own, b"mine %d" % n)


async def test_scopes_that_do_not_read_hear_nothing(door: Door) -> None:
    token = await door.world.token("ven-a", await door.world.renew("ven-a"), scope="write_reports")
    async with door.device("ven-a", password=token) as device:
        assert not await subscribed(device, created(MINE))


async def test_a_client_is_heard_no_longer_than_its_token_is_valid(door: Door) -> None:
    """The broker itself disconnects; a device, whose secret never expires, stays."""
    world, wall = door.world, RatedClock()
    brief = World(world.rows, world.clock, TokenPolicy(lifetime=timedelta(seconds=3)))
    began = wall.now()
    token = await brief.token("ven-a", await world.renew("ven-a"))

    async def listen() -> None:
        async with door.device("ven-a", password=token) as client:
            assert await subscribed(client, created(topics.of_client("ven-a")))
            await anext(aiter(client.messages))

    async with door.device("home-1", "home-1") as device:
        with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
            await listen()
        assert wall.now() - began >= timedelta(seconds=2)  # not at once: the broker counts whole seconds
        assert not await connects(door, "ven-a", password=token)
        assert await subscribed(device, "ven/cmd/home-1")
