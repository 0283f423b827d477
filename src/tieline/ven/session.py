"""The MQTT session of one VEN: commands in, readings and answers out, across lost connections.

    send ─▶ [ store, oldest first ] ─▶ publish at QoS 1, one in flight ─▶ PUBACK ─▶ forgotten
                     ▲                                    │ connection lost
                     └──────── sent again, in order ◀─────┘

What the store cannot hold any more is dropped from its old end, and counted.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import aiomqtt
import msgspec

from tieline.base.cancellation import heed_cancellation
from tieline.base.errors import TielineError
from tieline.wires.mqtt.messages import COMMAND, Ack, Command, Loads, Meter, topic

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
TIMEOUT_S = 10.0

_encode = msgspec.json.Encoder().encode
_decode_command = msgspec.json.Decoder(Command).decode


class Session:
    """Sends for one VEN and hands it its commands. `run` it in a task; `send` may be called before and meanwhile.

    `on_command` runs in the event loop and must not block. `tls` is asked before each connection, since the certificate
    to show may be another by then; without it all is said in clear. `dropped` counts messages lost to the store's
    bound, `unreadable` commands that could not be decoded; `trouble` says why it is not connected.
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
        store: int = 10_000,
    ) -> None:
        self.ven_id = ven_id
        self.connected = asyncio.Event()
        self.dropped = 0
        self.unreadable = 0
        self.trouble = "not yet connected"
        self._secret = secret
        self._host, self._port = host, port
        self._on_command = on_command
        self._tls = tls
        self._bound = store
        self._store: deque[tuple[str, bytes]] = deque()
        self._stored = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """How many messages the broker has not yet confirmed."""
        return len(self._store)

    def send(self, kind: str, message: Meter | Loads | Ack) -> None:
        """Store for delivery on the topic of that kind; returns at once."""
        if len(self._store) >= self._bound:
            self._store.popleft()
            self.dropped += 1
        self._store.append((topic(kind, self.ven_id), _encode(message)))
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
                    await client.subscribe(topic(COMMAND, self.ven_id), qos=0)
                    heed_cancellation()
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

    async def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self.ven_id,
            username=self.ven_id,
            password=self._secret,
            timeout=TIMEOUT_S,
            tls_context=await self._tls() if self._tls else None,
        )

    async def _exchange(self, client: aiomqtt.Client) -> None:
        """Send and listen until the connection is lost, which the listener notices. Raises `MqttError` then."""
        sending = asyncio.create_task(self._send_stored(client))
        listening = asyncio.create_task(self._listen(client))
        try:
            done, _ = await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            sending.cancel()
            listening.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

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
                command = _decode_command(message.payload)
            except msgspec.DecodeError as error:
                self.unreadable += 1
                log.warning("%s was sent a command that is none: %s", self.ven_id, error)
            else:
                self._on_command(command)


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
