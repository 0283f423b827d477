"""The MQTT door over TLS, as each `mqtt_auth` has it: a real nats-server, its callout, and those who come to it."""

import asyncio
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.contract.mqtt_world import CERTIFIED, Authorities, Broker, created, heard, hears, opened
from tieline.app.door import Door
from tieline.base.access import Caller
from tieline.base.errors import Refused
from tieline.base.time import RatedClock
from tieline.identity import actions, mqtt
from tieline.identity.authority import Authority
from tieline.identity.model import CLIENT
from tieline.settings import Settings
from tieline.ven import tls
from tieline.vtn.privacy import Viewer
from tieline.wires.openadr31 import topics
from tieline.wires.openadr31.notifiers import MqttAnonymous, MqttBearerToken, MqttCertificate


@pytest.fixture
async def certified(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Broker]:
    async with opened(tmp_path, authorities, **CERTIFIED) as broker:
        yield broker


@pytest.fixture
async def by_token(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Broker]:
    async with opened(tmp_path, authorities, mqtt_tls=True) as broker:
        yield broker


@pytest.fixture
async def anonymous(tmp_path: Path, authorities: Authorities) -> AsyncIterator[Broker]:
    async with opened(tmp_path, authorities, mqtt_auth="anonymous") as broker:
        yield broker


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_nothing_is_said_in_clear(by_token: Broker) -> None:
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
    reader, writer = await asyncio.open_connection(by_token.server.mqtt_host, by_token.server.mqtt_port)
    writer.write(connect)
    async with asyncio.timeout(90):
        assert (await reader.read())[:1] in (b"", b"\x15")  # nothing, or a TLS alert, but no CONNACK
    writer.close()
    assert await by_token.takes(by_token.trusting(), "home-1", by_token.secrets["device home-1"], "home-1")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "broker.example.org", "192.0.2.7"])
async def test_the_server_s_certificate_names_what_it_is_called(
    tmp_path: Path, authorities: Authorities, name: str
) -> None:
    async with opened(tmp_path, authorities, mqtt_tls=True, mqtt_names="broker.example.org, 192.0.2.7") as broker:
        assert await broker.shakes_hands(broker.trusting(), name) == "TLSv1.3"
        assert await broker.shakes_hands(broker.trusting(), "other.example") is None


async def test_who_trusts_another_authority_does_not_connect(by_token: Broker, authorities: Authorities) -> None:
    assert await by_token.shakes_hands(tls.context(authorities.other.certificate), "localhost") is None
    assert await by_token.shakes_hands(ssl.create_default_context(), "localhost") is None


async def test_tls_is_1_2_at_least(by_token: Broker) -> None:
    context = by_token.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await by_token.shakes_hands(context, "localhost") == "TLSv1.2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await by_token.shakes_hands(context, "localhost")


async def test_the_platform_itself_comes_back_after_a_crash(certified: Broker) -> None:
    async with certified.client(certified.shown("home-1"), mqtt_id="home-1") as device:
        assert await hears(device, "ven/cmd/home-1")
        await certified.publisher.publish("ven/cmd/home-1", b"one")
        assert await heard(device) == ("ven/cmd/home-1", b"one")
    certified.server.kill()
    await certified.publisher.publish("ven/cmd/home-1", b"two")
    await certified.answers()  # who comes before waits in vain
    async with certified.client(certified.shown("home-1"), mqtt_id="home-1") as device:
        assert await hears(device, "ven/cmd/home-1")
        assert await heard(device) == ("ven/cmd/home-1", b"two")


# --- certificates -----------------------------------------------------------------------------------------------------


async def test_a_device_needs_its_certificate_and_no_secret(certified: Broker) -> None:
    async with certified.client(certified.shown("home-1"), "home-1", mqtt_id="home-1") as device:
        assert await hears(device, "ven/cmd/home-1")
        assert not await hears(device, "ven/cmd/home-2")
        assert not await hears(device, "#")
    assert await certified.takes(certified.shown("home-1"), mqtt_id="home-1")
    assert not await certified.takes(certified.shown("home-1"), "home-1", mqtt_id="home-2")
    assert not await certified.takes(certified.shown("home-9"), "home-9", mqtt_id="home-9")


