"""VENs and their resources as OpenADR has them: within a transaction, each verb tells its Change when it commits.

OpenADR ven        ↔ a VEN of the registry, at a site of its own where nobody named one
OpenADR resource   ↔ a resource at that VEN; its id there is unique in the platform, not only at the VEN
"""

from collections.abc import Collection, Container
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.base.errors import Conflict, NotFound
from tieline.base.names import new_id
from tieline.base.time import later
from tieline.identity import actions as identity
from tieline.ports import Reader, Transaction
from tieline.registry import reads, store
from tieline.registry.model import Kind, NewResource, NewSite, power_declarations
from tieline.registry.store import resource, ven
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import (
    BlResourceRequest,
    BlVenRequest,
    Operation,
    Resource,
    ValuesMap,
    Ven,
)
from tieline.wires.openadr31.vocabulary import Attribute
from tieline.wires.openadr301.targets import implied_grants

UNCLAIMED = "(unclaimed)"
"""The client of a VEN that was registered without one: OpenADR wants every VEN to have a client. No client has that
id, and in a request it does not say whose the VEN is."""
OWNER = "CLIENT_ID"
"""The private attribute by which business logic says in 3.0.1 whose a VEN or resource is; no VEN may write it."""


# --- what there is ----------------------------------------------------------------------------------------------------


def vens(reader: Reader) -> list[Ven]:
    """All that are not retired, in order of creation and id."""
    found = reader.execute(_VENS.order_by(ven.c.created_at, ven.c.ven_id))
    return [_ven(row) for row in found]


def resources(reader: Reader) -> list[Resource]:
    """All of VENs that are not retired, in order of creation and id."""
    found = reader.execute(_RESOURCES.order_by(resource.c.created_at, resource.c.object_id))
    return [_resource(row) for row in found]


def counts(reader: Reader) -> tuple[int, int]:
    """How many VENs and resources there are that are not retired."""
    vens_, resources_ = (
        reader.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
        for query in (_VENS, _RESOURCES)
    )
    return vens_, resources_


def find_ven(reader: Reader, ven_id: str) -> Ven | None:
    row = reader.execute(_VENS.where(ven.c.ven_id == ven_id)).first()
    return None if row is None else _ven(row)


def find_resource(reader: Reader, object_id: str) -> Resource | None:
    row = reader.execute(_RESOURCES.where(resource.c.object_id == object_id)).first()
    return None if row is None else _resource(row)


def vens_of(reader: Reader, client_id: str) -> list[str]:
    """The ids of the VENs that a client speaks for."""
    query = sa.select(ven.c.ven_id).where(ven.c.client_id == client_id, ven.c.retired_at.is_(None))
    return list(reader.execute(query.order_by(ven.c.ven_id)).scalars())


def granted(reader: Reader, targets: Collection[str]) -> set[str]:
    """The VENs that meet any of these targets, by a grant of their own or of a resource of theirs."""
    asked = set(targets)
    named = named_ones(reader)
    owns = {one.id: ven_grants(one, named) for one in vens(reader)}
    for one in resources(reader):
        owns[one.ven_id] |= resource_grants(one, named)
    return {ven_id for ven_id, own in owns.items() if own & asked}


def grants_of(reader: Reader, ven_id: str) -> set[str]:
    """What one VEN is granted, by itself or by a resource of its; nothing where there is no such VEN."""
    row = reader.execute(_VENS.where(ven.c.ven_id == ven_id)).first()
    if row is None:
        return set()
    owned = reader.execute(_RESOURCES.where(resource.c.ven_id == ven_id)).all()
    named = {one.object_id for one in owned if one.named} | ({ven_id} if row.named else set())
    return ven_grants(_ven(row), named).union(*(resource_grants(_resource(one), named) for one in owned))


def named_ones(reader: Reader) -> set[str]:
    """The ids of VENs and resources whose names business logic gave them."""
    vens_ = reader.execute(sa.select(ven.c.ven_id).where(ven.c.named))
    resources_ = reader.execute(sa.select(resource.c.object_id).where(resource.c.named))
    return {*vens_.scalars(), *resources_.scalars()}


def ven_grants(one: Ven, named: Container[str]) -> set[str]:
    """The targets that a VEN is granted. 3.0.1 addresses VENs by name: that counts where business logic gave the name,
    or it is that of its client; else whoever takes a name first would see what is meant for another."""
    implied = implied_grants(one.ven_name) if one.id in named or one.ven_name == one.client_id else ()
    return {*(one.targets or ()), *implied}


