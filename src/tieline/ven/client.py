"""A typed client of /v1: what an agent, a simulated fleet and a command line need of it.

The platform's problem reports come back as the error family they left as; `Unready` when it cannot be reached.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from tieline.base.errors import Broken, Conflict, Forbidden, NotFound, Refused, TielineError, Unauthenticated, Unready

T = TypeVar("T")

TIMEOUT_S = 30.0
DOWNLOAD_S = 60.0
"""Without anything coming."""
PAGE = 1000

_FAMILIES: dict[int, type[TielineError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}


class Platform(msgspec.Struct, frozen=True):
    """Who answers, its clock (`speed` clock seconds per wall second), where its MQTT door is and what that asks for."""

    name: str
    version: str
    now_at: datetime
    speed: float
    mqtt_host: str
    mqtt_port: int
    site_zone: str
    mqtt_tls: bool = False
    mqtt_auth: str = "token"


class Site(msgspec.Struct, frozen=True):
    site_id: str
    name: str
    latitude: float
    longitude: float
    zone: str
    panel_a: int


class Resource(msgspec.Struct, frozen=True):
    resource_id: str
    name: str
    kind: str
    rated_kw: float
    sheddable: bool


class Registration(msgspec.Struct, frozen=True):
    """A VEN with its own new site and its loads."""

    ven_id: str
    name: str
    site: Site
    resources: list[Resource]


class Ven(msgspec.Struct, frozen=True):
    ven_id: str
    name: str
    online: bool
    shed: bool
    last_seen_at: datetime | None = None
    power_kw: float | None = None
    sheddable_kw: float | None = None


class FleetNow(msgspec.Struct, frozen=True):
    """The fleet as the platform sees it; `controllable_kw` is what it could shed now."""

    now_at: datetime
    power_kw: float
    controllable_kw: float
    vens: int
    online: int
    stale: int
    shedding: int


class Event(msgspec.Struct, frozen=True):
    event_id: str
    program_id: str
    start_at: datetime
    end_at: datetime
    target_kw: float
    state: str
    planned_kw: float = 0.0
    acked_kw: float = 0.0
    rows: dict[str, int] = {}


class Certificate(msgspec.Struct, frozen=True):
    """What a VEN shows the broker, and the authority that it knows the broker by, as PEM."""

    certificate: str
    key: str
    ca: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Certificate(expires_at={self.expires_at})"


class _Credential(msgspec.Struct, frozen=True):
    secret: str


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]
    next_cursor: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""
    errors: list[str] = []


class Client:
    """An asynchronous context manager; `token` is only needed by a platform that is not bound to loopback."""

    def __init__(
        self, base_url: str, *, token: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def index(self) -> Platform:
        return await self.ask("GET", "/v1", Platform)

    async def put_clock(self, speed: float) -> Platform:
        return await self.ask("PUT", "/v1/clock", Platform, {"speed": speed})

    async def register(self, registration: Registration) -> str:
        """The new VEN's secret, which is shown this once. Raises `Conflict` when the VEN exists."""
        return (await self.ask("POST", "/v1/vens", _Credential, registration)).secret

    async def renew_credential(self, ven_id: str) -> str:
        """A new secret; the old one stops working."""
        return (await self.ask("POST", f"/v1/vens/{ven_id}/credential", _Credential)).secret

    async def ca(self) -> str:
        """The authority that the broker is known by, as PEM. Raises `NotFound` where it speaks in clear."""
        return (await self._reply("GET", "/v1/ca.pem")).text

    async def certificate(self, ven_id: str) -> Certificate:
        """A new one; those before stay valid until they expire."""
        return await self.ask("POST", f"/v1/vens/{ven_id}/certificate", Certificate)

    async def ven(self, ven_id: str) -> Ven:
        return await self.ask("GET", f"/v1/vens/{ven_id}", Ven)

    def vens(self, q: str = "") -> AsyncIterator[Ven]:
        return self._list("/v1/vens", Ven, {"q": q} if q else {})

    async def fleet(self) -> FleetNow:
        return await self.ask("GET", "/v1/fleet", FleetNow)

    async def create_program(self, program_id: str, name: str) -> None:
        """Raises `Conflict` when the program exists."""
        await self.ask("POST", "/v1/programs", msgspec.Raw, {"program_id": program_id, "name": name})

    async def create_event(self, program_id: str, start_at: datetime, end_at: datetime, target_kw: float) -> Event:
        event = {"program_id": program_id, "start_at": start_at, "end_at": end_at, "target_kw": target_kw}
        return await self.ask("POST", "/v1/events", Event, event)

    async def event(self, event_id: str) -> Event:
        return await self.ask("GET", f"/v1/events/{event_id}", Event)

    async def cancel_event(self, event_id: str) -> None:
        await self.ask("POST", f"/v1/events/{event_id}/cancel", msgspec.Raw)

    def events(self) -> AsyncIterator[Event]:
        """Newest start first."""
        return self._list("/v1/events", Event, {})

    async def _list(self, path: str, kind: type[T], query: dict[str, Any]) -> AsyncIterator[T]:
        cursor: str | None = ""
        while cursor is not None:
            params = {**query, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
            page = await self.ask("GET", path, _Page, params=params)
            for item in page.items:
                yield _read(item, kind, path)
            cursor = page.next_cursor

    async def ask(
        self, method: str, path: str, kind: type[T], body: object = None, params: dict[str, Any] | None = None
    ) -> T:
        """Any call of /v1, its answer read as `kind`; text is sent as CSV."""
        return _read((await self._reply(method, path, body, params)).content, kind, path)

    async def download(
        self, method: str, path: str, body: object = None, params: dict[str, Any] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A file, part by part as it comes. Raises `Unready` when it breaks off."""
        content, headers = _sent(body)
        with self._reaching(path):
            async with self._http.stream(
                method, path, content=content, headers=headers, params=params, timeout=DOWNLOAD_S
            ) as reply:
                if not reply.is_success:
                    await reply.aread()
                    raise _error(reply)
                async for part in reply.aiter_bytes():
                    yield part

    async def _reply(
        self, method: str, path: str, body: object = None, params: dict[str, Any] | None = None
    ) -> httpx.Response:
        content, headers = _sent(body)
        with self._reaching(path):
            reply = await self._http.request(method, path, content=content, headers=headers, params=params)
        if not reply.is_success:
            raise _error(reply)
        return reply

    @contextmanager
    def _reaching(self, path: str) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            where = self._http.base_url.join(path)
            raise Unready(f"{where} cannot be reached: {str(error) or type(error).__name__}") from error


def _sent(body: object) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a body and their headers."""
    content = body.encode() if isinstance(body, str) else None if body is None else msgspec.json.encode(body)
    return content, {"Content-Type": "text/csv" if isinstance(body, str) else "application/json"} if content else {}


def _read(content: bytes | msgspec.Raw, kind: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise Broken(f"{path} did not answer with a {kind.__name__} of /v1: {error}") from error


def _error(reply: httpx.Response) -> TielineError:
    try:
        problem = msgspec.json.decode(reply.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(detail=reply.text[:200])
    what = "; ".join(problem.errors) or problem.detail or problem.title or reply.reason_phrase
    status = reply.status_code
    if status in (429, 502, 503, 504):
        return Unready(what)
    family = _FAMILIES.get(status, Refused if 400 <= status < 500 else Broken)
    return family(what)
