"""What a device may do at the MQTT door, and what happens when it tries more: with the real broker and its callout."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest
from aiomqtt.exceptions import MqttConnectError
from nats.aio.client import Client
from nats.errors import Error

from tests.servers.nats import free_port
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.base.access import Caller, Grant
from tieline.base.errors import Refused
from tieline.ports import Entry

METERS = "mqtt.oadr.meter.*"
SECRETS = {"home-1": "s1", "home-2": "s2", "mute": "s3"}


async def decide(caller: Caller) -> Grant | None:
    user = caller.user
    if user == "broken":
        raise RuntimeError("the rows are away")
    if SECRETS.get(user) != caller.password or caller.mqtt_client_id != user:
        return None
    if user == "mute":
        return Grant()
    return Grant(publish=(f"oadr/meter/{user}", f"ven/ack/{user}"), subscribe=(f"ven/cmd/{user}",))


@dataclass
class Door:
    """The broker with its callout, the Log behind it and the platform's publisher."""

    server: NatsServer
    connection: Client
    log: NatsLog
    publisher: MqttPublisher
    violations: list[str] = field(default_factory=list)

    def device(self, user: str, password: str | None = None, client_id: str | None = None) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.server.mqtt_host,
            self.server.mqtt_port,
            username=user,
            password=password or SECRETS.get(user, "?"),
            identifier=client_id or user,
            timeout=60,
        )

    async def violated(self, count: int) -> None:
        while len(self.violations) < count:
            await asyncio.sleep(0.05)

    async def meters(self, count: int) -> list[Entry]:
        entries: list[Entry] = []
        async for delivery in self.log.work(METERS, group="test"):
            entries += delivery.entries
            await delivery.done()
            if len(entries) >= count:
                break
        return entries


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    violations: list[str] = []
    server = NatsServer(tmp_path / "nats", mqtt_port=free_port(), on_violation=violations.append)
    await server.start()
    connection = await connect([server.url], user=server.user, password=server.password)
    log = await NatsLog.open(connection)
    publisher = MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)
    await publisher.start()
    await log.prepare(METERS, group="test")
    callout = AuthCallout(connection, decide, issuer_seed=server.issuer_seed)
    await callout.start()
    yield Door(server, connection, log, publisher, violations)
    await callout.stop()
    await publisher.stop()
    await connection.close()
    await server.stop()


async def heard(device: aiomqtt.Client) -> tuple[str, bytes, bool]:
    async with asyncio.timeout(90):
        message = await anext(aiter(device.messages))
    assert isinstance(message.payload, bytes)
    return str(message.topic), message.payload, message.retain


async def refused(device: aiomqtt.Client, topic: str, qos: int) -> bool:
    codes = await device.subscribe(topic, qos=qos)
    return [code if isinstance(code, int) else code.value for code in codes] == [0x80]  # SUBACK: failure


async def test_what_a_device_publishes_reaches_the_log_byte_for_byte_and_its_retained_command_reaches_it(
    door: Door,
) -> None:
    payloads = [b'{"v":1}', b"\x00\r\nNATS/1.0\r\n\r\n\xff", b""]
    await door.publisher.publish("ven/cmd/home-1", b"shed")
    async with door.device("home-1") as device:
        await device.subscribe("ven/cmd/home-1", qos=0)
        assert await heard(device) == ("ven/cmd/home-1", b"shed", True)
        for payload in payloads:
            await device.publish("oadr/meter/home-1", payload, qos=1)
        await door.publisher.publish("ven/cmd/home-1", b"restore")
        assert await heard(device) == ("ven/cmd/home-1", b"restore", False)

    entries = await door.meters(3)

    assert [(e.subject, e.data) for e in entries] == [("mqtt.oadr.meter.home-1", p) for p in payloads]
    assert await door.log.waiting(METERS, group="test") == 0
    last = await door.log.last(METERS)
    assert last is None or last.data == b""  # kept only until every group is done with it
    assert door.violations == []


@pytest.mark.parametrize(
    ("user", "password", "client_id"),
    [
        ("home-1", "s2", "home-1"),  # another's password
        ("home-1", "s1", "home-2"),  # another's client id: it would take over its session
        ("nobody", "s1", "nobody"),
        ("broken", "s1", "broken"),  # whoever decides fails
        ("tieline", "guess", "tieline"),  # the platform's own user
    ],
)
async def test_wrong_credentials_are_refused(door: Door, user: str, password: str, client_id: str) -> None:
    with pytest.raises(MqttConnectError, match="Not authorized"):
        async with door.device(user, password, client_id):
            pass


async def test_a_device_s_credentials_open_only_the_mqtt_door(door: Door) -> None:
    async def quiet(error: Exception) -> None: ...

    client = Client()
    with pytest.raises(Error, match="Authorization"):
        await client.connect(door.server.url, user="home-1", password="s1", allow_reconnect=False, error_cb=quiet)
    await client.close()


