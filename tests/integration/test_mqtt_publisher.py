"""The platform's MQTT client at a real broker, and at ones that misbehave: a fleet at once, a broker that dies, lies or
says nothing."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.servers.devices import device_door, secret
from tests.servers.nats import free_port
from tieline.adapters.nats import mqtt, packets
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.base.errors import Unready

FLEET = 3000
PUBLISH, TAKEN, PINGRESP = 3, b"\x20\x02\x00\x00", b"\xd0\x00"
Said = AsyncIterator[tuple[int, bytes]]
Serve = Callable[[Said, asyncio.StreamWriter], Awaitable[None]]


def publisher_at(server: NatsServer) -> MqttPublisher:
    return MqttPublisher(server.mqtt_host, server.mqtt_port, user=server.user, password=server.password)


async def retained(server: NatsServer, number: int) -> dict[str, bytes]:
    """What one who comes back finds, of the platform's own user."""
    found: dict[str, bytes] = {}
    async with device_door(server) as client:
        await client.subscribe("ven/cmd/#", qos=0)
        async with asyncio.timeout(90):
            async for message in client.messages:
                found[str(message.topic)] = bytes(message.payload)
                if len(found) == number:
                    return found
    return found


async def test_what_is_said_to_a_fleet_at_once_is_all_confirmed_and_kept(nats_server: NatsServer) -> None:
    said = {f"ven/cmd/home-{n}": str(n).encode() for n in range(FLEET)}
    async with publisher_at(nats_server) as publisher:
        await publisher.publish_all(list(said.items()))
    assert await retained(nats_server, FLEET) == said


async def test_what_a_dying_broker_has_not_confirmed_is_said_again(nats_server: NatsServer, tmp_path: Path) -> None:
    said = {f"ven/cmd/home-{n}": str(n).encode() for n in range(FLEET)}
    async with publisher_at(nats_server) as publisher:
        saying = asyncio.ensure_future(publisher.publish_all(list(said.items())))
        await asyncio.sleep(0.05)
        os.kill(int((tmp_path / "nats" / "nats-server.pid").read_text()), signal.SIGKILL)
        await saying
    assert await retained(nats_server, FLEET) == said


async def test_of_one_topic_the_last_said_stays(nats_server: NatsServer) -> None:
    async with publisher_at(nats_server) as publisher:
        await asyncio.gather(*(publisher.publish("ven/cmd/home", str(n).encode()) for n in range(200)))
    assert await retained(nats_server, 1) == {"ven/cmd/home": b"199"}


async def test_without_a_broker_it_is_unready_within_its_time() -> None:
    with pytest.raises(Unready, match="no MQTT broker"):
        async with MqttPublisher("127.0.0.1", free_port(), user="tieline", password="x", timeout_s=0.5):
            pass
    with pytest.raises(Unready, match="not been started"):
        await MqttPublisher("127.0.0.1", 1, user="tieline", password="x").publish("a", b"")


async def test_with_a_wrong_password_it_is_unready(nats_server: NatsServer) -> None:
    wrong = secret("nobody")
    with pytest.raises(Unready, match="takes 'tieline'"):
        async with MqttPublisher(
            nats_server.mqtt_host, nats_server.mqtt_port, user="tieline", password=wrong, timeout_s=1
        ):
            pass


async def heard(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    stream = packets.Stream()
    while data := await reader.read(4096):
        for packet in stream.fed(data):
            yield packet


@contextlib.asynccontextmanager
async def broker(serve: Serve) -> AsyncIterator[int]:
    """Takes a client in, then does as told with what it says; its port."""
    serving: set[asyncio.Task[None] | None] = set()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            said = heard(reader)
            assert (await anext(said))[0] == 1
            writer.write(TAKEN)
            await serve(said, writer)
        writer.close()

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*(task for task in serving if task))


def publisher_to(port: int, timeout_s: float = 0.5) -> MqttPublisher:
    return MqttPublisher("127.0.0.1", port, user="tieline", password="x", timeout_s=timeout_s)


async def test_a_broker_that_falls_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_PING_S", 0.1)
    lines: list[int] = []

    async def first_silent_then_right(said: Said, writer: asyncio.StreamWriter) -> None:
        lines.append(1)
        silent = len(lines) == 1
        async for kind, body in said:
            topic = int.from_bytes(body[:2], "big") + 2
            if not silent:
                writer.write(b"\x40\x02" + body[topic : topic + 2] if kind == PUBLISH else PINGRESP)

    async with broker(first_silent_then_right) as port, publisher_to(port, timeout_s=30) as publisher:
        await publisher.publish("ven/cmd/home", b"{}")
    assert len(lines) == 2


async def test_a_broker_that_takes_them_slowly_may_say_each_hundred_that_it_is_there() -> None:
    unconfirmed = [0]

    async def confirms_what_it_is_to(said: Said, writer: asyncio.StreamWriter) -> None:
        async for kind, body in said:
            number = body[int.from_bytes(body[:2], "big") + 2 :][:2]
            if kind == PUBLISH and number == b"{}":  # at QoS 0
                unconfirmed[-1] += 1
            elif kind == PUBLISH:
                unconfirmed.append(0)
                writer.write(b"\x40\x02" + number)

    async with broker(confirms_what_it_is_to) as port, publisher_to(port, timeout_s=30) as publisher:
        await publisher.publish_all([(f"ven/cmd/home-{n}", b"{}") for n in range(1000)])
    assert max(unconfirmed) < 100  # a slow disk, or a cluster far apart, takes some 20 a second


async def test_a_broker_that_confirms_nothing_makes_it_unready() -> None:
    async def nothing(said: Said, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x40\x02\x00\x07")  # only what was never said
        async for _ in said:
            writer.write(PINGRESP)

    async with broker(nothing) as port, publisher_to(port) as publisher:
        with pytest.raises(Unready, match="did not take ven/cmd/home"):
            await publisher.publish("ven/cmd/home", b"{}")


async def test_a_broker_that_speaks_no_mqtt_is_left() -> None:
    async def nonsense(said: Said, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" * 64)
        async for _ in said:
            pass

    async with broker(nonsense) as port, publisher_to(port) as publisher:
        with pytest.raises(Unready):
            await publisher.publish("ven/cmd/home", b"{}")
