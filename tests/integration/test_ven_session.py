"""A VEN's session on a real broker with its auth callout: commands in, readings out, across lost connections."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import aiomqtt
import msgspec
import pytest

from tests.servers.devices import device_door, secret
from tieline.adapters.nats.server import NatsServer
from tieline.ven.session import EACH_MINUTE, Beat, Session
from tieline.wires.mqtt.codec import decode, encode
from tieline.wires.mqtt.messages import (
    ACK,
    COMMAND,
    DESIRED,
    METER,
    PRESENCE,
    Ack,
    Answer,
    Command,
    Limit,
    Meter,
    Op,
    Presence,
    Sample,
    TwinDelta,
    topic,
)

NOW = datetime(2026, 7, 14, 23, tzinfo=UTC)


@pytest.fixture
async def platform(nats_server: NatsServer) -> AsyncIterator[aiomqtt.Client]:
    async with device_door(nats_server) as client:
        yield client


commands: list[Command] = []


def session(server: NatsServer, password: str | None = None, store: int = 100, beat: Beat = EACH_MINUTE) -> Session:
    commands.clear()
    return Session(
        "home-1", password or secret("home-1"), host=server.mqtt_host, port=server.mqtt_port,
        on_command=commands.append, store=store, beat=beat,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(ven: Session) -> AsyncIterator[None]:
    task = asyncio.create_task(ven.run())
    try:
        async with asyncio.timeout(90):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def meter(power_kw: float) -> Meter:
    return Meter(samples=[Sample(at=NOW, power_kw=power_kw)])


async def powers(client: aiomqtt.Client, count: int) -> list[float]:
    """The powers of the next messages."""
    seen: list[float] = []
    async for message in client.messages:
        seen.append(msgspec.json.decode(message.payload, type=Meter).samples[0].power_kw)
        if len(seen) == count:
            break
    return seen


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.02)


def command() -> Command:
    return Command(
        command_id="c-1", op=Op.EVENT, event_id="e-1", issued_at=NOW, expires_at=NOW + timedelta(hours=1),
        start_at=NOW, end_at=NOW + timedelta(hours=1), limits=[Limit(resource_id="hvac", limit_kw=0.5)],
    )  # fmt: skip


async def test_a_command_arrives_and_is_answered(nats_server: NatsServer, platform: aiomqtt.Client) -> None:
    ven = session(nats_server)
    await platform.subscribe(topic(ACK, "home-1"))
    async with running(ven):
        await ven.connected.wait()
        await platform.publish(topic(COMMAND, "home-1"), msgspec.json.encode(command()), qos=1, retain=True)
        await until(lambda: bool(commands))
        assert commands == [command()]
        ven.send(ACK, Ack(command_id="c-1", answer=Answer.ACCEPTED, at=NOW))
        await ven.drained()
    answer = await anext(platform.messages)
    assert msgspec.json.decode(answer.payload, type=Ack).answer == Answer.ACCEPTED


async def test_a_retained_command_is_found_on_return(nats_server: NatsServer, platform: aiomqtt.Client) -> None:
    await platform.publish(topic(COMMAND, "home-1"), msgspec.json.encode(command()), qos=1, retain=True)
    ven = session(nats_server)
    async with running(ven):
        await until(lambda: bool(commands))
    async with running(ven):
        await until(lambda: len(commands) == 2)
    assert commands == [command()] * 2


async def test_what_was_stored_while_cut_off_arrives_in_order(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    ven = session(nats_server)
    await platform.subscribe(topic(METER, "home-1"))
    for i in range(20):
        ven.send(METER, meter(i))
    assert ven.waiting == 20
    async with running(ven):
        await ven.drained()
    assert await powers(platform, 20) == list(range(20))
    assert (ven.waiting, ven.dropped) == (0, 0)


async def test_readings_survive_a_crash_of_the_broker(nats_server: NatsServer) -> None:
    ven = session(nats_server)
    async with device_door(nats_server), running(ven):
        await ven.connected.wait()
        nats_server.kill()
        for i in range(50):
            ven.send(METER, meter(i))
            await asyncio.sleep(0.01)
        await ven.drained()
    assert ven.dropped == 0


async def test_leaving_at_any_moment_is_prompt_and_loses_nothing(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    ven = session(nats_server, store=1000)
    await platform.subscribe(topic(METER, "home-1"))
    for stay in range(40):
        for i in range(10):
            ven.send(METER, meter(10 * stay + i))
        async with running(ven):
            await asyncio.sleep(0.0007 * stay)
    async with running(ven):
        await ven.drained()
    seen: list[float] = []
    async with asyncio.timeout(90):
        while 399 not in seen:
            seen += await powers(platform, 1)
    repeated = [now for before, now in itertools.pairwise(seen) if now <= before]
    assert sorted(set(seen)) == list(range(400))
    assert len(repeated) <= 40  # what was in flight when the connection was left is sent again, at most


async def test_beyond_its_bound_the_oldest_are_dropped_and_counted(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    ven = session(nats_server, store=10)
    await platform.subscribe(topic(METER, "home-1"))
    for i in range(25):
        ven.send(METER, meter(i))
    assert (ven.waiting, ven.dropped) == (10, 15)
    async with running(ven):
        await ven.drained()
    assert await powers(platform, 10) == list(range(15, 25))


async def test_a_wrong_secret_is_refused_and_tried_again(nats_server: NatsServer, platform: aiomqtt.Client) -> None:
    ven = session(nats_server, password="wrong")
    async with running(ven):
        await until(lambda: "not yet" not in ven.trouble)
        assert not ven.connected.is_set()
        assert "wrong" not in ven.trouble


async def test_an_unreadable_command_is_counted_and_the_next_one_obeyed(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    ven = session(nats_server)
    async with running(ven):
        await ven.connected.wait()
        for payload in (b"{", b'{"op":"dance"}', msgspec.json.encode(command()), b""):
            await platform.publish(topic(COMMAND, "home-1"), payload, qos=1, retain=True)
        await until(lambda: bool(commands))
    assert ven.unreadable == 2
    assert commands == [command()]


@pytest.mark.parametrize("packed", [False, True], ids=["json", "packed"])
async def test_a_command_is_read_in_either_encoding(
    nats_server: NatsServer, platform: aiomqtt.Client, packed: bool
) -> None:
    await platform.publish(topic(COMMAND, "home-1"), encode(command(), packed=packed), qos=1, retain=True)
    async with running(session(nats_server)):
        await until(lambda: bool(commands))
    assert commands == [command()]


async def test_what_is_desired_of_its_twin_comes_to_who_asked_for_it(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    ven, desired = session(nats_server), list[TwinDelta]()
    ven.on_desired = desired.append
    delta = TwinDelta("classic", 3, NOW, {"comfort_c": 21})
    async with running(ven):
        await ven.connected.wait()
        await platform.publish(topic(DESIRED, "home-1"), encode(delta), qos=1)
        await until(lambda: bool(desired))
    assert (desired, commands) == ([delta], [])


async def presences(client: aiomqtt.Client, count: int) -> list[tuple[bool, float]]:
    said = [decode((await anext(client.messages)).payload, Presence) for _ in range(count)]
    return [(one.online, one.beat_s) for one in said]


async def test_it_says_that_it_is_there_each_beat_and_that_it_leaves(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    await platform.subscribe(topic(PRESENCE, "home-1"), qos=1)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)
        await (asyncio.Event().wait() if len(slept) == 3 else asyncio.sleep(0))

    async with running(session(nats_server, beat=Beat(45, "test/1", sleep))):
        assert await presences(platform, 3) == [(True, 45.0)] * 3
    assert await presences(platform, 1) == [(False, 45.0)]
    assert slept == [45, 45, 45]


async def test_of_one_that_is_cut_off_the_broker_says_that_it_is_gone(
    nats_server: NatsServer, platform: aiomqtt.Client
) -> None:
    await platform.subscribe(topic(PRESENCE, "home-1"), qos=1)
    with contextlib.suppress(aiomqtt.MqttError):
        async with await session(nats_server)._client() as client:
            client._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            assert await presences(platform, 1) == [(False, 60.0)]