async def test_without_a_certificate_there_is_no_handshake(certified: Broker) -> None:
    assert "CERTIFICATE_REQUIRED" in await certified.alert(certified.trusting())


async def test_a_secret_is_no_certificate(certified: Broker) -> None:
    secret = certified.secrets["device home-1"]
    assert not await certified.takes(certified.shown("ven-a"), "home-1", secret, "home-1")


async def test_a_certificate_that_cannot_be_verified_is_refused(certified: Broker, authorities: Authorities) -> None:
    shown = {
        "CERTIFICATE_EXPIRED": authorities.expired.for_client("ven-a"),
        "UNKNOWN_CA": authorities.other.for_client("ven-a"),
        "BAD_CERTIFICATE": certified.ca.for_server(["ven-a"]),
    }
    for why, issued in shown.items():
        assert why in await certified.alert(certified.showing(issued))


@pytest.mark.parametrize("user", ["ven-b", "bl", "home-1", "tieline", "{clientID}"])
async def test_a_certificate_opens_no_other_user(certified: Broker, user: str) -> None:
    assert not await certified.takes(certified.shown("ven-a"), user)
    token = await certified.world.token("ven-b", certified.secrets["ven-b"])
    assert not await certified.takes(certified.shown("ven-a"), user, token)


@pytest.mark.parametrize("user", [None, "ven-a"])
async def test_a_client_hears_its_own_topics_and_no_others(certified: Broker, user: str | None) -> None:
    own = [created(topics.of_client("ven-a")), created(topics.of_ven("ven-a", "aaa1"))]
    others = [topics.of_client("ven-b"), topics.of_ven("ven-b", "bbb1"), topics.ALL, topics.ANYONE]
    async with certified.client(certified.shown("ven-a", CLIENT), user) as client:
        for place in others:
            assert not await hears(client, created(place))
            assert not await hears(client, f"{place}/#")
        for topic in ("#", "openadr3/#", "$SYS/#", "$JS/#", "ven/cmd/home-1"):
            assert not await hears(client, topic)
        for topic in own:
            assert await hears(client, topic)
            for place in others:
                await certified.publisher.publish(created(place), b"secret", retain=False)
            await certified.publisher.publish(topic, b"mine", retain=False)
            assert await heard(client) == (topic, b"mine")


async def test_business_logic_hears_all_of_openadr(certified: Broker) -> None:
    async with certified.client(certified.shown("bl", CLIENT)) as client:
        assert await hears(client, "openadr3/#")
        assert not await hears(client, "#")


async def test_a_client_s_certificate_never_opens_a_device_of_its_name(certified: Broker) -> None:
    async with certified.client(certified.shown("home-2", CLIENT), mqtt_id="home-2") as client:
        assert not await hears(client, "ven/cmd/home-2")
        assert await hears(client, created(topics.of_client("home-2")))
    async with certified.client(certified.shown("home-2"), mqtt_id="home-2") as device:
        assert await hears(device, "ven/cmd/home-2")


@pytest.mark.parametrize("mqtt_id", ["home-1", "ven-b", "tieline-0123456789abcdef"])
async def test_no_client_shuts_out_another(certified: Broker, mqtt_id: str) -> None:
    assert not await certified.takes(certified.shown("ven-a", CLIENT), mqtt_id=mqtt_id)


async def test_a_certificate_outlives_no_revocation(certified: Broker) -> None:
    world = certified.world
    await world.revoke("ven-a")
    await world.rows.transaction(lambda tx: actions.revoke(tx, "home-1", world.clock.now()))
    assert not await certified.takes(certified.shown("ven-a"))
    assert not await certified.takes(certified.shown("home-1"), mqtt_id="home-1")
    assert await certified.takes(certified.shown("ven-b"))


async def test_the_broker_disconnects_when_a_certificate_expires(certified: Broker, authorities: Authorities) -> None:
    issued = authorities.brief.for_client("home-1")

    async def listen() -> None:
        async with certified.client(certified.showing(issued), mqtt_id="home-1") as device:
            assert await hears(device, "ven/cmd/home-1")
            await anext(aiter(device.messages))

    with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
        await listen()
    assert RatedClock().now() >= issued.until - timedelta(seconds=1)  # the broker counts whole seconds


