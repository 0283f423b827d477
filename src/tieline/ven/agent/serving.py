"""A very small HTTP server for people at home: one request a connection, small, soon over, few at a time."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qs

import h11

from tieline.base.errors import Unready

log = logging.getLogger(__name__)

LARGEST_HEAD = 16_384
LARGEST_BODY = 4096
READ_AT_ONCE = 4096
MOST_CALLS = 16
TIMEOUT_S = 10.0


class Request(NamedTuple):
    """`form` are the fields of a form that was posted."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


class Response(NamedTuple):
    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


Answer = Callable[[Request], Awaitable[Response]]


class Server:
    """`answer` is asked for each request; what it raises is a 500."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: set[asyncio.Task[None] | None] = set()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        """Raises `Unready` when the address is taken."""
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=LARGEST_HEAD)
        except OSError as error:
            raise Unready(f"the page cannot listen on {host}:{port}: {error.strerror}") from None
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
                if len(self._calls) <= MOST_CALLS:
                    await self._exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, h11.ProtocolError) as error:
            log.info("a call of the page was not served: %r", error)
        finally:
            writer.close()
            self._calls.discard(call)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        try:
            request = await _read(connection, reader)
            response = await self._answer(request) if request else Response(413)
        except h11.RemoteProtocolError as error:
            response = Response(error.error_status_hint)
        except Exception:
            log.exception("the page broke")
            response = Response(500, "Something broke here; the agent goes on.\n")
        body = response.body.encode()
        fixed = [("Content-Length", str(len(body))), ("Connection", "close")]
        head = h11.Response(status_code=response.status, headers=[*response.headers, *fixed])
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """None when its body is too large. Raises `h11.RemoteProtocolError` for what is not HTTP."""
    head, body = await _event(connection, reader), b""
    if not isinstance(head, h11.Request):
        return None
    while isinstance(event := await _event(connection, reader), h11.Data):
        body += event.data
        if len(body) > LARGEST_BODY:
            return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
    return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers, form)


async def _event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(READ_AT_ONCE))
    return event
