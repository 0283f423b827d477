"""A very small HTTP server, for an agent's own page and its callbacks: one request a connection, small, soon over, few
at a time."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qs

import h11

from tieline.base.errors import Unready

log = logging.getLogger(__name__)

LARGEST_HEAD = 16_384
READ_AT_ONCE = 4096
TIMEOUT_S = 10.0


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return _fields(self.target.partition("?")[2])

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form that was posted."""
        return _fields(self.body.decode(errors="replace"))


class Response(NamedTuple):
    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Awaitable[Response]]


class Server:
    """`answer` is asked for each request; what it raises is a 500. `name` is what it is called in messages."""

    def __init__(
        self, answer: Answer, name: str, *, largest_body: int, most_calls: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._answer, self._name, self._tls = answer, name, tls
        self._largest_body, self._most_calls = largest_body, most_calls
        self._calls: set[asyncio.Task[None] | None] = set()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        """Raises `Unready` when the address is taken."""
        try:
            server = await asyncio.start_server(self._serve, host, port, ssl=self._tls, limit=LARGEST_HEAD)
        except OSError as error:
            raise Unready(f"{self._name} cannot listen on {host}:{port}: {error.strerror}") from None
        async with server:
            try:
                yield
            finally:
                calls = [call for call in self._calls if call]
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        self._calls.add(call)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if len(self._calls) <= self._most_calls:
                    await self._exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, h11.ProtocolError) as error:
            log.info("a call of %s was not served: %r", self._name, error)
        finally:
            writer.close()
            self._calls.discard(call)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        try:
            request = await self._read(connection, reader, writer)
            response = await self._answer(request) if isinstance(request, Request) else Response(request)
        except h11.RemoteProtocolError as error:
            response = Response(error.error_status_hint)
        except Exception:
            log.exception("%s broke", self._name)
            response = Response(500, "Something broke here; the agent goes on.\n")
        body = response.body.encode()
        fixed = [("Content-Length", str(len(body))), ("Connection", "close")]
        head = h11.Response(status_code=response.status, headers=[*response.headers, *fixed])
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()

    async def _read(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Request | int:
        """The status of what is no request we take. Raises `h11.RemoteProtocolError` for what is not HTTP."""
        head, body = await _event(connection, reader), bytearray()
        if not isinstance(head, h11.Request):
            return 400
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        while isinstance(event := await _event(connection, reader), h11.Data):
            body += event.data
            if len(body) > self._largest_body:
                return 413
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers, bytes(body))


async def _event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(READ_AT_ONCE))
    return event


def _fields(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
