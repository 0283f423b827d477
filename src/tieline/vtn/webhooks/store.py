"""The tables of webhooks, and their writes.

    endpoint  1 ── n  lane         1 ── n  delivery  n ── 1  body
    a callback URL,   its deliveries       one change for    kept once,
    leased to one     about one object:    one subscription  however many
    worker at a time  the least seq first                    are told it

A dead delivery is in no lane. A lane is there while it has deliveries; an endpoint while it has lanes, or fails.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Counter, Instant
from tieline.ports import Transaction
from tieline.vtn.webhooks.model import LONGEST_REASON, Health, HealthChange, Leased

metadata = sa.MetaData()

endpoint = sa.Table(
    "webhook_endpoint",
    metadata,
    sa.Column("endpoint_id", sa.String(32), primary_key=True),
    sa.Column("callback_url", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("broken_at", Instant),
    sa.Column("rest_until_at", Instant),
    sa.Column("reason", sa.String(LONGEST_REASON)),
    sa.Column("worker", sa.String(32)),
    sa.Column("lease_until_at", Instant),
    sa.Column("served_at", Instant, nullable=False),
    sa.Index("webhook_endpoint_by_service", "served_at"),
)

lane = sa.Table(
    "webhook_lane",
    metadata,
    sa.Column("lane_id", sa.String(32), primary_key=True),
    sa.Column("endpoint_id", sa.String(32), sa.ForeignKey("webhook_endpoint.endpoint_id"), nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Index("webhook_lane_by_due", "endpoint_id", "due_at"),
)

body = sa.Table(
    "webhook_body",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
)

delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("seq", Counter, primary_key=True),
    sa.Column("delivery_id", sa.String(32), nullable=False, unique=True),
    sa.Column("lane_id", sa.String(32), sa.ForeignKey("webhook_lane.lane_id")),
    sa.Column("subscription_id", sa.String(64), nullable=False),
    sa.Column("object_id", sa.String(128), nullable=False),
    sa.Column("callback_url", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), sa.ForeignKey("webhook_body.digest"), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(LONGEST_REASON)),
    sa.Column("enqueued_at", Instant, nullable=False),
    sa.Column("dead_at", Instant),
    sa.Index("webhook_delivery_by_lane", "lane_id", "seq"),
    sa.Index("webhook_delivery_by_death", "dead_at", "seq"),
    sa.Index("webhook_delivery_by_subscription", "subscription_id"),
    sa.Index("webhook_delivery_by_body", "digest"),
)

AT_ONCE = 5_000
"""Keys in one statement: PostgreSQL takes 32,767 parameters."""


# --- rows that come ---------------------------------------------------------------------------------------------------


def add_endpoint(tx: Transaction, callback_urls: Mapping[str, str], now: datetime) -> None:
    """By endpoint id; those that are there stay as they are."""
    rows = [
        {"endpoint_id": id_, "callback_url": url, "failures": 0, "served_at": now} for id_, url in callback_urls.items()
    ]
    tx.execute(insert(endpoint).on_conflict_do_nothing(), rows)


def add_lanes(tx: Transaction, endpoints: Mapping[str, str], now: datetime) -> None:
    """Endpoint ids by lane id; a lane that is there keeps its order and its pause."""
    rows = [{"lane_id": id_, "endpoint_id": endpoint_id, "due_at": now} for id_, endpoint_id in endpoints.items()]
    tx.execute(insert(lane).on_conflict_do_nothing(), rows)


def add_bodies(tx: Transaction, bodies: Mapping[str, bytes], now: datetime) -> None:
    rows = [{"digest": digest, "data": data, "stored_at": now} for digest, data in bodies.items()]
    tx.execute(insert(body).on_conflict_do_nothing(), rows)


def add_deliveries(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """One that is there already is not added."""
    tx.execute(insert(delivery).on_conflict_do_nothing(), rows)


# --- leases -----------------------------------------------------------------------------------------------------------


def claim(tx: Transaction, ids: Sequence[str], worker: str, now: datetime, until: datetime) -> list[Leased]:
    """Those of the endpoints that no other worker holds, leased."""
    free = sa.or_(endpoint.c.worker.is_(None), endpoint.c.lease_until_at <= now)
    taken = sa.update(endpoint).where(endpoint.c.endpoint_id.in_(ids), free)
    taken = taken.values(worker=worker, lease_until_at=until, served_at=now)
    rows = tx.execute(taken.returning(*endpoint.c))
    return [
        Leased(row.endpoint_id, row.callback_url, Health(row.failures, row.broken_at, row.rest_until_at, row.reason))
        for row in rows
    ]


def release(tx: Transaction, ids: Sequence[str], worker: str) -> None:
    mine = sa.and_(endpoint.c.endpoint_id.in_(ids), endpoint.c.worker == worker)
    tx.execute(sa.update(endpoint).where(mine).values(worker=None, lease_until_at=None))


def remove_drained(tx: Transaction, ids: Sequence[str], worker: str) -> set[str]:
    """Those of a worker's endpoints that do well and have nothing left."""
    drained = sa.delete(endpoint).where(
        endpoint.c.endpoint_id.in_(ids),
        endpoint.c.worker == worker,
        endpoint.c.failures == 0,
        ~sa.exists().where(lane.c.endpoint_id == endpoint.c.endpoint_id),
    )
    return {row.endpoint_id for row in tx.execute(drained.returning(endpoint.c.endpoint_id))}


