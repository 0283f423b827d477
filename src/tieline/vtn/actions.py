"""What a client may do to an object, whichever dialect it speaks: each verb one transaction, seen by the next read.

body ─ dialect ─▶ request ─ whose is it, may it ─▶ transaction ─▶ Rows, and its Changes to the Log
                                                      └────────▶ the view of this process
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa

from tieline.base.errors import Conflict, Forbidden, NotFound
from tieline.base.time import Clock
from tieline.dispatch import publishing
from tieline.ports import Rows, Transaction
from tieline.registry import openadr as registry
from tieline.vtn import privacy, reports, subscriptions
from tieline.vtn.access import READS
from tieline.vtn.privacy import Viewer
from tieline.vtn.view import View
from tieline.wires.openadr31 import messages
from tieline.wires.openadr31.change import Change, is_change
from tieline.wires.openadr31.messages import (
    BlResourceRequest,
    BlVenRequest,
    EventRequest,
    Object,
    ObjectType,
    ProgramRequest,
    Report,
    ReportRequest,
    Resource,
    Subscription,
    SubscriptionRequest,
    ValuesMap,
    Ven,
    VenResourceRequest,
    VenVenRequest,
    decode,
)

Request: TypeAlias = (
    ProgramRequest
    | EventRequest
    | ReportRequest
    | SubscriptionRequest
    | BlVenRequest
    | VenVenRequest
    | BlResourceRequest
    | VenResourceRequest
)
T = TypeVar("T")
Callbacks: TypeAlias = Callable[[SubscriptionRequest], Awaitable[None]]
"""Raises `Refused` unless every callback URL may be called and answers as its owner's."""


class _Recorded:
    """A transaction that keeps the Changes it says, so that this process sees them before the Log brings them."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.changes: list[Change] = []

    def execute(self, statement: sa.Executable, parameters: Sequence[Mapping[str, Any]] | None = None) -> Any:
        return self._tx.execute(statement, parameters)

    def say(self, subject: str, data: bytes) -> None:
        self._tx.say(subject, data)
        if is_change(subject):
            self.changes.append(decode(Change, data))


class Desk:
    """Creates, updates and deletes for clients. `zone` is where a VEN stands that nobody gave a site."""

    def __init__(self, rows: Rows, view: View, clock: Clock, zone: str, callbacks: Callbacks) -> None:
        self._rows = rows
        self._view = view
        self._clock = clock
        self._zone = zone
        self._callbacks = callbacks

    async def create(self, viewer: Viewer, request: Request, version: str) -> Object:
        """`version` is the dialect that asks. Raises `Conflict` for a name that is taken or a reference to nothing,
        `Forbidden` for another's role."""
        if isinstance(request, SubscriptionRequest):
            self._check_subscription(viewer, request)
            await self._callbacks(request)
        now = self._clock.now()
        return await self._committed(lambda tx: self._create(tx, viewer, request, version, now))

    async def update(self, viewer: Viewer, id_: str, request: Request, version: str) -> Object:
        """Raises `NotFound` for what the viewer does not see, and as `create`."""
        if isinstance(request, SubscriptionRequest):
            await self._rows.read(lambda reader: _own(viewer, subscriptions.the(reader, id_)))
            self._check_subscription(viewer, request)
            await self._callbacks(request)
        now = self._clock.now()
        return await self._committed(lambda tx: self._update(tx, viewer, id_, request, version, now))

    async def delete(self, viewer: Viewer, kind: ObjectType, id_: str) -> Object:
        """As it last stood. Raises `NotFound` for what the viewer does not see."""
        now = self._clock.now()
        return await self._committed(lambda tx: _delete(tx, viewer, kind, id_, now))

    async def _committed(self, work: Callable[[Transaction], T]) -> T:
        def recorded(tx: Transaction) -> tuple[T, list[Change]]:
            recording = _Recorded(tx)
            return work(recording), recording.changes

        done, changes = await self._rows.transaction(recorded)
        self._view.apply(changes)
        return done

    def _create(self, tx: Transaction, viewer: Viewer, request: Request, version: str, now: datetime) -> Object:
        match request:
            case ProgramRequest():
                return publishing.shown_program(publishing.create_program(tx, request, now))
            case EventRequest():
                return publishing.shown_event(publishing.create_event(tx, request, now))
            case ReportRequest():
                self._check_reference(viewer, ObjectType.EVENT, request.event_id)
                return reports.create(tx, request, viewer.client_id, now)
            case SubscriptionRequest():
                owner = viewer.client_id
                return subscriptions.create(tx, request, owner, now, business=viewer.business, dialect=version)
            case BlVenRequest() | VenVenRequest():
                return registry.create_ven(tx, _ven(viewer, request), self._zone, now, named=viewer.business)
        self._check_reference(viewer, ObjectType.VEN, request.ven_id)
        ven = registry.find_ven(tx, request.ven_id)
        return registry.create_resource(tx, _resource(viewer, request, ven), now, named=viewer.business)

    def _update(
        self, tx: Transaction, viewer: Viewer, id_: str, request: Request, version: str, now: datetime
    ) -> Object:
        match request:
            case ProgramRequest():
                return publishing.shown_program(publishing.update_program(tx, id_, request, now))
            case EventRequest():
                return publishing.shown_event(publishing.update_event(tx, id_, request, now))
            case ReportRequest():
                _own(viewer, reports.the(tx, id_))
                self._check_reference(viewer, ObjectType.EVENT, request.event_id)
                return reports.update(tx, id_, request, now)
            case SubscriptionRequest():
                _own(viewer, subscriptions.the(tx, id_))
                return subscriptions.update(tx, id_, request, now, writer=viewer, dialect=version)
            case BlVenRequest() | VenVenRequest():
                ven = _own(viewer, registry.the_ven(tx, id_))
                return registry.update_ven(tx, id_, _ven(viewer, request, ven), now, named=viewer.business)
        resource = _own(viewer, registry.the_resource(tx, id_))
        return registry.update_resource(tx, id_, _resource(viewer, request, resource), now, named=viewer.business)

    def _check_subscription(self, viewer: Viewer, request: SubscriptionRequest) -> None:
        """Raises `Forbidden` for objects that the client's scopes do not read: nor may it be told of them."""
        self._check_reference(viewer, ObjectType.PROGRAM, request.program_id or None)
        for kind in {kind for one in request.object_operations for kind in one.objects}:
            if not viewer.scopes.intersection(READS[kind]):
                raise Forbidden(f"to be told of {kind} takes the scope {' or '.join(READS[kind])}")

    def _check_reference(self, viewer: Viewer, kind: ObjectType, id_: str | None) -> None:
        """What a client may not see does not exist for it. Business logic is told by the transaction itself."""
        if id_ is None or viewer.business:
            return
        thing = self._view.shelf(kind).get(id_)
        if thing is None or privacy.shown(viewer, thing) is None:
            raise Conflict(f"there is no {kind.lower()} {id_!r}: name one that exists")


