"""What the doors read: programs, events, VENs, resources and subscriptions in memory, as Rows have them.

    Rows ── all at start ──▶ shelves ──▶ GET
                               ▲  ▲
      the Log, every change ───┘  └─── this process's own writes, before they are answered

A poll thousands of times a second must not ask a database. What is here can be lost at any time: Rows have the truth,
a write of this process is seen by its next read, one of another process as soon as the Log has brought it.
"""

import asyncio
import bisect
import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from tieline.dispatch import calls, publishing
from tieline.dispatch import reads as dispatch
from tieline.ports import Log, Reader, Rows
from tieline.registry import openadr as registry
from tieline.vtn import subscriptions
from tieline.vtn.privacy import Viewer
from tieline.wires.openadr31 import messages
from tieline.wires.openadr31.change import SUBJECTS, Change
from tieline.wires.openadr31.messages import (
    Event,
    ObjectType,
    Operation,
    Program,
    Resource,
    Subscription,
    Ven,
    decode,
)

Kept: TypeAlias = Program | Event | Ven | Resource | Subscription
K = TypeVar("K", bound=Kept)
KINDS = (ObjectType.PROGRAM, ObjectType.EVENT, ObjectType.VEN, ObjectType.RESOURCE, ObjectType.SUBSCRIPTION)
_Key: TypeAlias = tuple[datetime, str]
_REMEMBERED = 100_000


class Shelf(Generic[K]):
    """Objects of one kind in order of creation and id, found by id and by the terms that `terms` gives them."""

    def __init__(self, terms: Callable[[K], Iterable[str]], versions: Iterator[int] | None = None) -> None:
        self._versions = versions or itertools.count(1)
        self.version = next(self._versions)
        self._terms = terms
        self._things: dict[str, K] = {}
        self._order: list[_Key] = []
        self._by_term: dict[str, set[str]] = {}
        self._gone: collections.OrderedDict[str, None] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._things)

    def __iter__(self) -> Iterator[K]:
        return (self._things[id_] for _, id_ in self._order)

    def get(self, id_: str) -> K | None:
        return self._things.get(id_)

    def found(self, terms: Iterable[str]) -> list[K]:
        """Those with any of these terms, in order."""
        ids = set[str]().union(*(self._by_term.get(one, ()) for one in terms))
        return sorted((self._things[id_] for id_ in ids), key=_key)

    def put(self, thing: K) -> bool:
        """Unless it was deleted, or a later state of it is here already: the Log may be behind this process."""
        old = self._things.get(thing.id)
        if thing.id in self._gone or (old and old.modification_date_time > thing.modification_date_time):
            return False
        if old is None:
            bisect.insort(self._order, _key(thing))
        else:
            self._unlist(old)
        self._things[thing.id] = thing
        for term in self._terms(thing):
            self._by_term.setdefault(term, set()).add(thing.id)
        self.version = next(self._versions)
        return True

    def drop(self, id_: str) -> None:
        self._gone[id_] = None
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        old = self._things.pop(id_, None)
        if old is not None:
            self._unlist(old)
            del self._order[bisect.bisect_left(self._order, _key(old))]
            self.version = next(self._versions)

    def _unlist(self, thing: K) -> None:
        for term in self._terms(thing):
            self._by_term[term].discard(thing.id)
            if not self._by_term[term]:
                del self._by_term[term]


def _key(thing: Kept) -> _Key:
    return thing.created_date_time, thing.id


# Terms: a target, or OPEN for what has none; whose it is; at which VEN it is.
OPEN = "open"


def target(name: str) -> str:
    return f"target {name}"


def client(client_id: str) -> str:
    return f"client {client_id}"


def at_ven(ven_id: str) -> str:
    return f"ven {ven_id}"


def _targets(thing: Program | Event) -> list[str]:
    return [target(one) for one in thing.targets or ()] or [OPEN]


class _Window(NamedTuple):
    """When an event takes place, as long as it and its program stay as they are."""

    event: Event
    program: Program | None
    window: tuple[datetime, datetime]


