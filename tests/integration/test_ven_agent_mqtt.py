"""The VEN agent hears by MQTT, on a real broker that asks for its token: news, lost connections, tokens that end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiomqtt
import pytest

from tests.integration.ven_world import SmallVtn, until
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.server import NatsServer
from tieline.base.access import Caller, Grant
from tieline.base.time import RatedClock
from tieline.ven import Memory, Plan, VenAgent
from tieline.ven.openadr import watch
from tieline.ven.openadr.watch import MqttWatch

NO_CERTIFICATE = {"method": "CERTIFICATE", "caCert": "a", "clientCert": "b", "clientKey": "c"}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONGEST_PAUSE_S", 0.5)


class Broker:
    """Lets in whoever shows a token that the VTN knows, with the client's own id as user."""

    def __init__(self, server: NatsServer, vtn: SmallVtn) -> None:
        self.server = server
        self.vtn = vtn
        self.denied: set[str] = set()
        self.turned_away = 0
        self.platform: aiomqtt.Client
        where = f"mqtt://{server.mqtt_host}:{server.mqtt_port}"
        how = {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}
        vtn.mqtt = {"URIS": [where], "serialization": "JSON", "authentication": how}

    async def decide(self, caller: Caller) -> Grant | None:
        if caller.user == "ven-client" and caller.password in self.vtn.tokens - self.denied:
            return Grant(subscribe=("openadr3/#",))
        self.turned_away += 1
        return None

    async def tell(self, topic: str) -> None:
        await self.platform.publish(topic, b'{"objectType": "EVENT"}', qos=1)


@pytest.fixture
def vtn() -> SmallVtn:
    return SmallVtn(RatedClock().now)


@pytest.fixture
async def broker(nats_server: NatsServer, vtn: SmallVtn) -> AsyncIterator[Broker]:
    broker = Broker(nats_server, vtn)
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    callout = AuthCallout(connection, broker.decide, issuer_seed=nats_server.issuer_seed)
    await callout.start()
    platform = aiomqtt.Client(
        nats_server.mqtt_host, nats_server.mqtt_port, username=nats_server.user, password=nats_server.password
    )
    async with platform as broker.platform:
        yield broker
    await callout.stop()
    await connection.close()


class Home:
    def __init__(self, vtn: SmallVtn, folder: Path) -> None:
        self.vtn = vtn
        self.folder = folder
        self.held: object = "not told"
        self.watch: MqttWatch

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        """One that polls once an hour: what it hears sooner it heard by MQTT."""
        async with self.vtn.client() as vtn:
            with Memory(self.folder, vtn.connection.url, "home") as memory:
                agent = VenAgent(vtn, memory, Plan(mqtt=True, poll_s=3600, spread_s=0.01), self.hear)
                self.watch = agent._watch
                task = asyncio.create_task(agent.run())
                try:
                    await until(self.watch.connected.is_set)
                    yield
                finally:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def hear(self, outlooks: object) -> None:
        found = outlooks.get("SIMPLE") if isinstance(outlooks, dict) else None
        self.held = found and found.now and found.now.payload.values[0]

    @property
    def ven_id(self) -> str:
        return next(iter(self.vtn.kept["vens"]))

    def holds(self, value: object) -> bool:
        return self.held == value

    def call(self, value: object) -> None:
        self.vtn.event(
            next(iter(self.vtn.kept["programs"])), start="2020-01-01T00:00:00Z", duration="P9999Y", value=value
        )


@pytest.fixture
def home(vtn: SmallVtn, tmp_path: Path) -> Home:
    vtn.program("evening")
    return Home(vtn, tmp_path / "home")


async def test_news_come_at_once(home: Home, broker: Broker) -> None:
    async with home.agent():
        await until(lambda: home.held is None)
        for operation in ("create", "update", "delete"):
            home.vtn.kept["events"].clear()
            home.call(operation)
            await broker.tell(f"openadr3/vens/{home.ven_id}/events/{operation}")
            await until(partial(home.holds, operation))
        home.vtn.kept["events"].clear()
        await broker.tell(f"openadr3/vens/{home.ven_id}/programs/update")
        await until(lambda: home.held is None)


async def test_after_a_lost_broker_and_an_ended_token_nothing_was_missed(home: Home, broker: Broker) -> None:
    async with home.agent():
        await until(lambda: home.held is None)
        broker.denied = set(home.vtn.tokens)
        broker.server.kill()
        await until(lambda: not home.watch.connected.is_set())
        home.call(7)
        await until(lambda: home.held == 7)
        assert broker.turned_away
        assert home.vtn.tokens > broker.denied


async def test_where_there_is_no_broker_polls_go_on(home: Home, tmp_path: Path) -> None:
    home.call(1)
    async with home.vtn.client() as vtn:
        with Memory(tmp_path / "home", vtn.connection.url, "home") as memory:
            agent = VenAgent(vtn, memory, Plan(mqtt=True), home.hear)
            task = asyncio.create_task(agent.run())
            await until(lambda: "no MQTT notifier" in agent._watch.trouble)
            await until(lambda: home.held == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("mqtt", "trouble"),
    [
        ({"URIS": ["mqtt://broker.example:1883"]}, "must be mqtts"),
        ({"URIS": ["amqp://127.0.0.1"]}, "must be mqtts"),
        ({"URIS": ["mqtt://127.0.0.1:1"]}, "refused"),
        ({"URIS": ["mqtt://127.0.0.1:1"], "authentication": {"method": "SECRET"}}, "not OpenADR"),
        ({"URIS": ["mqtts://localhost:1"], "authentication": NO_CERTIFICATE}, "no TLS"),
    ],
)  # fmt: skip
async def test_a_broker_that_cannot_be_spoken_to_is_told_why(home: Home, mqtt: dict[str, object], trouble: str) -> None:
    home.vtn.mqtt = {"serialization": "JSON", "authentication": {"method": "ANONYMOUS"}} | mqtt
    async with home.vtn.client() as vtn:
        watched = MqttWatch(vtn, lambda: None, ven_id=lambda: "v-1", program_ids=lambda: ())
        task = asyncio.create_task(watched.run())
        await until(lambda: trouble in watched.trouble)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
