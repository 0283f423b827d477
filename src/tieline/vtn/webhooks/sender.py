"""The HTTP client of webhooks: speaks only to addresses that may be spoken to, follows nothing, waits for nobody long.

    callback URL ─ form checked ─▶ its host resolved ─▶ every address checked as its socket is made ─▶ TLS by the name
                                                                  └─ not public: no socket, no packet

Connections are kept and used again, up to a bound; what a receiver answers is read up to a bound, then cut off.
"""

import asyncio
import errno
import secrets
import socket
import ssl
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tieline.base.errors import Refused, Unready
from tieline.vtn.webhooks import signing
from tieline.vtn.webhooks.addresses import callback, is_public
from tieline.vtn.webhooks.model import Answer

LARGEST_ANSWER = 65_536
"""Bytes of an answer that are read: enough for a challenge."""
_REST_S = 1.0
_KNOWS_NO_CHALLENGE = (200, 404, 405, 501)
"""How a receiver answers that knows nothing but POST, 200 being what python-oa3-client says to any GET: let pass where
one only tries things out."""
_KEEP_S = 15.0
_LOOKUPS = 16
_CONNECTING = {
    errno.EACCES: "its host does not resolve to a public address",  # to which it does is not told
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to its host",
    errno.ENETUNREACH: "its network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
}
_FAILURES: list[tuple[type[Exception], str]] = [
    (ValueError, "no request can be made of its URL and bearer token"),
    (aiohttp.ClientConnectorDNSError, "its host cannot be resolved"),
    (aiohttp.ClientSSLError, "no TLS connection can be made"),
    (aiohttp.ClientConnectorError, "cannot connect: no address of its host answers"),
    (aiohttp.ClientConnectionError, "the connection was lost before an answer came"),
    (Exception, "its answer is not HTTP"),
]


class Sender:
    """Use as `async with Sender(…) as sender`.

    `connections` is how many may be in use, and how many are kept open; beyond that each serves one request. `tls` is
    for receivers whose certificates an authority of one's own has signed. In `development` a URL may be http and lead
    anywhere; one that is `lenient` lets a receiver pass that does not know the challenge.
    """

    def __init__(
        self,
        *,
        development: bool = False,
        lenient: bool = False,
        timeout_s: float = 10.0,
        connections: int = 256,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._development = development
        self._lenient = lenient
        self._connections = connections
        self._tls = tls
        self._resolver = resolver
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        self._lookup = self._resolver or Lookup()
        self._keeping = self._session(keepalive_timeout=_KEEP_S)
        self._closing = self._session(force_close=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._keeping.close()
        await self._closing.close()
        await self._lookup.close()

    def _session(self, **keeps: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                resolver=self._lookup,
                socket_factory=self._socket,
                ssl=self._tls or True,  # True: the system's authorities, read once in a process
                **keeps,
            ),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": signing.AGENT, "Accept-Encoding": "identity"},
        )

    def _client(self) -> aiohttp.ClientSession:
        return self._keeping if len(self._sockets) < self._connections else self._closing

    async def post(self, callback_url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises `Refused` for a URL that may not be called, `Unready` with a reason when no answer came."""
        url = callback(callback_url, development=self._development)
        try:
            async with self._client().post(url, data=body, headers=headers, allow_redirects=False) as response:
                await _finish(response)
                return Answer(response.status, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unready(self._told(error)) from None

    async def challenge(self, callback_url: str, bearer: str | None) -> None:
        """Ask for a random word back: proof that who named the URL answers there (Definition, "Webhooks").

        Raises `Refused` with the reason when it does not come back.
        """
        if bearer:
            signing.check_token(bearer)
        word = secrets.token_hex(16)
        url = _with_echo(callback(callback_url, development=self._development), word)
        headers = signing.authorization(bearer)
        try:
            async with self._client().get(url, headers=headers, allow_redirects=False) as response:
                said = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Refused(f"the callback URL did not answer the challenge: {self._told(error)}") from None
        if self._lenient and response.status in _KNOWS_NO_CHALLENGE:
            return
        if response.status != 200:
            raise Refused(f"the callback URL answered the challenge with {response.status}: it must be 200")
        if word.encode() not in said:
            raise Refused("the callback URL's answer does not hold the value of the query parameter `echo`")

    def _socket(self, info: Any) -> socket.socket:
        """The socket of one connection, if it may be made. What is checked here is what is connected to."""
        family, kind, protocol, _, address = info
        if not self._development and not is_public(address[0]):
            raise OSError(errno.EACCES, _CONNECTING[errno.EACCES])
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    def _told(self, error: Exception) -> str:
        """What went wrong, without the URL: its query may hold a secret."""
        if isinstance(error, TimeoutError):
            return f"no answer within {self.timeout_s:g} s"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return f"its certificate is not trusted: {_first_line(error.certificate_error)}"
        if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in _CONNECTING:
            return f"cannot connect: {_CONNECTING[error.os_error.errno]}"
        return next(told for kinds, told in _FAILURES if isinstance(error, kinds))


class Lookup(AbstractResolver):
    """The system's resolver, in threads of its own: names that are slow to resolve hold up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        def ask() -> list[ResolveResult]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            return [
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for kind, _, protocol, _, address in found
            ]

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read on to the end of a short answer, so that its connection can be used again; else it is cut off."""
    if not response.content.at_eof():
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_REST_S):
                await _bounded(response)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    said = b""
    while len(said) < LARGEST_ANSWER and (more := await response.content.read(LARGEST_ANSWER - len(said))):
        said += more
    return said


def _with_echo(url: URL, word: str) -> URL:
    text = str(url)
    return URL(f"{text}{'&' if url.raw_query_string else '?'}echo={word}", encoded=True)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
