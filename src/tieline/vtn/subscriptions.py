"""Subscriptions: who wants to be told of what, and where; each verb within a transaction, told when it commits.

That a callback URL may be called, and is its owner's, is settled before (`webhooks`): a transaction cannot ask.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.base.errors import Conflict, NotFound
from tieline.base.names import new_id
from tieline.base.time import later
from tieline.dispatch import reads as dispatch
from tieline.identity import reads as identity
from tieline.ports import Reader, Transaction
from tieline.vtn import store
from tieline.vtn.privacy import Viewer
from tieline.vtn.store import subscription as table
from tieline.vtn.webhooks import actions as webhooks
from tieline.vtn.webhooks.reads import Wish
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import Operation, Subscription, SubscriptionRequest

VERSION = "3.1.0"
"""The version of OpenADR in which a client is told, unless it subscribed in another."""


class Listener(msgspec.Struct, frozen=True):
    """A subscription with what nobody is shown of it: whether its client is business logic, and the version of OpenADR
    in which it wants to be told."""

    subscription: Subscription
    business: bool
    dialect: str


def all_of(reader: Reader) -> list[Subscription]:
    """In order of creation and id."""
    found = reader.execute(sa.select(table).order_by(table.c.created_at, table.c.subscription_id))
    return [_shown(row) for row in found]


def listeners(reader: Reader, ids: Collection[str] | None = None) -> list[Listener]:
    """All, or those of these ids that there are."""
    wanted = sa.select(table) if ids is None else sa.select(table).where(table.c.subscription_id.in_(ids))
    return [Listener(_shown(row), row.business, row.dialect) for row in reader.execute(wanted)]


def find(reader: Reader, subscription_id: str) -> Subscription | None:
    row = reader.execute(sa.select(table).where(table.c.subscription_id == subscription_id)).first()
    return None if row is None else _shown(row)


def the(reader: Reader, subscription_id: str) -> Subscription:
    """Raises `NotFound`."""
    if (found := find(reader, subscription_id)) is None:
        raise NotFound(f"there is no subscription {subscription_id!r}")
    return found


def create(
    tx: Transaction,
    request: SubscriptionRequest,
    client_id: str,
    now: datetime,
    *,
    business: bool = False,
    dialect: str = VERSION,
) -> Subscription:
    """Raises `Conflict` for a program that does not exist."""
    _check_program(tx, request)
    id_ = new_id()
    values = {"client_id": client_id, "created_at": now, "modified_at": now, "request": request}
    store.add(tx, table, subscription_id=id_, business=business, dialect=dialect, **values)
    return _told(tx, the(tx, id_), Operation.CREATE, now)


def update(
    tx: Transaction,
    subscription_id: str,
    request: SubscriptionRequest,
    now: datetime,
    *,
    writer: Viewer | None = None,
    dialect: str = VERSION,
) -> Subscription:
    """Whose it is stays, whoever changes it; what its owner is, the owner's own writing tells anew. Raises `NotFound`,
    and `Conflict` for a program that does not exist."""
    old = the(tx, subscription_id)
    _check_program(tx, request)
    modified_at = later(now, than=old.modification_date_time)
    own = {"business": writer.business} if writer is not None and writer.client_id == old.client_id else {}
    values = {"dialect": dialect, "modified_at": modified_at, **own}
    store.set_(tx, table, subscription_id, request=request, **values)
    return _told(tx, the(tx, subscription_id), Operation.UPDATE, now)


def bearers(reader: Reader, wishes: Collection[Wish]) -> dict[Wish, str | None]:
    """Of a subscription and a callback URL of it, as far as they are there and their client was not shut out, the token
    to call with."""
    there = [one.subscription for one in listeners(reader, {id_ for id_, _ in wishes})]
    revoked = identity.revoked(reader, {one.client_id for one in there})
    found = {
        (one.id, told.callback_url): told.bearer_token
        for one in there
        if one.client_id not in revoked
        for told in one.object_operations
    }
    return {wish: found[wish] for wish in wishes if wish in found}


def delete(tx: Transaction, subscription_id: str, now: datetime) -> Subscription:
    """With what it still was to be told. Raises `NotFound`."""
    old = the(tx, subscription_id)
    webhooks.forget(tx, subscription_id)
    store.remove(tx, table, subscription_id)
    return _told(tx, old, Operation.DELETE, now)


def _check_program(tx: Transaction, request: SubscriptionRequest) -> None:
    if request.program_id and dispatch.find_program(tx, request.program_id) is None:
        raise Conflict(f"there is no program {request.program_id!r}: subscribe to one that exists")


def _shown(row: sa.Row[Any]) -> Subscription:
    return Subscription(
        **msgspec.structs.asdict(row.request),
        id=row.subscription_id,
        client_id=row.client_id,
        created_date_time=row.created_at,
        modification_date_time=row.modified_at,
    )


def _told(tx: Transaction, told: Subscription, operation: Operation, now: datetime) -> Subscription:
    change = Change.of(operation, told, now)
    tx.say(change.subject, change.encoded())
    return told
