"""Registering: each verb is one transaction, and what happened is told on the Log when it commits."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tieline.base.errors import Conflict
from tieline.base.names import new_id
from tieline.base.series import Declaration
from tieline.base.time import Clock
from tieline.identity import actions as identity
from tieline.ports import Rows, Transaction
from tieline.registry import openadr, reads, store
from tieline.registry.model import (
    Credential,
    NewResource,
    NewSite,
    NewVen,
    Registered,
    Resource,
    Site,
    Ven,
    power_declarations,
)
from tieline.wires.openadr31.messages import Operation


async def add_site(rows: Rows, clock: Clock, new: NewSite) -> Site:
    """Raises `Conflict` when the site exists."""
    now = clock.now()

    def work(tx: Transaction) -> Site:
        _add_site(tx, new, now)
        return reads.the_site(tx, new.site_id)

    return await rows.transaction(work)


async def register_ven(rows: Rows, clock: Clock, new: NewVen) -> Registered:
    """The VEN with its resources, series and secret. Raises `Conflict` when it exists, `NotFound` for its site."""
    now = clock.now()

    def work(tx: Transaction) -> Registered:
        if reads.find_ven(tx, new.ven_id) is not None:
            raise Conflict(
                f"VEN {new.ven_id} is registered already; POST /v1/vens/{new.ven_id}/credential renews its secret"
            )
        if reads.is_retired(tx, new.ven_id):
            raise Conflict(f"VEN {new.ven_id} was retired, and what it did is on record: give the new one another id")
        if (same := reads.ven_named(tx, new.name)) is not None:
            raise Conflict(f"VEN {same} is named {new.name!r} already: names are unique")
        if new.site is not None:
            _add_site(tx, new.site, now)
        secret = enter_ven(tx, new, now)
        return Registered(reads.the_ven(tx, new.ven_id), reads.resources_of(tx, new.ven_id), secret)

    return await rows.transaction(work)


async def add_resource(rows: Rows, clock: Clock, ven_id: str, new: NewResource) -> Resource:
    """One more load at a VEN. Raises `NotFound` for the VEN, `Conflict` when it has a resource of that id."""
    now = clock.now()

    def work(tx: Transaction) -> Resource:
        ven = reads.the_ven(tx, ven_id)
        if any(one.resource_id == new.resource_id for one in reads.resources_of(tx, ven_id)):
            raise Conflict(f"VEN {ven_id} has a resource {new.resource_id} already; give the new one another id")
        if any(one.name == new.name for one in reads.resources_of(tx, ven_id)):
            raise Conflict(f"VEN {ven_id} has a resource named {new.name!r} already; give the new one another name")
        enter_resources(tx, ven, [new], now)
        return next(one for one in reads.resources_of(tx, ven_id) if one.resource_id == new.resource_id)

    return await rows.transaction(work)


async def renew_credential(rows: Rows, clock: Clock, ven_id: str) -> Credential:
    """A new secret; the old one stops working. Raises `NotFound`."""
    now = clock.now()

    def work(tx: Transaction) -> Credential:
        return Credential(ven_id, identity.issue(tx, reads.the_ven(tx, ven_id).ven_id, now))

    return await rows.transaction(work)


def enter_ven(tx: Transaction, new: NewVen, now: datetime) -> str:
    """Within the caller's transaction: a VEN whose id and name are free, at a site that exists. Its secret may be
    forgotten: then a device enrols by a claim. Raises `NotFound` for the site."""
    site = reads.the_site(tx, new.site.site_id if new.site else new.site_id or "")
    store.add_ven(tx, new.ven_id, new.name, site.site_id, now, client_id=new.client_id, targets=tuple(new.targets))
    openadr.tell_ven(tx, new.ven_id, Operation.CREATE, now)
    _add_resources(tx, new.ven_id, site.zone, new.resources, now)
    tx.say("news.ven.registered", msgspec.json.encode({"ven_id": new.ven_id, "at": now}))
    return identity.issue(tx, new.ven_id, now)


def enter_resources(tx: Transaction, ven: Ven, new: Sequence[NewResource], now: datetime) -> None:
    """Within the caller's transaction: loads whose ids and names are free at a VEN."""
    _add_resources(tx, ven.ven_id, ven.zone, new, now)
    tx.say("news.ven.changed", msgspec.json.encode({"ven_id": ven.ven_id, "at": now}))


def declare_series(tx: Transaction, declarations: Sequence[Declaration], now: datetime) -> None:
    """Declare series within the caller's transaction; those declared already stay as they are."""
    store.put_series(tx, declarations, now)


async def declare(rows: Rows, clock: Clock, new: Declaration) -> Declaration:
    """Declare one series. Raises `Conflict` when it is declared otherwise, `NotFound` for a VEN it names."""
    now = clock.now()

    def work(tx: Transaction) -> Declaration:
        if new.ven_id is not None:
            reads.the_ven(tx, new.ven_id)
        store.put_series(tx, [new], now)
        if (declared := reads.the_series(tx, new.series_id)) != new:
            raise Conflict(f"series {new.series_id} is declared otherwise already: {declared}")
        return declared

    return await rows.transaction(work)


def _add_site(tx: Transaction, new: NewSite, now: datetime) -> None:
    if reads.find_site(tx, new.site_id) is not None:
        raise Conflict(f"site {new.site_id} exists already; name it by site_id, or give the new one another id")
    store.add_site(tx, new, now)


def _add_resources(tx: Transaction, ven_id: str, zone: str, new: Sequence[NewResource], now: datetime) -> None:
    known = [(new_id(), one) for one in new]
    store.add_resources(tx, ven_id, known, now)
    store.put_series(tx, power_declarations(ven_id, zone, new), now)
    for object_id, _ in known:
        openadr.tell_resource(tx, object_id, Operation.CREATE, now)
