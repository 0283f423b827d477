"""The sweeper: buries deliveries that are too old, forgets what died long ago, and counts what waits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from tieline import metrics
from tieline.base.errors import Unready
from tieline.base.time import Clock
from tieline.ports import Reader, Rows, Transaction
from tieline.vtn.webhooks import reads, store
from tieline.vtn.webhooks.model import LONGEST_REASON, Policy
from tieline.vtn.webhooks.store import delivery, endpoint, lane

EVERY_S = 10.0
_AT_ONCE = 1000

log = structlog.get_logger(__name__)


class Sweeper:
    """Several processes may run one. `clock` is the wall's, as the courier's."""

    def __init__(self, rows: Rows, clock: Clock, policy: Policy) -> None:
        self._rows = rows
        self._clock = clock
        self._policy = policy

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unready as error:
                log.warning("webhooks are not swept", reason=str(error))
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        now = self._clock.now()
        while old := await self._rows.read(partial(_too_old, before=now - timedelta(seconds=self._policy.keep_s))):
            await self._rows.transaction(partial(_bury, old=old, now=now))
            metrics.WEBHOOKS.labels("dead").inc(len(old))
        while forgotten := await self._rows.read(
            partial(_long_dead, before=now - timedelta(seconds=self._policy.keep_dead_s))
        ):
            await self._rows.transaction(partial(_remove, gone=forgotten))
        await self._rows.transaction(partial(_remove_unserved, before=now - timedelta(seconds=self._policy.keep_s)))
        await self._measure(now)

    async def _measure(self, now: datetime) -> None:
        backlog = await self._rows.read(reads.backlog)
        metrics.WEBHOOKS_WAITING.set(backlog.waiting)
        metrics.WEBHOOKS_OLDEST_S.set((now - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0.0)
        metrics.WEBHOOKS_BROKEN.set(backlog.broken)


def _too_old(reader: Reader, before: datetime) -> Sequence[sa.Row[Any]]:
    """Of the first that wait: a look at all of a long queue would take too long."""
    first = sa.select(delivery).where(delivery.c.dead_at.is_(None)).order_by(delivery.c.seq).limit(_AT_ONCE).subquery()
    return reader.execute(sa.select(first.c.seq, first.c.lane_id).where(first.c.enqueued_at < before)).all()


def _bury(tx: Transaction, old: Sequence[sa.Row[Any]], now: datetime) -> None:
    told = sa.func.coalesce("too old; the last attempt: " + delivery.c.reason, "too old; it was never tried")
    reason = sa.func.substr(told, 1, LONGEST_REASON)
    its = delivery.c.seq.in_([one.seq for one in old])
    tx.execute(sa.update(delivery).where(its).values(lane_id=None, dead_at=now, reason=reason))
    store.remove_empty_lanes(tx, sorted({one.lane_id for one in old}))


def _long_dead(reader: Reader, before: datetime) -> Sequence[sa.Row[Any]]:
    dead = sa.select(delivery.c.seq, delivery.c.digest).where(delivery.c.dead_at < before)
    return reader.execute(dead.order_by(delivery.c.dead_at).limit(_AT_ONCE)).all()


def _remove(tx: Transaction, gone: Sequence[sa.Row[Any]]) -> None:
    store.remove_deliveries(tx, [one.seq for one in gone])
    store.remove_unused_bodies(tx, sorted({one.digest for one in gone}))


def _remove_unserved(tx: Transaction, before: datetime) -> None:
    """Endpoints that nothing is left for, whose failures nobody needs to remember."""
    empty = ~sa.exists().where(lane.c.endpoint_id == endpoint.c.endpoint_id)
    tx.execute(sa.delete(endpoint).where(endpoint.c.served_at < before, empty))
