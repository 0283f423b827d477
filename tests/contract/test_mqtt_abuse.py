"""Those who come to the MQTT door with what is forged, expired, revoked or another's: each refused, and seen to be."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.mqtt_world import CERTIFIED, Authorities, Broker, heard, hears, opened
from tests.contract.test_mqtt_tls import outside
from tests.servers.nats import NatsCluster
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.configuration import SYSTEM_USER
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.server import HANDSHAKE
from tieline.adapters.nats.sessions import Sessions
from tieline.base.access import Caller, Grant, Session
from tieline.base.time import RatedClock
from tieline.identity import actions, authority, model
from tieline.identity.authority import Issued
from tieline.identity.model import Denied
from tieline.wires.mqtt.messages import FROM_VEN, TO_VEN, topic


@pytest.fixture
async def broker(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Broker]:
    """It takes device certificates of another authority as well."""
    async with opened(tmp_path, authorities, **CERTIFIED, **outside(tmp_path, authorities.other)) as broker:
        yield broker


def showing(broker: Broker, issued: Issued) -> ssl.SSLContext:
    """The broker's own certificate, of an outside authority, names no address of this machine."""
    context = broker.showing(issued)
    context.check_hostname = False
    return context


def self_signed(name: str) -> Issued:
    """By an authority that nobody knows, which signed its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = RatedClock().now()
    root = authority.new_root(now, "p")
    forger = authority._authority(root, "p", RatedClock(), timedelta(days=1))
    forged = forger.for_device(name, 1, key.public_key(), timedelta(days=1))
    return Issued(forged.certificate, authority._key_pem(key), forged.until)


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_a_device_of_an_outside_authority_is_known_by_its_name(broker: Broker, authorities: Authorities) -> None:
    context = showing(broker, authorities.other.for_client("home-1"))
    async with broker.client(context, mqtt_id="home-1") as device:
        assert await hears(device, "ven/cmd/home-1")
        assert not await hears(device, "ven/cmd/home-2")


@pytest.mark.parametrize("how", ["another authority's", "expired", "self-signed", "none"])
async def test_what_cannot_be_verified_ends_at_the_handshake_and_is_in_the_log(
    broker: Broker, authorities: Authorities, tmp_path: Path, how: str
) -> None:
    expired = authorities.expired.for_client("home-1")
    shown = {"expired": expired, "self-signed": self_signed("home-1"), "another authority's": self_signed("home-1")}
    context = showing(broker, shown[how]) if how in shown else broker.trusting()
    context.check_hostname = False
    assert await broker.alert(context)
    assert HANDSHAKE in await broker.violated(HANDSHAKE)
    assert broker.denied == []  # the callout was not even asked


@pytest.mark.parametrize("whose", ["own", "other"])
async def test_another_s_certificate_opens_nothing_of_this_ven(
    broker: Broker, authorities: Authorities, whose: str
) -> None:
    theirs = showing(broker, getattr(authorities, whose).for_client("home-2"))
    async with broker.client(showing(broker, authorities.own.for_client("home-1")), mqtt_id="home-1") as device:
        assert await hears(device, "ven/cmd/home-1")
        assert not await broker.takes(theirs, mqtt_id="home-1")  # which would have shut out the one that is connected
        assert not await broker.takes(theirs, "home-1", mqtt_id="home-1")
        assert broker.denied == [("home-2", Denied.OTHER_CLIENT_ID), ("home-2", Denied.OTHER_USER)]
        await broker.publisher.publish("ven/cmd/home-1", b"mine", retain=False)
        assert await heard(device) == ("ven/cmd/home-1", b"mine")


@pytest.mark.parametrize("whose", ["own", "other"])
async def test_a_valid_certificate_of_a_revoked_ven_opens_nothing(
    broker: Broker, authorities: Authorities, whose: str
) -> None:
    context = showing(broker, getattr(authorities, whose).for_client("home-1"))
    assert await broker.takes(context, mqtt_id="home-1")
    now = broker.world.clock.now()
    await broker.world.rows.transaction(lambda tx: actions.revoke(tx, "home-1", now))
    assert not await broker.takes(context, mqtt_id="home-1")
    assert broker.denied == [("home-1", Denied.REVOKED)]


async def test_a_certificate_on_an_older_credential_is_void_and_one_of_a_name_unknown_is_nobody_s(
    broker: Broker, authorities: Authorities
) -> None:
    old = showing(broker, authorities.own.for_client("home-1", model.device_purpose(1)))
    ghost = showing(broker, authorities.own.for_client("ghost", model.device_purpose(1)))
    assert await broker.takes(old, mqtt_id="home-1")
    await broker.world.rows.transaction(lambda tx: actions.issue(tx, "home-1", broker.world.clock.now()))
    assert not await broker.takes(old, mqtt_id="home-1")
    assert not await broker.takes(ghost, mqtt_id="ghost")
    assert broker.denied == [("home-1", Denied.OLD_CERTIFICATE), ("ghost", Denied.UNKNOWN)]
    new = showing(broker, authorities.own.for_client("home-1", model.device_purpose(2)))
    assert await broker.takes(new, mqtt_id="home-1")


# --- topics -----------------------------------------------------------------------------------------------------------


async def test_a_device_says_and_hears_all_that_is_its_own(broker: Broker, authorities: Authorities) -> None:
    async with broker.client(showing(broker, authorities.own.for_client("home-1")), mqtt_id="home-1") as device:
        for kind in FROM_VEN:
            await device.publish(topic(kind, "home-1"), b"{}", qos=1)
        for kind in TO_VEN:
            assert await hears(device, topic(kind, "home-1"))
    assert broker.violations == []


@pytest.mark.parametrize(
    "where",
    [
        *(topic(kind, "home-2") for kind in (*FROM_VEN, *TO_VEN)),
        *(topic(kind, "home-1") for kind in TO_VEN),  # to speak to itself in the platform's name
        *(
            "$JS/API/STREAM/PURGE/news",
            "$KV/twins/home-2",
            "$SYS/REQ/SERVER/PING/CONNZ",
            "$MQTT/msgs/x",
            "news/event/x",
        ),
    ],
)
async def test_saying_what_is_not_its_own_is_not_heard_and_is_counted(
    broker: Broker, authorities: Authorities, where: str
) -> None:
    async with broker.client(showing(broker, authorities.own.for_client("home-2")), mqtt_id="home-2") as other:
        for kind in TO_VEN:
            assert await hears(other, topic(kind, "home-2"))
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with broker.client(showing(broker, authorities.own.for_client("home-1")), mqtt_id="home-1") as device:
                await device.publish(where, b"forged", qos=1, timeout=2)
        assert "home-1" in await broker.violated("Publish Violation")
        await broker.publisher.publish("ven/cmd/home-2", b"true", retain=False)
        assert await heard(other) == ("ven/cmd/home-2", b"true")


@pytest.mark.parametrize("where", ["$KV/#", "$JS/#", "$SYS/#", "$O/#", "ven/desired/#", "ven/twin/home-2", "news/#"])
async def test_hearing_what_is_not_its_own_is_refused(broker: Broker, authorities: Authorities, where: str) -> None:
    async with broker.client(showing(broker, authorities.own.for_client("home-1")), mqtt_id="home-1") as device:
        assert not await hears(device, where)
        assert "Subscription Violation" in await broker.violated("Subscription Violation")


# --- who is connected -------------------------------------------------------------------------------------------------


async def test_who_is_connected_is_listed_and_closed(broker: Broker, authorities: Authorities) -> None:
    async with broker.sessions() as sessions:
        async with (
            broker.client(showing(broker, authorities.own.for_client("home-1")), mqtt_id="home-1") as device,
            broker.client(showing(broker, authorities.own.for_client("home-2")), mqtt_id="home-2") as other,
        ):
            (session,) = await sessions.of("home-1")
            assert session.label == "device:home-1:1"
            labels = [one.label async for page in sessions.all() for one in page]
            assert {"device:home-1:1", "device:home-2:1"} <= set(labels)
            await sessions.close(session)
            with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
                await anext(aiter(device.messages))
            await sessions.close(session)  # gone already
            assert await hears(other, "ven/cmd/home-2")
        async with asyncio.timeout(90):
            while await sessions.of("home-1"):
                await asyncio.sleep(0.05)


async def test_on_a_cluster_each_is_found_where_it_is(nats_cluster: NatsCluster) -> None:
    async def decide(caller: Caller) -> Grant:
        return Grant(label=model.device_label(caller.user, 1))

    line = await connect(nats_cluster.urls, user=nats_cluster.user, password=nats_cluster.password)
    system = await connect(nats_cluster.urls, user=SYSTEM_USER, password=nats_cluster.system_password)
    callout, sessions = AuthCallout(line, decide, issuer_seed=nats_cluster.issuer_seed), Sessions(system)
    await callout.start()
    async with contextlib.AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(
                aiomqtt.Client("127.0.0.1", node.mqtt_port, identifier=name, username=name, password="x", timeout=60)
            )
            for name, node in zip(("sessions-1", "sessions-2", "sessions-3"), nats_cluster.nodes, strict=True)
        ]
        found: list[Session] = []
        async with asyncio.timeout(90):
            while len(found) < 3:
                found = [one async for page in sessions.all() for one in page if "sessions-" in one.label]
        assert len({one.server for one in found}) == 3
        for device, name in zip(devices, ("sessions-1", "sessions-2", "sessions-3"), strict=True):
            (session,) = await sessions.of(name)
            await sessions.close(session)
            with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
                await anext(aiter(device.messages))
            with contextlib.suppress(aiomqtt.MqttError):
                await device.__aexit__(None, None, None)
        stack.pop_all()
    await callout.stop()
    await system.close()
    await line.close()
