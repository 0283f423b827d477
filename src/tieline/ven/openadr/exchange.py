"""One request and its answer, bounded in time and size, tried again where that may be; a refusal as its error family.

GET, PUT, a token     again after a lost connection, 429, 502, 503, 504: doing it twice is doing it once
POST, DELETE          again only when the request never left
"""

import asyncio
import ipaddress
import random
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import msgspec

from tieline import __version__
from tieline.base.errors import Conflict, Forbidden, NotFound, Refused, TielineError, Unauthenticated, Unready

LARGEST_ANSWER = 16 << 20
TIMEOUT_S = 15.0
TRIES = 3
FIRST_PAUSE_S = 0.3
LONGEST_WAIT_S = 10.0

_BUSY = frozenset({408, 429, 502, 503, 504})
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_FAMILIES: dict[int, type[TielineError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}


class Reply(NamedTuple):
    """What was answered, whatever the status."""

    request: httpx.Request
    status: int
    headers: httpx.Headers
    body: bytes


class Exchange:
    """Speaks TLS that is verified as `tls` says; in clear only within this machine, or where nothing is verified."""

    def __init__(self, tls: ssl.SSLContext, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._verified = tls.verify_mode is not ssl.CERT_NONE
        self.http = httpx.AsyncClient(
            verify=tls,
            transport=transport,
            timeout=TIMEOUT_S,
            headers={"User-Agent": f"Tieline-VEN/{__version__}", "Accept": "application/json"},
        )

    def check(self, url: httpx.URL) -> httpx.URL:
        """Raises `Refused` for a URL that would carry secrets in clear (Definition, "HTTPS/TLS")."""
        if url.scheme == "https" or (url.scheme == "http" and (not self._verified or is_loopback(url.host))):
            return url
        raise Refused(f"{url.copy_with(query=None)}: must be https, except on this machine")

    async def ask(self, request: httpx.Request, *, repeatable: bool) -> Reply:
        """Raises `Unready` when no answer comes, `Refused` for a certificate that is not trusted."""
        pauses = list(_pauses())
        while True:
            try:
                reply = await self._once(request)
            except (httpx.RequestError, TimeoutError) as error:
                if untrusted := _untrusted(error):
                    raise Refused(f"{_place(request)} is not trusted: {untrusted}") from None
                if not pauses or not (repeatable or isinstance(error, _NEVER_LEFT)):
                    raise Unready(
                        f"{_place(request)} cannot be reached: {str(error) or type(error).__name__}"
                    ) from None
                await asyncio.sleep(pauses.pop())
                continue
            if not (repeatable and pauses and reply.status in _BUSY):
                return reply
            if (wait := max(pauses.pop(), _retry_after(reply))) > LONGEST_WAIT_S:
                return reply
            await asyncio.sleep(wait)

    async def _once(self, request: httpx.Request) -> Reply:
        async with asyncio.timeout(TIMEOUT_S):
            response = await self.http.send(request, stream=True)
            try:
                return Reply(request, response.status_code, response.headers, await _bounded(response))
            finally:
                await response.aclose()


def failure(reply: Reply) -> TielineError:
    """What an answer that is no success means for who asked."""
    status = reply.status
    what = f"{reply.request.method} {_place(reply.request)}: {status} {_told(reply)}".rstrip()
    if status in _BUSY or (status >= 500 and status != 501):
        return Unready(what)
    return _FAMILIES.get(status, Refused)(what)


class _Problem(msgspec.Struct):
    """Of RFC 9457 and of RFC 6749 5.2, as far as either tells a reason."""

    title: object = ""
    detail: object = ""
    error: object = ""
    error_description: object = ""


def _told(reply: Reply) -> str:
    """The reason that the VTN gives, fit for a terminal."""
    if 300 <= reply.status < 400:
        return "redirects are not followed: name the final URL"
    try:
        problem = msgspec.json.decode(reply.body, type=_Problem)
        told = problem.detail or problem.error_description or problem.error or problem.title
    except (msgspec.DecodeError, RecursionError):
        told = reply.body[:300].decode(errors="replace")
    return "".join(one if one.isprintable() else " " for one in str(told or ""))[:300]


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for some in response.aiter_bytes():
        body += some
        if len(body) > LARGEST_ANSWER:
            raise Unready(f"{_place(response.request)} answers with more than {LARGEST_ANSWER >> 20} MiB")
    return bytes(body)


def _pauses() -> Iterator[float]:
    """Before each further try, the last one first; by chance, so that a fleet does not come back at once."""
    for doubled in reversed(range(TRIES - 1)):
        yield FIRST_PAUSE_S * 2.0**doubled * random.uniform(0.5, 1.5)  # noqa: S311  no secret


def _retry_after(reply: Reply) -> float:
    """Seconds that the server asks for; a date is as good as no wish (RFC 9110 10.2.3)."""
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _untrusted(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _place(request: httpx.Request) -> str:
    """Without the query, which is long."""
    return str(request.url.copy_with(query=None))


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