# --- an authority of others -------------------------------------------------------------------------------------------


def outside(folder: Path, theirs: Authority) -> dict[str, Any]:
    """Settings that name another's certificate, which names no address of this machine, and its authority."""
    issued = theirs.for_server(["broker.example.org"])
    files = {"mqtt_cert": issued.certificate, "mqtt_key": issued.key, "mqtt_ca": theirs.certificate}
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in files}


async def test_an_outside_authority_s_certificates_serve_both_ways(tmp_path: Path, authorities: Authorities) -> None:
    async with opened(tmp_path, authorities, **CERTIFIED, **outside(tmp_path, authorities.other)) as broker:
        assert broker.door.trusted == authorities.other.certificate
        for whose in (authorities.own, authorities.other):
            context = broker.showing(whose.for_client("home-1"))
            assert await broker.shakes_hands(context, "127.0.0.1") is None
            assert await broker.shakes_hands(context, "broker.example.org") == "TLSv1.3"
            context.check_hostname = False
            assert await broker.takes(context, mqtt_id="home-1")


@pytest.mark.parametrize("broken", ["mqtt_cert", "mqtt_key", "mqtt_ca"])
def test_files_that_cannot_serve_are_refused(tmp_path: Path, authorities: Authorities, broken: str) -> None:
    files = outside(tmp_path, authorities.other)
    for text in (authorities.own.for_client("x").key.replace("A", "B"), "\xff", ""):
        Path(files[broken]).write_text(text, encoding="latin-1")
        with pytest.raises(Refused):
            Door(Settings(mqtt_tls=True, **files), RatedClock(), None).served()
    Path(files[broken]).unlink()
    with pytest.raises(Refused, match=f"{broken} .*No such file"):
        Door(Settings(mqtt_tls=True, **files), RatedClock(), None).served()


# --- tokens, and anyone -----------------------------------------------------------------------------------------------


async def test_tokens_and_secrets_open_the_door_over_tls(by_token: Broker) -> None:
    token = await by_token.world.token("ven-a", by_token.secrets["ven-a"])
    async with by_token.client(by_token.trusting(), "ven-a", token) as client:
        assert await hears(client, created(topics.of_ven("ven-a", "aaa1")))
        assert not await hears(client, created(topics.of_ven("ven-b", "bbb1")))
        await by_token.publisher.publish(created(topics.of_ven("ven-a", "aaa1")), b"x", retain=False)
        assert await heard(client) == (created(topics.of_ven("ven-a", "aaa1")), b"x")
    assert not await by_token.takes(by_token.trusting(), "ven-b", token)
    assert not await by_token.takes(by_token.trusting())
    assert not await by_token.takes(by_token.shown("ven-a"), "ven-a")  # nobody asked for it: it proves nothing


async def test_anyone_hears_what_has_no_targets_and_says_nothing(anonymous: Broker) -> None:
    secret = [created(place) for place in (topics.ALL, topics.of_client("ven-a"), topics.of_ven("ven-a", "aaa1"))]
    async with anonymous.client(None) as client:
        for topic in (*secret, "#", "openadr3/#", "openadr3/+/#", "$SYS/#", "$JS/#", "ven/cmd/home-1"):
            assert not await hears(client, topic)
        assert await hears(client, f"{topics.ANYONE}/#")
        await client.publish(created(topics.ANYONE), b"forged", qos=0)
        for topic in secret:
            await anonymous.publisher.publish(topic, b"secret", retain=False)
        await anonymous.publisher.publish(created(topics.ANYONE), b"for all", retain=False)
        assert await heard(client) == (created(topics.ANYONE), b"for all")


@pytest.mark.parametrize("mqtt_id", ["home-1", "ven-a", "tieline-0123456789abcdef"])
async def test_nobody_in_particular_shuts_out_nobody(anonymous: Broker, mqtt_id: str) -> None:
    assert not await anonymous.takes(None, mqtt_id=mqtt_id)


