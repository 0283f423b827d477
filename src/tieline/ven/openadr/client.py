"""The client of an OpenADR 3.1 VTN: all its operations, typed by the specification's messages.

    async with VtnClient("https://vtn.example.com/openadr3/3.1.0", Credentials(client_id=…, secret=…)) as vtn:
        async for event in vtn.events.search(active=True):
            …

What a VTN refuses comes back as the error family it is: `NotFound`, `Conflict`, `Forbidden`, `Unauthenticated`,
`Refused` for the rest; `Unready` when it cannot be reached, is busy, broke, or answered what is not OpenADR.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tieline.base.errors import Unready
from tieline.ven.openadr.connection import Connection, Query
from tieline.ven.openadr.token import Credentials
from tieline.ven.openadr.topics import Topics
from tieline.wires.openadr31.messages import (
    Event,
    EventRequest,
    ObjectType,
    Program,
    ProgramRequest,
    Report,
    ReportRequest,
    Resource,
    ResourceRequest,
    Subscription,
    SubscriptionRequest,
    Ven,
    VenRequest,
)
from tieline.wires.openadr31.notifiers import NotifiersResponse

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")
PAGE = 50
MOST = 1_000_000


class Collection(Generic[R, T]):
    """The objects of one kind: `R` is what a client sends, `T` what the VTN keeps."""

    def __init__(self, connection: Connection, path: str, kind: type[T]) -> None:
        self._connection = connection
        self._path = path
        self._kind = kind

    async def get(self, id_: str) -> T:
        return await self._connection.get(self._at(id_), self._kind)

    async def create(self, request: R) -> T:
        return await self._connection.send("POST", self._path, self._kind, request)

    async def update(self, id_: str, request: R) -> T:
        return await self._connection.send("PUT", self._at(id_), self._kind, request)

    async def delete(self, id_: str) -> T:
        """As it last stood."""
        return await self._connection.send("DELETE", self._at(id_), self._kind)

    def _at(self, id_: str) -> str:
        return f"{self._path}/{quote(id_, safe='')}"

    async def _search(self, query: Query) -> AsyncIterator[T]:
        """Page by page. What changes meanwhile may be seen twice, or not at all."""
        skip, before = 0, None
        while skip < MOST:
            page = await self._connection.page(self._path, self._kind, {**query, "skip": skip, "limit": PAGE})
            if page == before:
                return  # this VTN knows no `skip`, and would go on for ever
            for thing in page.things:
                yield thing
            if page.said < PAGE:
                return
            skip, before = skip + page.said, page
        raise Unready(f"{self._path}: the VTN's list does not end within {MOST} objects")


class Programs(Collection[ProgramRequest, Program]):
    def search(self, *, targets: Sequence[str] = ()) -> AsyncIterator[Program]:
        return self._search({"targets": tuple(targets)})


class Events(Collection[EventRequest, Event]):
    def search(
        self, *, program_id: str | None = None, targets: Sequence[str] = (), active: bool | None = None
    ) -> AsyncIterator[Event]:
        """`active` leaves out those that are over."""
        return self._search({"programID": program_id, "targets": tuple(targets), "active": active})


class Reports(Collection[ReportRequest, Report]):
    def search(
        self, *, program_id: str | None = None, event_id: str | None = None, client_name: str | None = None
    ) -> AsyncIterator[Report]:
        return self._search({"programID": program_id, "eventID": event_id, "clientName": client_name})


class Subscriptions(Collection[SubscriptionRequest, Subscription]):
    def search(
        self, *, program_id: str | None = None, client_name: str | None = None, objects: Sequence[ObjectType] = ()
    ) -> AsyncIterator[Subscription]:
        return self._search({"programID": program_id, "clientName": client_name, "objects": tuple(objects)})


class Vens(Collection[VenRequest, Ven]):
    def search(self, *, ven_name: str | None = None, targets: Sequence[str] = ()) -> AsyncIterator[Ven]:
        return self._search({"venName": ven_name, "targets": tuple(targets)})


class Resources(Collection[ResourceRequest, Resource]):
    def search(
        self, *, resource_name: str | None = None, ven_id: str | None = None, targets: Sequence[str] = ()
    ) -> AsyncIterator[Resource]:
        return self._search({"resourceName": resource_name, "venID": ven_id, "targets": tuple(targets)})


class VtnClient:
    """An asynchronous context manager; `url` is that of the API, with its version. See `Connection` for the rest."""

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        verify: bool | ssl.SSLContext = True,
        unreadable: Callable[[str], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.connection = Connection(url, credentials, verify=verify, unreadable=unreadable, transport=transport)
        self.programs = Programs(self.connection, "/programs", Program)
        self.events = Events(self.connection, "/events", Event)
        self.reports = Reports(self.connection, "/reports", Report)
        self.subscriptions = Subscriptions(self.connection, "/subscriptions", Subscription)
        self.vens = Vens(self.connection, "/vens", Ven)
        self.resources = Resources(self.connection, "/resources", Resource)
        self.topics = Topics(self.connection)

    async def notifiers(self) -> NotifiersResponse:
        """How this VTN can notify."""
        return await self.connection.get("/notifiers", NotifiersResponse)

    async def __aenter__(self) -> Self:
        await self.connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.__aexit__(kind, error, trace)
