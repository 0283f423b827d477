"""/notifiers and the names of topics: who may ask for which, and that what is named is what is published."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiomqtt
import httpx
import msgspec
import pytest
from litestar import Litestar

from tests.integration.identity_world import World
from tests.integration.notifier_world import Office, opened
from tests.servers.rows import with_tables
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.base.time import RatedClock, VirtualClock
from tieline.identity import mqtt as identity
from tieline.identity.scopes import Role
from tieline.registry import openadr as registry
from tieline.vtn.access import Doorkeeper
from tieline.vtn.notifiers import Broker, NotifierDoors, routes
from tieline.vtn.problems import PROBLEMS
from tieline.wires.openadr31 import messages as m
from tieline.wires.openadr31.notifiers import MqttAnonymous

PREFIX = "/openadr3/3.1.0"
TOPICS = f"{PREFIX}/notifiers/mqtt/topics"
BUSINESS_ONLY = ["events", "reports", "subscriptions", "vens", "resources"]


class Reception:
    """The doors of one process, callers with their tokens, and the broker's callout."""

    def __init__(self, office: Office, world: World, broker: Broker) -> None:
        self.office, self.world = office, world
        self.tokens: dict[str, str] = {}
        self.open(broker)

    def open(self, broker: Broker | None, *, anonymous: bool = False) -> None:
        """Other doors on the same office."""
        keeper = Doorkeeper(self.world.verifier, self.office.view, anonymous=anonymous)
        doors = NotifierDoors(keeper, self.office.view, self.office.readers, broker)
        app = Litestar(routes(PREFIX, doors), exception_handlers={**PROBLEMS}, openapi_config=None)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://vtn")

    async def add(self, client_id: str, role: Role = Role.VEN) -> None:
        self.tokens[client_id] = await self.world.token(client_id, await self.world.add(client_id, role))

    async def get(self, path: str, who: str | None = None, **headers: str) -> httpx.Response:
        await self.office.view.load(fresh=True)  # nobody follows the Log here
        if who is not None:
            headers["authorization"] = f"Bearer {self.tokens[who]}"
        return await self.http.get(path, headers=headers)

    async def topics(self, path: str, who: str) -> dict[str, str]:
        answer = await self.get(f"{TOPICS}/{path}", who)
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()["topics"]
        return found

    @contextlib.asynccontextmanager
    async def guarding(self, method: identity.Method = "token") -> AsyncIterator[None]:
        """While the broker asks who may hear what."""
        server = self.office.server
        line = await connect([server.url], user=server.user, password=server.password)
        decide = identity.decide(method, self.office.rows, self.world.clock, self.world.verifier)
        callout = AuthCallout(line, decide, issuer_seed=server.issuer_seed)
        await callout.start()
        try:
            yield
        finally:
            await callout.stop()
            await line.close()

    def device(self, who: str | None) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.office.server.mqtt_host,
            self.office.server.mqtt_port,
            username=who,
            password=self.tokens[who] if who else None,
            identifier=f"{who}-session",
            timeout=60,
        )


@pytest.fixture
async def reception(tmp_path: Path) -> AsyncIterator[Reception]:
    async with opened(tmp_path, str(with_tables(tmp_path / "rows.sqlite"))) as office:
        broker = Broker([f"mqtt://{office.server.mqtt_host}:{office.server.mqtt_port}"])
        found = Reception(office, World(office.rows, VirtualClock(RatedClock().now())), broker)
        await found.add("bl", Role.BL)
        await found.add("home")
        await found.add("other")
        yield found
        await found.http.aclose()