def resource_grants(one: Resource, named: Container[str]) -> set[str]:
    return {*(one.targets or ()), *(implied_grants(None, [one.resource_name]) if one.id in named else ())}


_VENS = sa.select(ven).where(ven.c.retired_at.is_(None))
_RESOURCES = sa.select(resource).join(ven, ven.c.ven_id == resource.c.ven_id).where(ven.c.retired_at.is_(None))


def _ven(row: sa.Row[Any]) -> Ven:
    return Ven(
        id=row.ven_id,
        created_date_time=row.created_at,
        modification_date_time=row.modified_at,
        client_id=row.client_id or UNCLAIMED,
        ven_name=row.name,
        attributes=row.attributes,
        targets=row.targets,
    )


def _resource(row: sa.Row[Any]) -> Resource:
    return Resource(
        id=row.object_id,
        created_date_time=row.created_at,
        modification_date_time=row.modified_at,
        client_id=row.client_id or UNCLAIMED,
        resource_name=row.name,
        ven_id=row.ven_id,
        attributes=row.attributes,
        targets=row.targets,
    )


# --- VENs -------------------------------------------------------------------------------------------------------------


def create_ven(tx: Transaction, request: BlVenRequest, zone: str, now: datetime, *, named: bool) -> Ven:
    """At a new site of its own in that zone. Nobody is told a secret: its client's tokens open every door, and a device
    may enrol by a claim. `named`: business logic gives it its name. Raises `Conflict` when a VEN has that name."""
    ven_id = new_id()
    _check_ven_name(tx, request.ven_name, ven_id)
    store.add_site(tx, NewSite(ven_id, request.ven_name, zone), now)
    store.add_ven(tx, ven_id, request.ven_name, ven_id, now, named=named, **_granted(request))
    store.put_series(tx, power_declarations(ven_id, zone, []), now)
    identity.issue(tx, ven_id, now)
    tx.say("news.ven.registered", msgspec.json.encode({"ven_id": ven_id, "at": now}))
    return tell_ven(tx, ven_id, Operation.CREATE, now)


def update_ven(tx: Transaction, ven_id: str, request: BlVenRequest, now: datetime, *, named: bool) -> Ven:
    """Business logic names it by giving it another name; one that a VEN chose it does not confirm by writing it back.
    Resources of its client go with it to another. Raises `NotFound`, and `Conflict` when another VEN has the name."""
    old = the_ven(tx, ven_id)
    _check_ven_name(tx, request.ven_name, ven_id)
    modified_at = later(now, than=old.modification_date_time)
    names = named if request.ven_name != old.ven_name else _is_named(tx, old)
    store.set_ven(tx, ven_id, name=request.ven_name, named=names, modified_at=modified_at, **_granted(request))
    told = tell_ven(tx, ven_id, Operation.UPDATE, now)
    if told.client_id != old.client_id:
        _hand_over(tx, old, told, now)
    return told


def _hand_over(tx: Transaction, old: Ven, new: Ven, now: datetime) -> None:
    """The resources of a VEN that were its client's."""
    at_it = sa.select(resource.c.object_id).where(resource.c.ven_id == old.id)
    for object_id in tx.execute(at_it.order_by(resource.c.object_id)).scalars().all():
        one = the_resource(tx, object_id)
        if one.client_id == old.client_id:
            client_id = None if new.client_id == UNCLAIMED else new.client_id
            modified_at = later(now, than=one.modification_date_time)
            store.set_resource(tx, object_id, client_id=client_id, modified_at=modified_at)
            tell_resource(tx, object_id, Operation.UPDATE, now)


def delete_ven(tx: Transaction, ven_id: str, now: datetime) -> Ven:
    """Retired, with its resources: what it did stays on record, its secret stops working. Raises `NotFound`."""
    old = the_ven(tx, ven_id)
    for one in tx.execute(sa.select(resource.c.object_id).where(resource.c.ven_id == ven_id)).scalars().all():
        delete_resource(tx, one, now)
    store.set_ven(tx, ven_id, retired_at=now)
    identity.retire(tx, ven_id, now)
    _tell(tx, old, Operation.DELETE, now)
    return old


def the_ven(reader: Reader, ven_id: str) -> Ven:
    """Raises `NotFound`."""
    if (found := find_ven(reader, ven_id)) is None:
        raise NotFound(f"there is no ven {ven_id!r}")
    return found


def tell_ven(tx: Transaction, ven_id: str, operation: Operation, now: datetime) -> Ven:
    """Say on the Log what became of the VEN."""
    told = the_ven(tx, ven_id)
    _tell(tx, told, operation, now)
    return told


