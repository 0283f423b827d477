"""What others may ask of webhooks, and what their worker does."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from tieline.columns import structs
from tieline.ports import Reader, Rows
from tieline.vtn.webhooks.model import Due, Loaded, Want
from tieline.vtn.webhooks.store import body, delivery, endpoint, lane

Wish: TypeAlias = tuple[str, str]
"""A subscription's id, and a callback URL of it."""
Bearers: TypeAlias = Callable[[Reader, Collection[Wish]], Mapping[Wish, str | None]]
"""The bearer token, if any, of each of these that is still subscribed."""


class DeadDelivery(msgspec.Struct, frozen=True):
    """What could not be delivered, and why; `seq` continues a list."""

    seq: int
    delivery_id: str
    subscription_id: str
    object_id: str
    callback_url: str
    attempts: int
    reason: str | None
    enqueued_at: datetime
    dead_at: datetime


class BrokenEndpoint(msgspec.Struct, frozen=True):
    """A callback URL that has failed many times in a row: since when, why last, and when it is probed next."""

    endpoint_id: str
    callback_url: str
    failures: int
    broken_at: datetime
    rest_until_at: datetime | None
    reason: str | None


class Backlog(msgspec.Struct, frozen=True):
    """What waits: how many deliveries, the oldest since when, and endpoints that are broken."""

    waiting: int
    oldest_at: datetime | None
    broken: int


async def dead(rows: Rows, *, after: tuple[datetime, int] | None = None, limit: int = 100) -> list[DeadDelivery]:
    """In order of death, after the (dead_at, seq) of the last one seen."""
    query = sa.select(delivery).where(delivery.c.dead_at.is_not(None))
    if after is not None:
        at, seq = after
        query = query.where(delivery.c.dead_at >= at, sa.or_(delivery.c.dead_at > at, delivery.c.seq > seq))
    query = query.order_by(delivery.c.dead_at, delivery.c.seq).limit(limit)
    return await rows.read(lambda reader: structs(DeadDelivery, reader.execute(query)))


async def broken(rows: Rows) -> list[BrokenEndpoint]:
    """The longest broken first."""
    query = sa.select(endpoint).where(endpoint.c.broken_at.is_not(None)).order_by(endpoint.c.broken_at)
    return await rows.read(lambda reader: structs(BrokenEndpoint, reader.execute(query)))


def backlog(reader: Reader) -> Backlog:
    waits = delivery.c.dead_at.is_(None)
    waiting = reader.execute(sa.select(sa.func.count()).select_from(delivery).where(waits)).scalar_one()
    oldest = reader.execute(sa.select(delivery.c.enqueued_at).where(waits).order_by(delivery.c.seq).limit(1)).scalar()
    bad = sa.select(sa.func.count()).select_from(endpoint).where(endpoint.c.broken_at.is_not(None))
    return Backlog(waiting, oldest, reader.execute(bad).scalar_one())


# --- the worker's own -------------------------------------------------------------------------------------------------


def due_endpoints(reader: Reader, now: datetime, limit: int) -> list[str]:
    """Endpoints that nobody holds, that need no rest and have something due; the longest unserved first."""
    free = sa.or_(endpoint.c.worker.is_(None), endpoint.c.lease_until_at <= now)
    rested = sa.or_(endpoint.c.rest_until_at.is_(None), endpoint.c.rest_until_at <= now)
    has_due = sa.exists().where(lane.c.endpoint_id == endpoint.c.endpoint_id, lane.c.due_at <= now)
    query = sa.select(endpoint.c.endpoint_id).where(free, rested, has_due)
    return list(reader.execute(query.order_by(endpoint.c.served_at).limit(limit)).scalars())


def load(reader: Reader, wants: Iterable[Want], now: datetime, bearers: Bearers, most_bytes: int) -> list[Loaded]:
    """The heads of lanes that are due, for each endpoint the longest due first, until `most_bytes` of bodies are used.

    An endpoint that nothing was left for is not among the answers. What `bearers` does not know is not subscribed.
    """
    found: list[tuple[str, list[sa.Row[Any]], bool]] = []
    for want in wants:
        if most_bytes <= 0:
            break
        heads, kept = _heads(reader, want, now), 0
        while kept < len(heads) and most_bytes > 0:
            most_bytes -= heads[kept].bytes
            kept += 1
        found.append((want.endpoint_id, heads[:kept], kept < len(heads) or kept == want.lanes))
    chosen = [head for _, heads, _ in found for head in heads]
    if not chosen:
        return [Loaded(endpoint_id, [], more) for endpoint_id, _, more in found]
    digests = {head.digest for head in chosen}
    bodies = {row.digest: row.data for row in reader.execute(sa.select(body).where(body.c.digest.in_(digests)))}
    known = bearers(reader, {(head.subscription_id, head.callback_url) for head in chosen})
    return [
        Loaded(endpoint_id, [_due(head, endpoint_id, bodies[head.digest], known) for head in heads], more)
        for endpoint_id, heads, more in found
    ]


def _heads_query() -> sa.Select[Any]:
    """Built once: it is asked for each endpoint of each turn."""
    first = sa.select(sa.func.min(delivery.c.seq)).where(delivery.c.lane_id == lane.c.lane_id).scalar_subquery()
    lanes = sa.select(first.label("seq")).where(
        lane.c.endpoint_id == sa.bindparam("endpoint_id"),
        lane.c.due_at <= sa.bindparam("now"),
        lane.c.lane_id.not_in(sa.bindparam("in_hand", expanding=True)),
    )
    heads = lanes.order_by(lane.c.due_at).limit(sa.bindparam("lanes")).subquery()
    query = sa.select(delivery, sa.func.length(body.c.data).label("bytes"))
    return query.join(heads, heads.c.seq == delivery.c.seq).join(body, body.c.digest == delivery.c.digest)


_HEADS = _heads_query()


def _heads(reader: Reader, want: Want, now: datetime) -> list[sa.Row[Any]]:
    asked = {"endpoint_id": want.endpoint_id, "now": now, "in_hand": list(want.in_hand), "lanes": want.lanes}
    return list(reader.execute(_HEADS, [asked]))


def _due(head: sa.Row[Any], endpoint_id: str, data: bytes, known: Mapping[Wish, str | None]) -> Due:
    wish = (head.subscription_id, head.callback_url)
    return Due(
        seq=head.seq,
        delivery_id=head.delivery_id,
        lane_id=head.lane_id,
        callback_url=head.callback_url,
        endpoint_id=endpoint_id,
        attempts=head.attempts,
        enqueued_at=head.enqueued_at,
        digest=head.digest,
        body=data,
        subscribed=wish in known,
        bearer=known.get(wish),
    )
