"""What is asked of the queue: to deliver, to forget a subscription, to try again what died.

All take part in the caller's transaction; after `enqueue` or `replay` has committed, wake the courier.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from tieline.base.errors import Conflict, NotFound
from tieline.ports import Transaction
from tieline.vtn.webhooks import store
from tieline.vtn.webhooks.model import NewDelivery, endpoint_id, lane_id
from tieline.vtn.webhooks.store import delivery


def enqueue(tx: Transaction, new: Sequence[NewDelivery], now: datetime) -> None:
    """Deliver each at least once, in this order where they go to the same URL about the same object.

    One that is queued already, or dead, stays as it is.
    """
    if not new:
        return
    digests = {body: hashlib.sha256(body).hexdigest() for body in {one.body for one in new}}
    store.add_bodies(tx, {digest: body for body, digest in digests.items()}, now)
    store.add_endpoint(tx, {one.endpoint_id: one.callback_url for one in new}, now)
    store.add_lanes(tx, {one.lane_id: one.endpoint_id for one in new}, now)
    rows = [
        {
            "delivery_id": one.delivery_id,
            "lane_id": one.lane_id,
            "subscription_id": one.subscription_id,
            "object_id": one.object_id,
            "callback_url": one.callback_url,
            "digest": digests[one.body],
            "attempts": 0,
            "enqueued_at": now,
        }
        for one in new
    ]
    store.add_deliveries(tx, rows)


def forget(tx: Transaction, subscription_id: str) -> None:
    """The subscription is gone, and all that it still was to be told with it, dead or alive."""
    its = delivery.c.subscription_id == subscription_id
    lanes = tx.execute(sa.select(delivery.c.lane_id).where(its, delivery.c.lane_id.is_not(None)).distinct()).scalars()
    digests = tx.execute(sa.select(delivery.c.digest).where(its).distinct()).scalars()
    lane_ids, body_digests = lanes.all(), digests.all()
    tx.execute(sa.delete(delivery).where(its))
    store.remove_empty_lanes(tx, lane_ids)
    store.remove_unused_bodies(tx, body_digests)


def replay(tx: Transaction, delivery_id: str, now: datetime) -> None:
    """Try a dead delivery again, as if it were new. Raises `NotFound`, and `Conflict` for one that is not dead."""
    found = tx.execute(sa.select(delivery).where(delivery.c.delivery_id == delivery_id)).first()
    if found is None:
        raise NotFound(f"there is no delivery {delivery_id!r}: it was delivered, or its subscription deleted")
    if found.dead_at is None:
        raise Conflict(f"delivery {delivery_id} is not dead: it is being tried already")
    endpoint, lane = endpoint_id(found.callback_url), lane_id(found.callback_url, found.object_id)
    store.add_endpoint(tx, {endpoint: found.callback_url}, now)
    store.add_lanes(tx, {lane: endpoint}, now)
    revived = sa.update(delivery).where(delivery.c.seq == found.seq)
    tx.execute(revived.values(lane_id=lane, dead_at=None, attempts=0, enqueued_at=now))