async def test_the_ways_to_be_notified_are_told_with_where_the_broker_is(reception: Reception) -> None:
    answer = await reception.get(f"{PREFIX}/notifiers", "home")
    assert answer.json() == {
        "WEBHOOK": True,
        "MQTT": {
            "URIS": [f"mqtt://{reception.office.server.mqtt_host}:{reception.office.server.mqtt_port}"],
            "serialization": "JSON",
            "authentication": {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"},
        },
    }
    again = await reception.get(f"{PREFIX}/notifiers", "home", **{"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert (await reception.get(f"{PREFIX}/notifiers", "bl")).json() == answer.json()
    assert (await reception.get(f"{PREFIX}/notifiers")).status_code == 401


async def test_business_logic_is_given_topics_of_everything(reception: Reception) -> None:
    program, ven_id = await reception.office.program("tariff"), await reception.office.ven("home")
    for kind in [*BUSINESS_ONLY, "programs"]:
        assert await reception.topics(kind, "bl") == {
            "CREATE": f"openadr3/all/{kind}/create",
            "UPDATE": f"openadr3/all/{kind}/update",
            "DELETE": f"openadr3/all/{kind}/delete",
            "ALL": f"openadr3/all/{kind}/+",
        }
    one = await reception.topics(f"programs/{program}", "bl")
    assert "CREATE" not in one
    assert one["ALL"] == f"openadr3/all/programs/{program}/+"
    assert (await reception.topics(f"programs/{program}/events", "bl"))["ALL"] == (
        f"openadr3/all/programs/{program}/events/+"
    )
    assert (await reception.topics(f"vens/{ven_id}", "bl"))["UPDATE"] == (f"openadr3/clients/home/vens/{ven_id}/update")


async def test_a_ven_is_given_its_own_topics_and_those_of_what_it_sees(reception: Reception) -> None:
    office = reception.office
    mine, other = await office.ven("home", "north"), await office.ven("other", "south")
    seen, hidden = await office.program("seen", "north"), await office.program("hidden", "south")
    for kind in BUSINESS_ONLY:
        assert (await reception.get(f"{TOPICS}/{kind}", "home")).status_code == 403
    assert (await reception.topics("programs", "home"))["CREATE"] == "openadr3/clients/home/programs/create"
    assert (await reception.topics(f"programs/{seen}", "home")) == {
        "UPDATE": f"openadr3/clients/home/programs/{seen}/update",
        "DELETE": f"openadr3/clients/home/programs/{seen}/delete",
        "ALL": f"openadr3/clients/home/programs/{seen}/+",
    }
    events = f"openadr3/clients/home/programs/{seen}/events"
    assert (await reception.topics(f"programs/{seen}/events", "home"))["DELETE"] == f"{events}/delete"
    assert "CREATE" not in await reception.topics(f"vens/{mine}", "home")
    for kind in ("events", "programs", "resources"):
        names = await reception.topics(f"vens/{mine}/{kind}", "home")
        assert names["CREATE"] == f"openadr3/clients/home/vens/{mine}/{kind}/create"
        assert (await reception.get(f"{TOPICS}/vens/{other}/{kind}", "home")).status_code == 404
    for path in (f"programs/{hidden}", f"programs/{hidden}/events", f"vens/{other}", "vens/nobody", "programs/none"):
        answer = await reception.get(f"{TOPICS}/{path}", "home")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
        assert answer.headers["content-type"].startswith("application/json")
    assert (await reception.get(f"{TOPICS}/programs/a.b", "home")).status_code == 400
    assert (await reception.get(f"{TOPICS}/programs")).status_code == 401


async def test_without_a_broker_there_are_webhooks_only(reception: Reception) -> None:
    reception.open(None)
    assert (await reception.get(f"{PREFIX}/notifiers", "home")).json() == {"WEBHOOK": True}
    assert (await reception.get(f"{TOPICS}/programs", "home")).status_code == 404


async def test_who_shows_no_token_is_offered_no_mqtt_where_the_broker_wants_one(reception: Reception) -> None:
    reception.open(Broker(["mqtt://127.0.0.1:1883"]), anonymous=True)
    assert (await reception.get(f"{PREFIX}/notifiers")).json() == {"WEBHOOK": True}
    assert (await reception.get(f"{TOPICS}/programs")).status_code == 404


async def test_where_the_broker_asks_for_nothing_everybody_hears_what_has_no_targets(reception: Reception) -> None:
    office = reception.office
    await office.ven("home", "north")
    program, hidden = await office.program("open"), await office.program("hidden", "north")
    reception.open(Broker(["mqtt://127.0.0.1:1883"], lambda _: MqttAnonymous()), anonymous=True)
    for who in (None, "home", "bl"):
        told = (await reception.get(f"{PREFIX}/notifiers", who)).json()
        assert told["MQTT"]["authentication"] == {"method": "ANONYMOUS"}
        for path in ("programs", f"programs/{program}", f"programs/{program}/events"):
            names = (await reception.get(f"{TOPICS}/{path}", who)).json()["topics"]
            assert names["ALL"] == f"openadr3/anyone/{path}/+"
    assert (await reception.get(f"{TOPICS}/programs/{hidden}")).status_code == 404
    assert (await reception.get(f"{TOPICS}/events")).status_code == 401
    assert (await reception.topics("events", "bl"))["ALL"] == "openadr3/anyone/events/+"
    async with reception.guarding("anonymous"), reception.device(None) as anyone, office.telling():
        assert [_code(one) for one in await anyone.subscribe("openadr3/anyone/#", qos=1)] == [1]
        assert [_code(one) for one in await anyone.subscribe("openadr3/clients/#", qos=1)] == [0x80]
        taken, kept = await office.event(program), await office.event(program)
        await office.update_event(taken, program, "north", name="secret")
        await office.told()
        heard = [await _heard(anyone) for _ in range(7)]
    told = [(topic.split("/")[-1], one["object"]["id"], one["objectType"]) for topic, one in heard]
    events = [("create", taken, "EVENT"), ("create", kept, "EVENT"), ("delete", taken, "EVENT")]
    assert sorted(told) == sorted([*events * 2, ("create", program, "PROGRAM")])
    assert not [one for _, one in heard if one["object"].get("eventName") == "secret"]


async def test_on_every_topic_that_a_client_is_given_it_hears_what_is_meant_for_it_and_on_another_s_nothing(
    reception: Reception,
) -> None:
    office = reception.office
    mine = await office.ven("home", "north")
    program = await office.program("tariff")
    paths = ["programs", f"programs/{program}", f"programs/{program}/events", f"vens/{mine}", f"vens/{mine}/events"]
    names = [(await reception.topics(path, "home"))["ALL"] for path in paths]
    async with (
        reception.guarding(),
        reception.device("home") as home,
        reception.device("other") as other,
        office.telling(),
    ):
        for topic in names:
            assert [_code(one) for one in await home.subscribe(topic, qos=1)] == [1]
            assert [_code(one) for one in await other.subscribe(topic, qos=1)] == [0x80]  # SUBACK: failure
        event_id = await office.event(program, "north", "south")
        await office.told()
        heard = [await _heard(home) for _ in range(3)]
    assert {topic for topic, _ in heard} == {
        "openadr3/clients/home/programs/create",
        f"openadr3/clients/home/programs/{program}/events/create",
        f"openadr3/clients/home/vens/{mine}/events/create",
    }
    for told in (told for topic, told in heard if "/events/" in topic):
        assert (told["object"]["id"], told["object"]["targets"], told["targets"]) == (event_id, ["north"], ["north"])


async def test_a_ven_is_heard_from_when_it_is_made_until_it_is_another_s(reception: Reception) -> None:
    """By who has been connected all along: the broker need not be asked again."""
    office = reception.office
    program = await office.program("tariff")
    async with (
        reception.guarding(),
        reception.device("home") as home,
        reception.device("other") as other,
        office.telling(),
    ):
        ven_id = await office.ven("home", "north")
        names = {"home": (await reception.topics(f"vens/{ven_id}/events", "home"))["ALL"]}
        assert [_code(one) for one in await home.subscribe(names["home"], qos=1)] == [1]
        first = await office.event(program, "north")
        await office.told()
        assert (await _heard(home))[1]["object"]["id"] == first

        given = m.BlVenRequest(client_id="other", ven_name="home", targets=("north",))
        await office.do(lambda tx, now: registry.update_ven(tx, ven_id, given, now, named=True))
        assert (await reception.get(f"{TOPICS}/vens/{ven_id}/events", "home")).status_code == 404
        names["other"] = (await reception.topics(f"vens/{ven_id}/events", "other"))["ALL"]
        assert [_code(one) for one in await other.subscribe(names["other"], qos=1)] == [1]
        assert [_code(one) for one in await home.subscribe(names["other"], qos=1)] == [0x80]
        second = await office.event(program, "north")
        await office.told()
        assert (await _heard(other))[1]["object"]["id"] == second
        await office.publisher.publish(names["home"].replace("+", "create"), b'{"object": "last"}', retain=False)
        assert (await _heard(home))[1] == {"object": "last"}


async def _heard(device: aiomqtt.Client) -> tuple[str, Any]:
    async with asyncio.timeout(90):
        message = await anext(aiter(device.messages))
    assert isinstance(message.payload, bytes)
    return str(message.topic), msgspec.json.decode(message.payload)


def _code(one: Any) -> int:
    return one if isinstance(one, int) else int(one.value)