async def test_who_names_itself_is_not_anyone(anonymous: Broker) -> None:
    assert not await anonymous.takes(None, "ven-a", "guess")
    assert not await anonymous.takes(None, "home-1", None, "home-1")
    assert await anonymous.takes(None, "home-1", anonymous.secrets["device home-1"], "home-1")
    async with anonymous.client(
        None, "ven-a", await anonymous.world.token("ven-a", anonymous.secrets["ven-a"])
    ) as client:
        assert await hears(client, created(topics.of_ven("ven-a", "aaa1")))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"mqtt_auth": "anonymous"}, "TIELINE_DEVELOPMENT"),
        ({"mqtt_auth": "certificate"}, "TIELINE_MQTT_TLS"),
        ({**CERTIFIED, "oidc_issuer": "https://i.example"}, "oidc_issuer"),
        ({"mqtt_tls": True, "mqtt_cert": "x"}, "all three"),
        ({"mqtt_tls": True, "mqtt_cert": "x", "mqtt_ca": "x"}, "all three"),
        ({"mqtt_tls": True, "nats_urls": "x", "nats_password": "x", "nats_issuer_seed": "x"}, "mqtt_ca"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        Settings(**chosen)


# --- /notifiers -------------------------------------------------------------------------------------------------------

VEN_A, VEN_B = Viewer("ven-a", business=False), Viewer("ven-b", business=False)


async def test_what_notifiers_tells_opens_the_door(certified: Broker) -> None:
    given = certified.door.authentication(VEN_A)
    assert isinstance(given, MqttCertificate)
    async with certified.client(tls.context(given.ca_cert, given.client_cert, given.client_key)) as client:
        assert await hears(client, created(topics.of_ven("ven-a", "aaa1")))
        assert not await hears(client, created(topics.of_ven("ven-b", "bbb1")))


def test_a_client_is_told_the_same_until_half_of_its_certificate_s_life_has_passed(authorities: Authorities) -> None:
    later_s = [0.0]
    told = mqtt.Certificates(authorities.own, RatedClock(wall=lambda: time.time() + later_s[0]), "ca")
    first = told.of(VEN_A)
    assert told.of(VEN_A) is first
    assert told.of(VEN_B) != first
    later_s[0] = 11 * 3600.0
    assert told.of(VEN_A) is first
    later_s[0] = 13 * 3600.0
    assert told.of(VEN_A) != first


def test_other_ways_need_no_certificate(authorities: Authorities) -> None:
    by_token = Door(Settings(), RatedClock(), None).authentication(VEN_A)
    assert by_token == MqttBearerToken("{clientID}")
    assert Door(Settings(mqtt_tls=True), RatedClock(), authorities.own).authentication(VEN_A) == by_token
    anyone = Settings(mqtt_auth="anonymous", development=True)
    assert Door(anyone, RatedClock(), None).authentication(VEN_A) == MqttAnonymous()


def test_an_id_that_no_certificate_can_hold_is_refused(authorities: Authorities) -> None:
    with pytest.raises(Refused, match="64"):
        authorities.own.for_client("x" * 65)


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_keys_stand_in_files_of_their_owner_and_nowhere_else(certified: Broker, tmp_path: Path) -> None:
    folder = tmp_path / "nats"
    key = (folder / "mqtt-key.pem").read_text()
    assert await certified.takes(certified.shown("home-1"), mqtt_id="home-1")
    assert await certified.alert(certified.trusting())
    assert (folder / "mqtt-key.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    body = key.splitlines()[1]
    others = [file for file in folder.rglob("*") if file.is_file() and file.name != "mqtt-key.pem"]
    assert (folder / "nats-server.log") in others
    assert not [file for file in others if body.encode() in file.read_bytes()]
    pid = (folder / "nats-server.pid").read_text()
    commands = [Path("/proc") / pid / what for what in ("cmdline", "environ")]
    assert not [file for file in commands if file.exists() and body.encode() in file.read_bytes()]
    for secretive in (certified.ca.for_client("x"), certified.door.served(), Caller("u", body, "x")):
        assert "PRIVATE" not in repr(secretive)
        assert body not in repr(secretive)
