"""A thin line to NATS, beside the client's: what comes in by the thousand comes in here.

    Lines ── keeps one open, to the server that the client has or another ──▶ Line ── frames.Cutter ──▶ who subscribed

It knows only what pulling needs; what is lost with a line is asked for again by whoever pulls.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Sequence
from urllib.parse import ParseResult

import msgspec
from nats.aio.client import Client

from tieline.adapters.nats import frames
from tieline.adapters.nats.frames import Message
from tieline.base.errors import Unready

_log = logging.getLogger(__name__)
_OPEN_S = 5.0
_PAUSE_S = 0.2
_PING_S = 10.0
_CONFIRM_S = 2.0


class _Info(msgspec.Struct):
    tls_required: bool = False


class Line(asyncio.Protocol):
    """One connection. `greeted` ends with what the server says of itself, `open` once it has let us in, `lost` last."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[_Info] = loop.create_future()
        self.open: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport
        self._cutter = frames.Cutter(self._tell)
        self._subscribers: dict[bytes, Callable[[list[Message]], None]] = {}
        self._numbers = itertools.count(1)
        self._heard = True

    def write(self, said: bytes) -> None:
        """Of a line that is lost, nowhere."""
        if not self.transport.is_closing():
            self.transport.write(said)

    def subscribe(self, inbox: str, take: Callable[[list[Message]], None]) -> int:
        """`take` gets what arrives below the inbox, as many as came together."""
        number = next(self._numbers)
        self._subscribers[b"%d" % number] = take
        self.write(frames.subscribe(f"{inbox}.*", number))
        return number

    def unsubscribe(self, number: int) -> None:
        self._subscribers.pop(b"%d" % number, None)
        self.write(frames.unsubscribe(number))

    async def kept(self) -> None:
        """Until it is lost; one on which nothing is heard between two pings is."""
        while not self.lost.done():
            if not self._heard:
                self._close(ConnectionAbortedError(f"nothing was heard for {_PING_S:g} s"))
            self._heard = False
            self.write(frames.PING)
            await asyncio.wait([self.lost], timeout=_PING_S)

    def _tell(self, kind: bytes, said: bytes) -> None:
        if kind == b"PING":
            self.write(frames.PONG)
        elif kind == b"INFO" and not self.greeted.done():
            self.greeted.set_result(msgspec.json.decode(said[5:], type=_Info))
        elif kind == b"PONG" and not self.open.done():
            self.open.set_result(None)
        elif kind == b"-ERR":
            self._close(ConnectionRefusedError(said[5:].decode("utf-8", "replace")))

    def _close(self, why: Exception) -> None:
        for waiting in (self.greeted, self.open):
            if not waiting.done():
                waiting.set_exception(why)
                waiting.exception()  # that nobody waits for it is no fault
        if not self.lost.done():
            self.lost.set_result(None)
        self.transport.abort()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            found = self._cutter.fed(data)
        except ValueError as error:  # msgspec's are, too
            self._close(ConnectionAbortedError(f"what came is no frame of NATS: {error}"))
            return
        for number, messages in found.items():
            if (take := self._subscribers.get(number)) is not None:
                take(messages)

    def connection_lost(self, error: Exception | None) -> None:
        self._close(error or ConnectionResetError("the server closed it"))


class Lines:
    """The line that there is now: opened when it is first asked for, and again when it is lost, until `close`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._line: asyncio.Future[Line] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._unconfirmed: dict[bytes, asyncio.Future[None]] = {}
        self._tokens = itertools.count(1)

    async def line(self) -> Line:
        """Waits for one. Raises `Unready` once the client is closed."""
        while not self._client.is_closed:
            if self._keeper is None:
                self._line = asyncio.get_running_loop().create_future()
                self._keeper = asyncio.create_task(self._keep(), name="nats-line")
            assert self._line is not None
            await asyncio.wait([self._line], timeout=_PAUSE_S)
            if self._line.done():
                return self._line.result()
        raise Unready("the connection to NATS has been closed")

    async def acknowledge(self, replies: Sequence[bytes]) -> None:
        """All in one piece. The server confirms the last, and with it those before; of what it has not confirmed in
        time it may be that it has not heard."""
        line, token = await self.line(), b"%d" % next(self._tokens)
        confirmed = self._unconfirmed[token] = asyncio.get_running_loop().create_future()
        acks = [b"PUB %s 0\r\n\r\n" % reply for reply in replies[:-1]]
        acks.append(frames.publish(replies[-1], b"+ACK", b"%s.%s" % (self._inbox.encode(), token)))
        line.write(b"".join(acks))
        try:
            await asyncio.wait([confirmed, line.lost], timeout=_CONFIRM_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._unconfirmed[token]

    def _confirm(self, answers: list[Message]) -> None:
        for answer in answers:
            waiting = self._unconfirmed.get(answer.subject.rpartition(b".")[2])
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    async def _keep(self) -> None:
        while True:
            line = await self._opened()
            if line is None:
                await asyncio.sleep(_PAUSE_S)
                continue
            assert self._line is not None
            try:
                line.subscribe(self._inbox, self._confirm)
                self._line.set_result(line)
                await line.kept()
            finally:
                self._line = asyncio.get_running_loop().create_future()
                line.transport.abort()

    async def _opened(self) -> Line | None:
        """On the first server that lets us in: the client's own is tried first, as it is there."""
        servers = [self._client.connected_url, *self._client.servers]
        for server in servers:
            if server is not None:
                try:
                    async with asyncio.timeout(_OPEN_S):
                        return await self._opened_to(server)
                except OSError as error:  # TimeoutError is one
                    _log.warning("NATS line to %s: %s", server.hostname, str(error) or "no answer")
        return None

    async def _opened_to(self, server: ParseResult) -> Line:
        loop, options = asyncio.get_running_loop(), self._client.options
        _, line = await loop.create_connection(Line, server.hostname or "", server.port or 4222)
        try:
            info = await line.greeted
            if info.tls_required:
                host, tls = options.get("tls_hostname") or server.hostname, self._client.ssl_context
                transport = await loop.start_tls(line.transport, line, tls, server_hostname=host)
                assert isinstance(transport, asyncio.Transport)
                line.transport = transport
            user, password, name = options["user"], options["password"], options["name"]
            line.write(frames.connect(user, password, f"{name}-pulling", tls=info.tls_required) + frames.PING)
            await line.open
        except BaseException:
            line.transport.abort()
            raise
        return line


class NatsConnection(Client):
    """nats-py's client, and `lines` beside it for what is pulled."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines(self)

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self.lines.close()
        await super().close()
