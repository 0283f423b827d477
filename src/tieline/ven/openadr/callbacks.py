"""Where a VTN calls back: a small HTTP receiver that answers the challenge and takes notifications as hints.

    GET  ?echo=word    200 word                              (Definition, "Webhooks")
    POST notification  204, and who waits is told; 401 without the token, or with a signature that is not ours

A notification is not believed, only followed up: what holds is asked of the VTN. Put TLS before it, or give it a
certificate: a VTN calls nothing but https, except in development.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import h11
import msgspec

from tieline.base.errors import Unready
from tieline.base.time import EPOCH, Clock, RatedClock

log = logging.getLogger(__name__)

LARGEST_HEAD = 16_384
LARGEST_BODY = 4 << 20
MOST_CALLS = 32
TIMEOUT_S = 10.0
TOLERANCE = timedelta(minutes=5)
"""Between a signature's stamp and our clock (standardwebhooks.com)."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is how the VTN reaches us; we listen at `host` and `port`, with TLS where a context is given."""

    url: str
    host: str = "127.0.0.1"
    port: int = 8443
    tls: ssl.SSLContext | None = None


class _Call(NamedTuple):
    method: str
    echo: str | None
    headers: dict[str, str]
    body: bytes


class _Notice(msgspec.Struct):
    """As much of a Notification as a hint needs."""

    object_type: str = msgspec.field(name="objectType")
    operation: str


class Callbacks:
    """`bearer` is the token that we gave the VTN; `on_notice` runs in the event loop and must not block."""

    def __init__(
        self, webhook: Webhook, bearer: str, on_notice: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._webhook = webhook
        self._bearer = bearer
        self._on_notice = on_notice
        self._clock = clock or RatedClock()
        self._calls: set[asyncio.Task[None] | None] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Raises `Unready` when the address is taken."""
        at = self._webhook
        try:
            server = await asyncio.start_server(self._serve, at.host, at.port, ssl=at.tls, limit=LARGEST_HEAD)
        except OSError as error:
            raise Unready(f"cannot listen on {at.host}:{at.port}: {error.strerror}") from None
        async with server:
            try:
                yield
            finally:
                await self._let_go()

    async def _let_go(self) -> None:
        calls = [call for call in self._calls if call]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        self._calls.add(call)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if len(self._calls) <= MOST_CALLS:
                    await self._exchange(connection, reader, writer)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, h11.ProtocolError) as error:
            log.info("a call was not served: %r", error)
        finally:
            writer.close()
            self._calls.discard(call)

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            call = await _read(connection, reader, writer)
            status, body = self._answer(call) if isinstance(call, _Call) else (call, b"")
        except h11.RemoteProtocolError as error:
            status, body = error.error_status_hint, b""
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        response = h11.Response(status_code=status, headers=headers)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()

    def _answer(self, call: _Call) -> tuple[int, bytes]:
        if call.method == "GET":
            return (200, call.echo.encode()) if call.echo else (404, b"only a challenge is answered here\n")
        if call.method != "POST":
            return 405, b""
        if not (self._knows_token(call) and self._is_signed(call)):
            return 401, b"neither the subscription's bearer token nor a signature by it\n"
        try:
            notice = msgspec.json.decode(call.body, type=_Notice)
        except (msgspec.DecodeError, RecursionError):
            return 400, b"not a notification of OpenADR 3\n"
        log.info("told of %s %s", notice.operation[:20], notice.object_type[:20])
        self._on_notice()
        return 204, b""

    def _knows_token(self, call: _Call) -> bool:
        given = call.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._bearer}".encode())

    def _is_signed(self, call: _Call) -> bool:
        """Where a signature came, it must be by the token and of these minutes; a VTN need not sign."""
        signatures = call.headers.get("webhook-signature")
        if signatures is None:
            return True
        stamp = call.headers.get("webhook-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
            return False
        if abs(EPOCH + timedelta(seconds=int(stamp)) - self._clock.now()) > TOLERANCE:
            return False
        signed = b".".join((call.headers.get("webhook-id", "").encode(), stamp.encode(), call.body))
        digest = hmac.digest(self._bearer.encode(), signed, hashlib.sha256)
        ours = b"v1," + base64.b64encode(digest)
        return any(hmac.compare_digest(one.encode(), ours) for one in signatures.split())


async def _read(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Call | int:
    """The status of what is no call we take. Raises `h11.RemoteProtocolError` for what is not HTTP."""
    request = await _event(connection, reader)
    if not isinstance(request, h11.Request):
        return 400
    if connection.they_are_waiting_for_100_continue:
        writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    body = bytearray()
    while isinstance(event := await _event(connection, reader), h11.Data):
        body += event.data
        if len(body) > LARGEST_BODY:
            return 413
    echo = parse_qs(urlsplit(request.target.decode("latin-1")).query).get("echo", [None])[0]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    return _Call(request.method.decode("latin-1"), echo, headers, bytes(body))


async def _event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(65_536))
    return event