def _check_ven_name(tx: Transaction, name: str, ven_id: str) -> None:
    same = reads.ven_named(tx, name)
    if same not in (None, ven_id):
        raise Conflict(f"there is a VEN named {name!r} already: names are unique")  # not whose: it may be another's


def _granted(request: BlVenRequest | BlResourceRequest) -> dict[str, Any]:
    client_id = None if request.client_id == UNCLAIMED else request.client_id
    return {"client_id": client_id, "targets": request.targets, "attributes": request.attributes}


def _is_named(reader: Reader, one: Ven | Resource) -> bool:
    if isinstance(one, Ven):
        query = sa.select(ven.c.named).where(ven.c.ven_id == one.id)
    else:
        query = sa.select(resource.c.named).where(resource.c.object_id == one.id)
    return bool(reader.execute(query).scalar())


# --- resources --------------------------------------------------------------------------------------------------------


def create_resource(tx: Transaction, request: BlResourceRequest, now: datetime, *, named: bool) -> Resource:
    """Raises `Conflict` for a VEN that does not exist, or one that has a resource of that name."""
    site_ven = reads.find_ven(tx, request.ven_id)
    if site_ven is None:
        raise Conflict(f"there is no ven {request.ven_id!r}: create it first")
    object_id = new_id()
    _check_resource_name(tx, request, object_id)
    new = NewResource(object_id, request.resource_name, Kind.OTHER, _rated_kw(request.attributes))
    store.add_resources(tx, request.ven_id, [(object_id, new)], now)
    store.put_series(tx, power_declarations(request.ven_id, site_ven.zone, [new]), now)
    store.set_resource(tx, object_id, named=named, **_granted(request))
    return tell_resource(tx, object_id, Operation.CREATE, now)


def update_resource(
    tx: Transaction, object_id: str, request: BlResourceRequest, now: datetime, *, named: bool
) -> Resource:
    """Raises `NotFound`; `Conflict` for another VEN, or for a name that another resource of the VEN has."""
    old = the_resource(tx, object_id)
    if request.ven_id != old.ven_id:
        raise Conflict(f"resource {object_id} is at ven {old.ven_id} and cannot move to {request.ven_id!r}")
    _check_resource_name(tx, request, object_id)
    modified_at = later(now, than=old.modification_date_time)
    names = named if request.resource_name != old.resource_name else _is_named(tx, old)
    values = {"name": request.resource_name, "named": names, "modified_at": modified_at, **_granted(request)}
    store.set_resource(tx, object_id, **values)
    return tell_resource(tx, object_id, Operation.UPDATE, now)


def delete_resource(tx: Transaction, object_id: str, now: datetime) -> Resource:
    """Raises `NotFound`."""
    old = the_resource(tx, object_id)
    store.delete_resource(tx, object_id)
    _tell(tx, old, Operation.DELETE, now)
    return old


def the_resource(reader: Reader, object_id: str) -> Resource:
    """Raises `NotFound`."""
    if (found := find_resource(reader, object_id)) is None:
        raise NotFound(f"there is no resource {object_id!r}")
    return found


def tell_resource(tx: Transaction, object_id: str, operation: Operation, now: datetime) -> Resource:
    """Say on the Log what became of the resource."""
    told = the_resource(tx, object_id)
    _tell(tx, told, operation, now)
    return told


def _check_resource_name(tx: Transaction, request: BlResourceRequest, object_id: str) -> None:
    same_name = sa.and_(resource.c.ven_id == request.ven_id, resource.c.name == request.resource_name)
    others = sa.select(resource.c.object_id).where(same_name, resource.c.object_id != object_id)
    if tx.execute(others).first() is not None:
        raise Conflict(f"ven {request.ven_id} has a resource {request.resource_name!r} already: names are unique there")


def _rated_kw(attributes: tuple[ValuesMap, ...] | None) -> float:
    """What it draws at most, in kW (Definition, Table 8); 0 where nobody says."""
    said = [value for one in attributes or () if one.type == Attribute.MAX_POWER_CONSUMPTION for value in one.values]
    return next((float(v) for v in said if isinstance(v, int | float) and 0 <= v <= 100_000), 0.0)


def _tell(tx: Transaction, told: Ven | Resource, operation: Operation, now: datetime) -> None:
    named = operation is not Operation.DELETE and _is_named(tx, told)
    change = Change.of(operation, told, now, named=named)
    tx.say(change.subject, change.encoded())
