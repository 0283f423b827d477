"""The MQTT session of one VEN: commands in, readings and answers out, across lost connections.

    send ─▶ [ store, oldest first ] ─▶ publish at QoS 1, one in flight ─▶ PUBACK ─▶ forgotten
                     ▲                                    │ connection lost
                     └──────── sent again, in order ◀─────┘

What the store cannot hold any more is dropped from its old end, and counted. That it is there it says beside the store,
each beat; that it is gone, when it leaves, or else the broker says it as its last will.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import aiomqtt
import msgspec

from tieline import __version__
from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import Refused, TielineError
from tieline.wires.mqtt.codec import decode, encode
from tieline.wires.mqtt.messages import (
    COMMAND,
    DESIRED,
    PRESENCE,
    Ack,
    Command,
    Loads,
    Meter,
    Presence,
    TwinDelta,
    TwinReport,
    topic,
)

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
TIMEOUT_S = 10.0
LEAVING_S = 1.0
AGENT = f"tieline/{__version__}"


class Beat(msgspec.Struct, frozen=True):
    """How often a VEN says that it is there, in seconds of the clock that `sleep` keeps, and by which program; with
    `now` it says what its clock shows."""

    seconds: float = 60.0
    agent: str = AGENT
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], datetime] | None = None

    def says(self, *, online: bool) -> bytes:
        at = self.now() if online and self.now else None
        return encode(Presence(online, self.seconds, self.agent, at))


EACH_MINUTE = Beat()


class Session:
    """Sends for one VEN and hands it its commands. `run` it in a task; `send` may be called before and meanwhile.

    `on_command` runs in the event loop and must not block; so do `on_desired` and, before anything is heard on a new
    connection, `on_connected`, which are set before `run` by who has a twin. `tls` is asked before each connection,
    since the certificate to show may be another by then; without it all is said in clear. `dropped` counts messages
    lost to the store's bound, `unreadable` those that came and could not be decoded; `trouble` says why it is not
    connected.
    """

    def __init__(
        self,
        ven_id: str,
        secret: str,
        *,
        host: str,
        port: int,
        on_command: Callable[[Command], None],
        tls: Callable[[], Awaitable[ssl.SSLContext]] | None = None,
        beat: Beat = EACH_MINUTE,
        store: int = 10_000,
    ) -> None:
        self.ven_id = ven_id
        self.connected = asyncio.Event()
        self.dropped = 0
        self.unreadable = 0
        self.trouble = "not yet connected"
        self.on_desired: Callable[[TwinDelta], None] | None = None
        self.on_connected: Callable[[], None] | None = None
        self._secret = secret
        self._host, self._port = host, port
        self._on_command = on_command
        self._tls = tls
        self._beat = beat
        self._bound = store
        self._store: deque[tuple[str, bytes]] = deque()
        self._stored = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """How many messages the broker has not yet confirmed."""
        return len(self._store)

    def send(self, kind: str, message: Meter | Loads | TwinReport | Ack) -> None:
        """Store for delivery on the topic of that kind; returns at once."""
        if len(self._store) >= self._bound:
            self._store.popleft()
            self.dropped += 1
        self._store.append((topic(kind, self.ven_id), encode(message)))
        self._stored.set()
        self._empty.clear()

    async def drained(self) -> None:
        """Wait until the broker has confirmed all that was sent."""
        await self._empty.wait()

    async def run(self) -> None:
        """Stay connected until cancelled; then leave cleanly. What was not confirmed stays stored."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with connected(await self._client()) as client:
                    await self._subscribe(client)
                    heed_cancellation()
                    if self.on_connected:
                        self.on_connected()
                    self.connected.set()
                    self.trouble, pause = "", FIRST_PAUSE_S
                    await self._exchange(client)
            except (aiomqtt.MqttError, TielineError) as error:
                self.trouble = str(error) or type(error).__name__
                log.info("%s is not connected: %s", self.ven_id, self.trouble)
            finally:
                self.connected.clear()
            heed_cancellation()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  spreads a fleet's return, no secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for kind in (COMMAND, DESIRED) if self.on_desired else (COMMAND,):
            await client.subscribe(topic(kind, self.ven_id), qos=0)

    async def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self.ven_id,
            username=self.ven_id,
            password=self._secret,
            timeout=TIMEOUT_S,
            will=aiomqtt.Will(topic(PRESENCE, self.ven_id), self._beat.says(online=False), qos=1),
            tls_context=await self._tls() if self._tls else None,
        )

    async def _exchange(self, client: aiomqtt.Client) -> None:
        """Send, beat and listen until the connection is lost, which the listener notices. Raises `MqttError` then."""
        tasks = [asyncio.create_task(one(client)) for one in (self._send_stored, self._say_presence, self._listen)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            await self._say_gone(client)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_presence(self, client: aiomqtt.Client) -> None:
        while True:
            await client.publish(topic(PRESENCE, self.ven_id), self._beat.says(online=True), qos=1)
            heed_cancellation()
            await self._beat.sleep(self._beat.seconds)

    async def _say_gone(self, client: aiomqtt.Client) -> None:
        """A last will is only said of those that do not take their leave."""
        with contextlib.suppress(aiomqtt.MqttError):
            await client.publish(topic(PRESENCE, self.ven_id), self._beat.says(online=False), qos=1, timeout=LEAVING_S)

    async def _send_stored(self, client: aiomqtt.Client) -> None:
        while True:
            while self.waiting:
                message = next(iter(self._store))
                await client.publish(*message, qos=1)
                if self._store and self._store[0] is message:  # the bound may have pushed it out meanwhile
                    self._store.popleft()
                heed_cancellation()
            self._empty.set()
            self._stored.clear()
            await self._stored.wait()

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if not message.payload:
                continue  # a retained command was cleared
            try:
                self._heed(message)
            except Refused as error:
                self.unreadable += 1
                log.warning("%s was sent on %s what is unreadable: %s", self.ven_id, message.topic, error)

    def _heed(self, message: aiomqtt.Message) -> None:
        data = bytes(message.payload)
        if message.topic.value != topic(DESIRED, self.ven_id):
            self._on_command(decode(data, Command))
        elif self.on_desired:
            self.on_desired(decode(data, TwinDelta))


@contextlib.asynccontextmanager
async def connected(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """aiomqtt must not be cancelled while it connects, or it leaves a socket behind: let it finish, then leave."""
    connecting = asyncio.create_task(client.__aenter__())
    try:
        await asyncio.wait((connecting,))
        yield connecting.result()
    finally:
        await asyncio.wait((connecting,))
        if connecting.exception() is None:
            await client.__aexit__(None, None, None)
