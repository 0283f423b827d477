"""The platform's own MQTT client: what it tells devices, retained so that one that comes back finds it.

It only publishes, and to a whole fleet at once. A broker takes a line's packets one after the other: so of a portion
only the last is to be confirmed (QoS 1), and says of all before it (QoS 0) that they were taken.

    publish ─▶ room for so many ─▶ the line there is now ─▶ PUBACK of the last ─▶ returns
                                        │ lost
                                        └──────────────▶ the whole portion again, on the next one
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
import ssl
from collections.abc import Callable, Sequence

from tieline.adapters.nats import packets
from tieline.base.errors import Unready

_log = logging.getLogger(__name__)

_BACK_OFF_S = (0.1, 5.0)
_IN_FLIGHT = 10_000
"""Portions that wait for the broker's answer together; it knows 65,535 apart."""
_PORTION = 100
"""Messages: so many a slow broker takes, and says so, well before it seems gone."""
_PING_S = 5.0  # a broker from which nothing is heard between two pings is gone


class MqttPublisher:
    """One connection, kept open: `async with MqttPublisher(…) as publisher`, or `start` and `stop`.

    `tls` is asked before each connection: by then the certificate that it shows may be another.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str,
        password: str,
        tls: Callable[[], ssl.SSLContext] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._tls = tls
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._line: asyncio.Future[_Line] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once connected. Raises `Unready` when that takes longer than `timeout_s`."""
        self._line = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name="mqtt-publisher")
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(self._line)
        except TimeoutError:
            await self.stop()
            raise Unready(f"no MQTT broker takes {self._user!r} at {self._host}:{self._port}") from None

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def __aenter__(self) -> "MqttPublisher":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Returns once the broker has it. Raises `Unready` after `timeout_s`; it may then have been sent all the same,
        and when the connection is lost it is sent again: what it says must bear repeating."""
        await self._publish([(topic, payload)], retain=retain)

    async def publish_all(self, messages: Sequence[tuple[str, bytes]], *, retain: bool = True) -> None:
        """The same of many, (topic, payload), in their order; of those that go out together each may be sent again."""
        portions = [messages[first : first + _PORTION] for first in range(0, len(messages), _PORTION)]
        told = await asyncio.gather(*(self._publish(one, retain=retain) for one in portions), return_exceptions=True)
        for failed in told:
            if failed is not None:
                raise failed

    async def _publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> None:
        if self._line is None:
            raise Unready("the MQTT publisher has not been started")
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                while True:
                    line = self._line.result() if self._line.done() else await asyncio.shield(self._line)
                    if await line.publish(messages, retain=retain):
                        return
                    await asyncio.sleep(_BACK_OFF_S[0])
        except TimeoutError:
            raise Unready(f"the MQTT broker did not take {messages[0][0]} within {self._timeout_s:g} s") from None

    async def _keep(self) -> None:
        pause = _BACK_OFF_S[0]
        while True:
            try:
                line = await self._opened()
                pause = _BACK_OFF_S[0]
                await self._serve(line)
            except OSError as error:
                _log.warning("MQTT connection to %s:%d: %s; trying again", self._host, self._port, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _BACK_OFF_S[1])

    async def _opened(self) -> "_Line":
        client_id = f"tieline-{secrets.token_hex(8)}"
        hello = packets.connect(client_id, self._user, self._password, keep_alive_s=round(4 * _PING_S))
        tls, loop = self._tls() if self._tls else None, asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout_s):
            _, line = await loop.create_connection(lambda: _Line(hello), self._host, self._port, ssl=tls)
            try:
                await line.taken
            except BaseException:
                line.close()
                raise
        return line

    async def _serve(self, line: "_Line") -> None:
        """Until it is lost."""
        assert self._line is not None
        self._line.set_result(line)
        try:
            await line.kept()
        finally:
            self._line = asyncio.get_running_loop().create_future()
            line.close()


class _Line(asyncio.Protocol):
    """One connection. `taken` ends when the broker lets us in, and raises `OSError` when it does not."""

    def __init__(self, hello: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self.taken: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._hello = hello
        self._stream = packets.Stream()
        self._numbers = itertools.cycle(range(1, 1 << 16))
        self._unconfirmed: dict[int, asyncio.Future[bool]] = {}
        self._out: list[bytes] = []
        self._heard = False

    def publish(self, messages: Sequence[tuple[str, bytes]], *, retain: bool) -> "asyncio.Future[bool]":
        """Whether the broker confirmed them, at least one; not where the line was lost before."""
        confirmed = self._loop.create_future()
        if self._lost.done():
            confirmed.set_result(False)
            return confirmed
        number = next(one for one in self._numbers if one not in self._unconfirmed)
        self._unconfirmed[number] = confirmed
        if not self._out:  # all that is said in this turn of the loop goes out as one
            self._loop.call_soon(self._flush)
        numbers = [*itertools.repeat(0, len(messages) - 1), number]
        numbered = zip(numbers, messages, strict=True)
        self._out += [packets.publish(n, topic, payload, retain=retain) for n, (topic, payload) in numbered]
        return confirmed

    async def kept(self) -> None:
        """Pings; raises `OSError` when the line is lost, or the broker silent."""
        while True:
            self._heard = False
            self._transport.write(packets.PING)
            await asyncio.wait([self._lost], timeout=_PING_S)
            if self._lost.done():
                self._lost.result()
            if not self._heard:
                raise ConnectionAbortedError(f"nothing was heard of the broker for {_PING_S:g} s")

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(packets.DISCONNECT)
            self._transport.close()

    def _flush(self) -> None:
        self._transport.write(b"".join(self._out))
        self._out.clear()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            for kind, body in self._stream.fed(data):
                if kind == packets.PUBACK:
                    self._confirm(packets.numbered(body))
                elif kind == packets.CONNACK and not self.taken.done():
                    self._take(body[1])
        except ValueError:
            self._transport.abort()

    def _take(self, code: int) -> None:
        if code:
            self.taken.set_exception(ConnectionRefusedError(f"the broker lets us not in (code {code})"))
        else:
            self.taken.set_result(None)

    def _confirm(self, number: int) -> None:
        confirmed = self._unconfirmed.pop(number, None)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(True)

    def connection_lost(self, error: Exception | None) -> None:
        why = ConnectionResetError(str(error or "the broker closed it"))
        for waiting in (self.taken, self._lost):
            if not waiting.done():
                waiting.set_exception(why)
                waiting.exception()  # that nobody waits for it is no fault
        for confirmed in self._unconfirmed.values():
            if not confirmed.done():
                confirmed.set_result(False)
        self._unconfirmed.clear()