async def test_publishing_on_another_s_topic_is_not_delivered_and_is_counted(door: Door) -> None:
    """MQTT 3.1.1 has no negative PUBACK: the broker drops the message, acknowledges it or not, and logs a violation."""
    async with door.device("home-1") as device:
        for topic in ("oadr/meter/home-2", "ven/cmd/home-1", "$JS/API/STREAM/PURGE/tieline-news"):
            await device.publish(topic, b"forged", qos=0)
        await door.violated(3)
        await device.publish("oadr/meter/home-1", b"own", qos=1)  # and its connection lives on
    assert [(e.subject, e.data) for e in await door.meters(1)] == [("mqtt.oadr.meter.home-1", b"own")]
    assert any("oadr.meter.home-2" in line for line in door.violations)


async def test_publishing_on_another_s_topic_at_qos_1_is_not_delivered(door: Door) -> None:
    async with door.device("home-1") as device:
        await device.publish("oadr/meter/home-2", b"forged", qos=1, retain=True)
        await door.violated(1)
        await device.publish("oadr/meter/home-1", b"own", qos=1)
    async with door.device("home-2") as other:
        await other.publish("oadr/meter/home-2", b"own", qos=1)
    assert [e.data for e in await door.meters(2)] == [b"own", b"own"]


async def test_a_will_on_another_s_topic_is_not_delivered(door: Door) -> None:
    # By hand, since a client that leaves politely takes its will with it.
    fields = [b"home-1", b"oadr/meter/home-2", b"forged", b"home-1", b"s1"]  # client id, will, user, password
    body = b"\x00\x04MQTT\x04\xce\x00\x3c" + b"".join(len(f).to_bytes(2, "big") + f for f in fields)
    reader, writer = await asyncio.open_connection(door.server.mqtt_host, door.server.mqtt_port)
    writer.write(b"\x10" + bytes([len(body)]) + body)
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"  # CONNACK: accepted
    writer.transport.abort()
    await door.violated(1)
    async with door.device("home-2") as other:
        await other.publish("oadr/meter/home-2", b"own", qos=1)
    assert [e.data for e in await door.meters(1)] == [b"own"]


@pytest.mark.parametrize(
    "topic",
    [
        *("#", ">", "+/+/+", "ven/>", "ven/cmd/+", "ven/cmd/#", "ven/cmd/*", "ven/cmd/home-2", "oadr/meter/home-1"),
        *("$JS/API/#", "$JS/API/>", "$SYS/#", "$MQTT/#", "$MQTT/msgs/#", "$MQTT/sub/#", "$MQTT/rmsgs/#", "_INBOX/#"),
    ],
)
@pytest.mark.parametrize("qos", [0, 1])
async def test_subscribing_to_more_than_its_own_is_refused(door: Door, topic: str, qos: int) -> None:
    await door.publisher.publish("ven/cmd/home-2", b"secret")
    async with door.device("home-1") as device:
        await device.subscribe("ven/cmd/home-1")
        assert await refused(device, topic, qos)
        await door.publisher.publish("ven/cmd/home-2", b"secret too")
        await door.publisher.publish("ven/cmd/home-1", b"mine")
        assert (await heard(device))[1] == b"mine"


async def test_an_empty_grant_lets_a_device_connect_and_nothing_more(door: Door) -> None:
    async with door.device("mute") as device:
        assert await refused(device, "ven/cmd/mute", 0)
        await device.publish("oadr/meter/mute", b"?", qos=0)
        await door.violated(2)


async def test_a_payload_up_to_4_mb_is_taken_and_a_larger_one_closes_only_its_own_connection(door: Door) -> None:
    async with door.device("home-2") as other:
        with pytest.raises(aiomqtt.MqttError, match="Disconnected"):  # noqa: PT012  in the midst of its use
            async with door.device("home-1") as device:
                await device.publish("oadr/meter/home-1", bytes(2 << 20), qos=1)
                with contextlib.suppress(aiomqtt.MqttError):
                    await device.publish("oadr/meter/home-1", bytes(5 << 20), qos=1, timeout=1)
                await heard(device)
        await other.publish("oadr/meter/home-2", b"alive", qos=1)
    assert [len(e.data) for e in await door.meters(2)] == [2 << 20, 5]


async def test_devices_and_the_publisher_come_back_after_a_kill(door: Door) -> None:
    await door.publisher.publish("ven/cmd/home-1", b"shed")
    async with door.device("home-1") as device:
        await device.publish("oadr/meter/home-1", b"before", qos=1)
    door.server.kill()
    await door.publisher.publish("ven/cmd/home-2", b"after")
    await door.log.last(METERS)  # answered once that line is back, and the callout is on the same one
    async with door.device("home-2") as device:
        await device.subscribe("ven/cmd/home-2")
        assert (await heard(device))[1] == b"after"
    async with door.device("home-1") as device:
        await device.subscribe("ven/cmd/home-1")
        assert (await heard(device))[1] == b"shed"
    assert [e.data for e in await door.meters(1)] == [b"before"]


def test_a_grant_holds_exact_topics_only() -> None:
    for topic in ("ven/cmd/+", "#", "ven.cmd.x", "ven/*/x", "ven/>", "", "/ven", "ven//x", "ven/cmd/a b", "ven/cmd/é"):
        with pytest.raises(Refused):
            Grant(publish=(topic,))