def _delete(tx: Transaction, viewer: Viewer, kind: ObjectType, id_: str, now: datetime) -> Object:
    match kind:
        case ObjectType.PROGRAM:
            return publishing.shown_program(publishing.delete_program(tx, id_, now))
        case ObjectType.EVENT:
            return publishing.shown_event(publishing.delete_event(tx, id_, now))
        case ObjectType.REPORT:
            _own(viewer, reports.the(tx, id_))
            return reports.delete(tx, id_, now)
        case ObjectType.SUBSCRIPTION:
            _own(viewer, subscriptions.the(tx, id_))
            return subscriptions.delete(tx, id_, now)
        case ObjectType.VEN:
            _own(viewer, registry.the_ven(tx, id_))
            return registry.delete_ven(tx, id_, now)
    _own(viewer, registry.the_resource(tx, id_))
    return registry.delete_resource(tx, id_, now)


Owned = TypeVar("Owned", Ven, Resource, Report, Subscription)


def _own(viewer: Viewer, thing: Owned) -> Owned:
    """Raises `NotFound` for another client's, as if it were not there."""
    if privacy.shown(viewer, thing) is None:
        raise NotFound(f"there is no {messages.object_type(thing).lower()} {thing.id!r}")
    return thing


def _ven(viewer: Viewer, request: BlVenRequest | VenVenRequest, old: Ven | None = None) -> BlVenRequest:
    """As the registry takes it: a VEN speaks for itself and keeps the targets that it was granted. Where business logic
    does not say whose a new VEN is (3.0.1 has no word for it), it is the client's that bears its name."""
    _check_role(viewer, business=isinstance(request, BlVenRequest))
    if isinstance(request, BlVenRequest):
        if request.client_id != registry.UNCLAIMED:
            return request
        return msgspec.structs.replace(request, client_id=old.client_id if old else request.ven_name)
    return BlVenRequest(
        client_id=viewer.client_id,
        ven_name=request.ven_name,
        attributes=_own_words(request.attributes),
        targets=old.targets if old else None,
    )


def _resource(
    viewer: Viewer, request: BlResourceRequest | VenResourceRequest, old: Resource | Ven | None
) -> BlResourceRequest:
    """As `_ven`, of the resource as it was or of the VEN that it comes to."""
    _check_role(viewer, business=isinstance(request, BlResourceRequest))
    if isinstance(request, BlResourceRequest):
        if request.client_id != registry.UNCLAIMED or old is None:
            return request
        return msgspec.structs.replace(request, client_id=old.client_id)
    return BlResourceRequest(
        client_id=viewer.client_id,
        resource_name=request.resource_name,
        ven_id=request.ven_id,
        attributes=_own_words(request.attributes),
        targets=old.targets if isinstance(old, Resource) else None,
    )


def _own_words(attributes: tuple[ValuesMap, ...] | None) -> tuple[ValuesMap, ...] | None:
    """What a VEN may say of itself: whose it is, it may not."""
    return attributes and tuple(one for one in attributes if one.type != registry.OWNER)


def _check_role(viewer: Viewer, *, business: bool) -> None:
    if business and not viewer.business:
        raise Forbidden("only business logic may say whose an object is and grant targets: send the VEN's own request")
    if viewer.business and not business:
        raise Forbidden("business logic must say whose the object is: send clientID, with the BL request's objectType")