class View:
    """One a process. `run` keeps it current; until it has loaded, reads wait for `load`."""

    def __init__(self, log: Log, rows: Rows) -> None:
        self._log = log
        self._rows = rows
        self._loaded = False
        self._loading = asyncio.Lock()
        self._meanwhile: list[Change] | None = None  # applied while a load reads what may be older
        self._versions = itertools.count(1)  # never again a version that something was kept under
        self._begin()

    def _begin(self) -> None:
        versions = self._versions
        self.programs = Shelf[Program](_targets, versions)
        self.events = Shelf[Event](_targets, versions)
        self.vens = Shelf[Ven](lambda ven: [client(ven.client_id)], versions)
        self.resources = Shelf[Resource](lambda one: [client(one.client_id), at_ven(one.ven_id)], versions)
        self.subscriptions = Shelf[Subscription](lambda one: [client(one.client_id)], versions)
        self._shelves: dict[ObjectType, Shelf[Any]] = {
            ObjectType.PROGRAM: self.programs,
            ObjectType.EVENT: self.events,
            ObjectType.VEN: self.vens,
            ObjectType.RESOURCE: self.resources,
            ObjectType.SUBSCRIPTION: self.subscriptions,
        }
        self._named: set[str] = set()
        self._grants: dict[str, frozenset[str]] = {}
        self._windows: dict[str, _Window] = {}

    async def run(self) -> None:
        """Load, then follow the Log. Starting again loads again: nothing is trusted across a lost connection."""
        last = await self._log.last(SUBJECTS)
        await self.load(fresh=True)
        async for entries in self._log.follow(SUBJECTS, after=last.position if last else 0):
            self.apply(decode(Change, entry.data) for entry in entries)

    async def load(self, *, fresh: bool = False) -> None:
        """From Rows, unless that is done already; what is applied meanwhile comes after it."""
        if self._loaded and not fresh:
            return
        async with self._loading:
            if self._loaded and not fresh:
                return
            self._meanwhile = []
            try:
                things, named = await self._rows.read(lambda reader: (_everything(reader), registry.named_ones(reader)))
                self._begin()
                self._named = named
                for thing in things:
                    self.shelf(messages.object_type(thing)).put(thing)
                self._loaded = True
                for change in self._meanwhile:
                    self._apply(change)
            finally:
                self._meanwhile = None

    def apply(self, changes: Iterable[Change]) -> None:
        """What was committed; twice changes nothing."""
        for change in changes:
            if change.operation is not Operation.READ and change.object_type in KINDS:
                self._apply(change)
                if self._meanwhile is not None:
                    self._meanwhile.append(change)

    def _apply(self, change: Change) -> None:
        shelf = self.shelf(change.object_type)
        if change.operation is Operation.DELETE:
            shelf.drop(change.object_id)
            self._windows.pop(change.object_id, None)
            self._named.discard(change.object_id)
        elif shelf.put(change.object) and change.object_type in (ObjectType.VEN, ObjectType.RESOURCE):
            (self._named.add if change.named else self._named.discard)(change.object_id)
        if change.object_type in (ObjectType.VEN, ObjectType.RESOURCE):
            self._grants.clear()

    def viewer(self, client_id: str, *, business: bool, scopes: frozenset[str] = frozenset()) -> Viewer:
        """The client with what it is granted."""
        return Viewer(client_id, business, frozenset() if business else self._granted(client_id), scopes)

    def _granted(self, client_id: str) -> frozenset[str]:
        if (known := self._grants.get(client_id)) is not None:
            return known
        found = set[str]()
        for ven in self.vens.found([client(client_id)]):
            found |= registry.ven_grants(ven, self._named)
            for one in self.resources.found([at_ven(ven.id)]):
                found |= registry.resource_grants(one, self._named)
        self._grants[client_id] = frozenset(found)
        return self._grants[client_id]

    def window(self, event: Event) -> tuple[datetime, datetime]:
        """[start, end) of the event's lifespan."""
        known, program = self._windows.get(event.id), self.programs.get(event.program_id)
        if known is None or known.event is not event or known.program is not program:
            window = calls.window(event, program, event.created_date_time)
            known = self._windows[event.id] = _Window(event, program, window)
        return known.window

    def shelf(self, kind: ObjectType) -> Shelf[Any]:
        return self._shelves[kind]


def _everything(reader: Reader) -> list[Kept]:
    return [
        *[publishing.shown_program(one) for one in dispatch.shown_programs(reader)],
        *[publishing.shown_event(one) for one in dispatch.shown_events(reader)],
        *registry.vens(reader),
        *registry.resources(reader),
        *subscriptions.all_of(reader),
    ]
