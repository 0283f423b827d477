"""MQTT notifications: what /notifiers tells, whose topics are whose, and that the broker keeps them apart."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import pytest

from tests.conformance.refusals import refused
from tests.conformance.vtn import Credentials, Vtn, created, unique

HEARD_S = 90
LATER = {"start": "2090-01-01T00:00:00Z", "duration": "PT1H"}


@contextlib.asynccontextmanager
async def listening(vtn: Vtn, who: Credentials, **more: Any) -> AsyncIterator[aiomqtt.Client]:
    """To the broker that /notifiers names, as it says."""
    token = await asyncio.to_thread(vtn.token, who)
    binding = (await asyncio.to_thread(vtn.client(who).get, "notifiers")).json()["MQTT"]
    assert binding["authentication"]["method"] == "OAUTH2_BEARER_TOKEN"
    user = binding["authentication"]["username"].replace("{clientID}", who.client_id)
    host, _, port = binding["URIS"][0].removeprefix("mqtt://").rpartition(":")
    options = {"username": user, "password": token, "protocol": aiomqtt.ProtocolVersion.V311} | more
    async with aiomqtt.Client(host, int(port), timeout=HEARD_S, **options) as client:
        yield client


async def heard(client: aiomqtt.Client) -> dict[str, Any]:
    async with asyncio.timeout(HEARD_S):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            told: dict[str, Any] = json.loads(message.payload)
            return told | {"topic": str(message.topic)}
    raise AssertionError("the connection ended")


@pytest.mark.clause("mqtt: notifiers")
def test_webhooks_and_the_broker_are_named(vtn: Vtn) -> None:
    told = vtn.client("ven").get("notifiers").json()
    assert told["WEBHOOK"] is True
    assert told["MQTT"]["serialization"] == "JSON"
    assert told["MQTT"]["URIS"] == [f"mqtt://127.0.0.1:{vtn.platform.mqtt_port}"]


@pytest.mark.clause("mqtt: topics")
def test_topics_are_for_those_who_may_see_what_they_tell(vtn: Vtn) -> None:
    bl, owner, other = vtn.client("bl"), vtn.enrol("ven"), vtn.usual("ven")
    ven = vtn.client(owner)
    own = created(ven, "vens", {"objectType": "VEN_VEN_REQUEST", "venName": unique()})["id"]
    hidden = created(bl, "programs", {"programName": unique(), "targets": [f"x-{unique()}"]})["id"]
    shown = created(bl, "programs", {"programName": unique()})["id"]
    root = "notifiers/mqtt/topics"
    for kind in ("events", "reports", "subscriptions", "vens", "resources"):
        refused(ven.get(f"{root}/{kind}"), 403)
        assert bl.get(f"{root}/{kind}").status_code == 200
    for path in (f"programs/{hidden}", f"programs/{hidden}/events"):
        refused(ven.get(f"{root}/{path}"), 404)
        assert bl.get(f"{root}/{path}").status_code == 200
    for path in (f"vens/{own}", f"vens/{own}/events", f"vens/{own}/programs", f"vens/{own}/resources"):
        answer = ven.get(f"{root}/{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert set(answer.json()["topics"]) >= {"UPDATE", "DELETE", "ALL"}
        refused(vtn.client(other).get(f"{root}/{path}"), 404)
    of_objects = ven.get(f"{root}/programs/{shown}/events").json()["topics"]
    assert set(of_objects) == {"CREATE", "UPDATE", "DELETE", "ALL"}
    assert "CREATE" not in ven.get(f"{root}/programs/{shown}").json()["topics"]


@pytest.mark.clause("mqtt: token as password")
@pytest.mark.clause("mqtt: 3.1.1")
async def test_a_ven_hears_what_is_meant_for_it(vtn: Vtn) -> None:
    who = vtn.usual("ven")
    bl, ven = vtn.client("bl"), vtn.client(who)
    program = created(bl, "programs", {"programName": unique()})["id"]
    topics = ven.get(f"notifiers/mqtt/topics/programs/{program}/events").json()["topics"]
    async with listening(vtn, who) as client:
        await client.subscribe(topics["ALL"], qos=0)
        body = {"programID": program, "intervalPeriod": LATER}
        made = await asyncio.to_thread(created, bl, "events", body)
        told = await heard(client)
        assert (told["objectType"], told["operation"]) == ("EVENT", "CREATE")
        assert told["object"] == (await asyncio.to_thread(ven.get, f"events/{made['id']}")).json()
        assert told["topic"] == topics["CREATE"]


@pytest.mark.clause("mqtt: access enforced")
async def test_the_broker_refuses_another_s_topics(vtn: Vtn) -> None:
    """Neither by name nor by a pattern that would take them in; and nobody but the platform publishes."""
    mine, theirs = vtn.usual("ven"), vtn.enrol("ven")
    bl, ven = vtn.client("bl"), vtn.client(theirs)
    program = created(bl, "programs", {"programName": unique()})["id"]
    topics = ven.get(f"notifiers/mqtt/topics/programs/{program}/events").json()["topics"]
    every = bl.get("notifiers/mqtt/topics/events").json()["topics"]
    async with listening(vtn, theirs) as right, contextlib.AsyncExitStack() as wrongs:
        await right.subscribe(topics["ALL"], qos=0)
        wrong = []
        for pattern in (topics["ALL"], topics["CREATE"], every["ALL"], "#", "openadr3/#", "+/+/+/#", "$SYS/#", "$JS/#"):
            client = await wrongs.enter_async_context(listening(vtn, mine))
            with contextlib.suppress(aiomqtt.MqttError):
                await client.subscribe(pattern, qos=0)
                wrong.append(client)
        made = await asyncio.to_thread(created, bl, "events", {"programID": program, "intervalPeriod": LATER})
        assert (await heard(right))["object"]["id"] == made["id"]
        for client in wrong:
            with contextlib.suppress(aiomqtt.MqttError):
                assert not list(client.messages._client._queue._queue)  # type: ignore[attr-defined]


@pytest.mark.clause("mqtt: access enforced")
async def test_a_client_cannot_tell_others_anything(vtn: Vtn) -> None:
    mine, theirs = vtn.usual("ven"), vtn.enrol("ven")
    bl, ven = vtn.client("bl"), vtn.client(theirs)
    program = created(bl, "programs", {"programName": unique()})["id"]
    topics = ven.get(f"notifiers/mqtt/topics/programs/{program}/events").json()["topics"]
    async with listening(vtn, theirs) as right:
        await right.subscribe(topics["ALL"], qos=0)
        with contextlib.suppress(aiomqtt.MqttError):
            async with listening(vtn, mine) as forger:
                await forger.publish(topics["CREATE"], b'{"forged": true}', qos=1)
        await asyncio.to_thread(created, bl, "events", {"programID": program, "intervalPeriod": LATER})
        assert "forged" not in await heard(right)


@pytest.mark.clause("mqtt: access enforced")
@pytest.mark.parametrize("password", ["", "wrong", "a.b.c"])
async def test_without_a_valid_token_the_broker_lets_nobody_in(vtn: Vtn, password: str) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with listening(vtn, vtn.usual("ven"), password=password):
            pass
    with pytest.raises(aiomqtt.MqttError):
        async with listening(vtn, vtn.usual("ven"), username="somebody-else"):
            pass