def set_health(tx: Transaction, changes: Sequence[HealthChange], worker: str) -> None:
    known = sa.update(endpoint).where(endpoint.c.endpoint_id == sa.bindparam("b_id"), endpoint.c.worker == worker)
    known = known.values({name: sa.bindparam(name) for name in Health.__struct_fields__})
    tx.execute(known, [{"b_id": one.endpoint_id, **msgspec.structs.asdict(one.health)} for one in changes])


def hasten(tx: Transaction, ids: Sequence[str], now: datetime) -> None:
    """The endpoints have come back: what waits for its next try need not."""
    waits = sa.and_(lane.c.endpoint_id.in_(ids), lane.c.due_at > now)
    tx.execute(sa.update(lane).where(waits).values(due_at=now))


# --- rows that go -----------------------------------------------------------------------------------------------------


def remove_deliveries(tx: Transaction, seqs: Sequence[int]) -> None:
    for first in range(0, len(seqs), AT_ONCE):
        tx.execute(sa.delete(delivery).where(delivery.c.seq.in_(seqs[first : first + AT_ONCE])))


def bury(tx: Transaction, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Dead, with `b_seq`, `attempts` and `reason` of each."""
    dead = sa.update(delivery).where(delivery.c.seq == sa.bindparam("b_seq"))
    dead = dead.values(lane_id=None, dead_at=now, attempts=sa.bindparam("attempts"), reason=sa.bindparam("reason"))
    tx.execute(dead, rows)


def postpone(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Try again, with `b_seq`, `b_lane_id`, `attempts`, `reason` and `due_at` of each; its lane waits with it."""
    tried = sa.update(delivery).where(delivery.c.seq == sa.bindparam("b_seq"))
    tx.execute(tried.values(attempts=sa.bindparam("attempts"), reason=sa.bindparam("reason")), rows)
    later = sa.update(lane).where(lane.c.lane_id == sa.bindparam("b_lane_id"))
    tx.execute(later.values(due_at=sa.bindparam("due_at")), rows)


def remove_empty_lanes(tx: Transaction, ids: Sequence[str]) -> None:
    for first in range(0, len(ids), AT_ONCE):
        some = lane.c.lane_id.in_(ids[first : first + AT_ONCE])
        tx.execute(sa.delete(lane).where(some, ~sa.exists().where(delivery.c.lane_id == lane.c.lane_id)))


def remove_unused_bodies(tx: Transaction, digests: Sequence[str]) -> None:
    for first in range(0, len(digests), AT_ONCE):
        some = body.c.digest.in_(digests[first : first + AT_ONCE])
        tx.execute(sa.delete(body).where(some, ~sa.exists().where(delivery.c.digest == body.c.digest)))
