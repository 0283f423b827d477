"""What a list answers: the filters of a collection, combined with AND, over what a viewer may see, a page of it.

The order is that of creation, then id. `limit` is 50 where a query has none: that is the most it may ask for.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from tieline.vtn import privacy
from tieline.vtn.privacy import Viewer
from tieline.vtn.view import OPEN, Kept, View, client, target
from tieline.wires.openadr31.messages import Event, Object, ObjectType

MOST = 50


class Query(msgspec.Struct, frozen=True):
    """What a list is asked for; None does not ask. `of_a_program`: only subscriptions to one, as 3.0.1 has them.
    `start_at`, `end_at`: only events whose lifespan meets them."""

    targets: tuple[str, ...] = ()
    program_id: str | None = None
    event_id: str | None = None
    client_name: str | None = None
    ven_id: str | None = None
    ven_name: str | None = None
    resource_name: str | None = None
    objects: tuple[ObjectType, ...] = ()
    of_a_program: bool = False
    active: bool = False
    start_at: datetime | None = None
    end_at: datetime | None = None
    skip: int = 0
    limit: int = MOST


EQUAL = ("program_id", "client_name", "ven_id", "ven_name", "resource_name")
"""What must be the same in the object as in the query, where the query asks."""


class Selected(msgspec.Struct, frozen=True):
    """A page; `until` is when time alone may change it."""

    things: list[Object]
    until: datetime | None = None


def select(view: View, kind: ObjectType, viewer: Viewer, query: Query, now: datetime) -> Selected:
    things: list[Object] = []
    until: datetime | None = None
    skipped = 0
    for thing in _candidates(view, kind, viewer, query):
        if len(things) == query.limit:
            break
        if not _matches(view, thing, query, now) or (one := privacy.shown(viewer, thing, query.targets)) is None:
            continue
        if query.active and isinstance(thing, Event):
            until = min(until or view.window(thing)[1], view.window(thing)[1])
        if skipped < query.skip:
            skipped += 1
        else:
            things.append(one)
    return Selected(things, until)


def _candidates(view: View, kind: ObjectType, viewer: Viewer, query: Query) -> Iterable[Kept]:
    """All for business logic; for a VEN those that its targets, or its client id, find."""
    shelf = view.shelf(kind)
    if viewer.business:
        return shelf
    if kind in (ObjectType.PROGRAM, ObjectType.EVENT):
        return shelf.found([OPEN, *map(target, privacy.usable(viewer, query.targets))])
    return shelf.found([client(viewer.client_id)])


def _matches(view: View, thing: Any, query: Query, now: datetime) -> bool:
    for name in EQUAL:
        if (asked := getattr(query, name)) is not None and getattr(thing, name, None) != asked:
            return False
    if query.of_a_program and not thing.program_id:
        return False
    if query.objects and not _listens(thing, query.objects):
        return False
    return not isinstance(thing, Event) or _in_time(view.window(thing), query, now)


def _listens(subscription: Any, objects: tuple[ObjectType, ...]) -> bool:
    """To every one of these kinds of object."""
    return set(objects) <= {kind for one in subscription.object_operations for kind in one.objects}


def _in_time(window: tuple[datetime, datetime], query: Query, now: datetime) -> bool:
    start_at, end_at = window
    if query.active and end_at <= now:
        return False
    if query.start_at is not None and end_at < query.start_at:
        return False
    return query.end_at is None or start_at < query.end_at
