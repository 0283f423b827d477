"""Notifications by MQTT, taken as hints: whatever comes on a VEN's topics, the VTN is asked what holds.

    GET /notifiers ▶ GET topics ▶ connect, token as password ▶ subscribe ▶ ask ▶ each message: ask
         ▲                                                                          │ connection lost
         └───────────────────────────── later, and with a token that is valid ◀─────┘

Subscribed at QoS 0: what is missed while the connection is away is found by asking after it is back.
"""

import asyncio
import logging
import random
import secrets
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from msgspec import UNSET

from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Refused, TielineError, Unauthenticated
from tieline.ven.openadr.client import VtnClient
from tieline.ven.openadr.exchange import is_loopback
from tieline.ven.session import connected
from tieline.ven.tls import context
from tieline.wires.openadr31.notifiers import MqttBearerToken, MqttCertificate, MqttNotifier, NotifierTopics

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = 10.0
REFUSED = 0x80


class MqttWatch:
    """`run` it in a task; `trouble` says why it is not connected. `on_notice` runs in the event loop, must not block.

    `ven_id` and `program_ids` tell whose topics to ask for: the VEN's own, else those of the programs it follows.
    """

    def __init__(
        self,
        vtn: VtnClient,
        on_notice: Callable[[], None],
        *,
        ven_id: Callable[[], str | None],
        program_ids: Callable[[], Collection[str]],
    ) -> None:
        self.connected = asyncio.Event()
        self.trouble = "not yet connected"
        self._vtn = vtn
        self._on_notice = on_notice
        self._ven_id = ven_id
        self._program_ids = program_ids
        self._denied: str | None = None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._watch()
            except (aiomqtt.MqttError, TielineError) as error:
                self._note(str(error) or type(error).__name__)
            finally:
                if self.connected.is_set():
                    pause = FIRST_PAUSE_S
                self.connected.clear()
            heed_cancellation()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  spreads a fleet's return, no secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _watch(self) -> None:
        """One connection, until it is lost."""
        notifier = (await self._vtn.notifiers()).mqtt
        if notifier is UNSET:
            raise Refused("this VTN has no MQTT notifier: its events are polled")
        wanted = await self._topics()
        token = await self._vtn.connection.token(refused=self._denied)
        try:
            async with connected(self._client(notifier, token)) as client:
                self._denied = None
                await _subscribe(client, wanted)
                heed_cancellation()
                self.trouble = ""
                self.connected.set()
                self._on_notice()
                async for _ in client.messages:
                    self._on_notice()
        except MqttConnectError:
            self._denied = token
            raise

    def _client(self, notifier: MqttNotifier, token: str | None) -> aiomqtt.Client:
        how = notifier.authentication
        host, port, tls = self._place(notifier)
        user = password = None
        if isinstance(how, MqttBearerToken):
            if token is None:
                raise Refused("this VTN's broker wants a token: give the VEN its credentials")
            user = how.username.replace("{clientID}", self._vtn.connection.client_id or "")
            password = token
        elif isinstance(how, MqttCertificate) and tls:
            tls = context(how.ca_cert, how.client_cert, how.client_key)
        return aiomqtt.Client(
            host,
            port,
            identifier=f"ven-{secrets.token_hex(8)}",
            username=user,
            password=password,
            timeout=TIMEOUT_S,
            tls_context=tls,
        )

    def _place(self, notifier: MqttNotifier) -> tuple[str, int, ssl.SSLContext | None]:
        """The first URI that may be spoken to, the encrypted ones first. Raises `Refused` when there is none."""
        found = [urlsplit(uri) for uri in notifier.uris]
        for uri in sorted(found, key=lambda one: one.scheme != "mqtts"):
            if uri.scheme == "mqtts" and uri.hostname:
                return uri.hostname, uri.port or 8883, self._vtn.connection.tls
            if (
                uri.scheme == "mqtt"
                and uri.hostname
                and (is_loopback(uri.hostname) or not self._vtn.connection.verified)
            ):
                return uri.hostname, uri.port or 1883, None
        raise Refused(f"{', '.join(notifier.uris)}: the broker must be mqtts, except on this machine")

    async def _topics(self) -> list[str]:
        """Raises `Refused` when the VTN tells none."""
        ask, ven_id = self._vtn.topics, self._ven_id()
        asked = [ask.ven_events(ven_id), ask.ven_programs(ven_id)] if ven_id else []
        found = await _told(asked)
        if not found:
            found = await _told([ask.programs(), *(ask.program_events(one) for one in self._program_ids())])
        if not found:
            raise Refused("this VTN tells no MQTT topics to this client")
        return [topic for names in found for topic in _names(names)]

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("no notifications by MQTT: %s", trouble)
        self.trouble = trouble


async def _told(asked: Iterable[Awaitable[NotifierTopics]]) -> list[NotifierTopics]:
    """Those that this client may ask for."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for one in answers:
        if isinstance(one, BaseException) and (isinstance(one, Unauthenticated) or not isinstance(one, Refused)):
            raise one
    return [one for one in answers if isinstance(one, NotifierTopics)]


def _names(topics: NotifierTopics) -> list[str]:
    if topics.all:
        return [topics.all]
    return [name for name in (topics.create, topics.update, topics.delete) if name]


async def _subscribe(client: aiomqtt.Client, topics: Sequence[str]) -> None:
    """Raises `Refused` when the broker lets us hear none of them."""
    granted = await client.subscribe([(topic, 0) for topic in topics])
    if all((one if isinstance(one, int) else one.value) >= REFUSED for one in granted):
        raise Refused(f"the broker refuses {', '.join(topics)}")
