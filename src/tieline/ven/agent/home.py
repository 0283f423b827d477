"""The broker at home, such as Home Assistant's: where loads on MQTT are, and where the agent shows itself.

    topics of devices ─▶ the newest payload of each, with its instant ─▶ the MQTT driver reads it
    limits, states, discovery ─▶ published, retained; said again after each new connection

By its last will the agent is told to be offline when it is gone.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import aiomqtt
import msgspec
from msgspec import Meta

from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.ven.session import connected

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = 5.0


class Home(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is. Under `discovery_prefix` Home Assistant looks for what there is; empty: nothing is said."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    user: str = ""
    password_file: str = ""
    discovery_prefix: str = "homeassistant"


class Heard(NamedTuple):
    payload: bytes
    at: datetime


class HomeBroker:
    """`run` it in a task. `name` tells this agent from others at the broker."""

    def __init__(self, home: Home, password: str, name: str, clock: Clock) -> None:
        self.home = home
        self.name = name
        self.trouble = "not yet connected"
        self._password = password
        self._clock = clock
        self._client: aiomqtt.Client | None = None
        self._heard: dict[str, Heard | None] = {}
        self._said: dict[str, str] = {}

    @property
    def availability_topic(self) -> str:
        return f"tieline/{self.name}/availability"

    def listen(self, topic: str) -> None:
        """Before `run`: what comes on that topic is kept."""
        self._heard[topic] = None

    def heard(self, topic: str) -> Heard | None:
        """What came last, and when."""
        return self._heard[topic]

    async def say(self, topic: str, payload: str) -> None:
        """Retained. Raises `Unready` when the broker cannot be reached; it is then said when it can."""
        news = self._said.get(topic) != payload
        self._said[topic] = payload
        if self._client is None:
            raise Unready(f"the broker at home {self.home.host}:{self.home.port}: {self.trouble}")
        if news:
            await self._publish(self._client, topic, payload)

    async def show(self, told: Mapping[str, str]) -> None:
        """Say all of it, by topic, as far as it can be said now."""
        for topic, payload in told.items():
            try:
                await self.say(topic, payload)
            except Unready:
                continue

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with connected(self._new_client()) as client:
                    heed_cancellation()
                    pause_s = FIRST_PAUSE_S
                    await self._exchange(client)
            except (aiomqtt.MqttError, Unready) as error:
                self.trouble = str(error) or type(error).__name__
                log.info("the broker at home: %s", self.trouble)
            finally:
                self._client = None
            heed_cancellation()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311  spreads returns, no secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _new_client(self) -> aiomqtt.Client:
        home = self.home
        will = aiomqtt.Will(self.availability_topic, "offline", qos=1, retain=True)
        return aiomqtt.Client(
            home.host, home.port, identifier=f"tieline-{self.name}", username=home.user or None,
            password=self._password or None, will=will, timeout=TIMEOUT_S,
        )  # fmt: skip

    async def _exchange(self, client: aiomqtt.Client) -> None:
        for topic in self._heard:
            await client.subscribe(topic, qos=0)
        await self._publish(client, self.availability_topic, "online")
        for topic, payload in list(self._said.items()):
            await self._publish(client, topic, payload)
        self._client, self.trouble = client, ""
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                self._heard[str(message.topic)] = Heard(message.payload, self._clock.now())

    async def _publish(self, client: aiomqtt.Client, topic: str, payload: str) -> None:
        try:
            await client.publish(topic, payload, qos=1, retain=True)
        except aiomqtt.MqttError as error:
            raise Unready(f"the broker at home: {error}") from None
        heed_cancellation()
