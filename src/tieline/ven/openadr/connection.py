"""Requests below a VTN's base URL: with a token, renewed once when it is refused, and nothing read twice in vain.

GET ── If-None-Match: what we have ──▶ 304: what we have, as it was read      200: read, and kept by its ETag
"""

import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType, UnionType
from typing import Any, NamedTuple, Self, TypeVar

import httpx
import msgspec

from tieline.base.errors import Refused, Unready
from tieline.ven.openadr.exchange import Exchange, Reply, failure
from tieline.ven.openadr.token import Credentials, Tokens
from tieline.wires.openadr31.messages import decode, encode

T = TypeVar("T")
MOST_KEPT = 256
LARGEST_KEPT = 1 << 20

Query = Mapping[str, str | int | bool | Sequence[str] | None]


class Page(NamedTuple):
    """Of a list: what could be read of it, and how many it said."""

    things: list[Any]
    said: int


class Connection:
    """An asynchronous context manager. Without credentials it asks for nothing: a VTN of public information.

    `verify` may be a context with an authority of one's own; False trusts any certificate, and speaks in clear.
    `unreadable` is told of each object of a list that is none, which is left out; else such a list is `Unready`.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        verify: bool | ssl.SSLContext = True,
        unreadable: Callable[[str], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.tls = httpx.create_ssl_context(verify=verify)
        self._exchange = Exchange(self.tls, transport)
        self._base = self._exchange.check(_base(url))
        self.client_id = credentials.client_id if credentials else None
        self._tokens = Tokens(self._exchange, self._base, credentials) if credentials else None
        self._unreadable = unreadable
        self._kept: OrderedDict[httpx.URL, tuple[str, Any]] = OrderedDict()

    @property
    def url(self) -> str:
        return str(self._base)

    @property
    def verified(self) -> bool:
        """Whether who answers must show that it is who it says."""
        return self.tls.verify_mode is not ssl.CERT_NONE

    async def __aenter__(self) -> Self:
        await self._exchange.http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.http.__aexit__(kind, error, trace)

    async def token(self, refused: str | None = None) -> str | None:
        """A valid one; another one than the one that was `refused`. None where no credentials were given."""
        if self._tokens is None:
            return None
        if refused:
            self._tokens.forget(refused)
        return await self._tokens.token()

    async def get(self, path: str, kind: type[T]) -> T:
        found: T = await self._read(path, {}, lambda body: _decoded(path, kind, body))
        return found

    async def page(self, path: str, kind: type[T], query: Query) -> Page:
        found: Page = await self._read(path, query, lambda body: self._listed(path, kind, body))
        return found

    async def send(self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """POST, PUT or DELETE; what the VTN made of it."""
        return _decoded(path, kind, (await self.tell(method, path, body)).body)

    async def tell(self, method: str, path: str, body: msgspec.Struct | None = None) -> Reply:
        """The same, whatever the VTN made of it."""
        return await self._ask(method, self._below(path, {}), None if body is None else encode(body))

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, path: str, query: Query, read: Callable[[bytes], Any]) -> Any:
        url = self._below(path, query)
        etag, known = self._kept.get(url, ("", None))
        reply = await self._ask("GET", url, None, etag)
        if reply.status == 304:
            self._kept.move_to_end(url)
            return known
        found = read(reply.body)
        self._keep(url, reply, found)
        return found

    def _keep(self, url: httpx.URL, reply: Reply, found: Any) -> None:
        self._kept.pop(url, None)
        etag = reply.headers.get("ETag", "")
        if etag and len(reply.body) <= LARGEST_KEPT:
            self._kept[url] = etag, found
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _listed(self, path: str, kind: type[T], body: bytes) -> Page:
        raws = _decoded(path, list[msgspec.Raw], body)
        things: list[T] = []
        for raw in raws:
            try:
                things.append(_decoded(path, kind, bytes(raw)))
            except Unready as error:
                if self._unreadable is None:
                    raise
                self._unreadable(str(error))
        return Page(things, len(raws))

    # --- asking -------------------------------------------------------------------------------------------------------

    def _below(self, path: str, query: Query) -> httpx.URL:
        asked = {name: value for name, value in query.items() if value not in (None, ())}
        return httpx.URL(f"{self._base}{path}", params=asked or None)

    async def _ask(self, method: str, url: httpx.URL, body: bytes | None, etag: str = "") -> Reply:
        token = await self.token()
        reply = await self._once(method, url, body, etag, token)
        if reply.status == 401 and token:
            reply = await self._once(method, url, body, etag, await self.token(refused=token))
        if not 200 <= reply.status < 300 and not (reply.status == 304 and etag):
            raise failure(reply)
        return reply

    async def _once(self, method: str, url: httpx.URL, body: bytes | None, etag: str, token: str | None) -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"If-None-Match": etag} if etag else {}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        request = self._exchange.http.build_request(method, url, content=body, headers=headers)
        return await self._exchange.ask(request, repeatable=method in ("GET", "PUT"))


def _base(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise Refused(f"{url!r} is not a VTN's URL: {error}") from None
    if not base.host or base.query or base.fragment or base.userinfo:
        raise Refused(f"{url!r} is not a VTN's URL, such as https://vtn.example.com/openadr3/3.1.0")
    return base


def _decoded(path: str, kind: type[T] | UnionType, body: bytes) -> T:
    try:
        found: T = decode(kind, body)
        return found
    except Refused as error:
        raise Unready(f"{path}: the VTN's answer is not OpenADR 3.1: {error}") from None
