"""What every entry in the ledger is made of: rows move from state to state, and it is told how the event stands."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa

from tieline import metrics
from tieline.dispatch import reads, store
from tieline.dispatch.model import EventView, RowState
from tieline.ports import Transaction


def tell(tx: Transaction, event_id: str, what: str) -> EventView:
    """Say on the Log how the event now stands."""
    view = reads.the_view(tx, event_id)
    tx.say(f"news.event.{what}", msgspec.json.encode(view))
    return view


def stir(tx: Transaction, event_id: str, now: datetime) -> None:
    """Something happened that asks for a look before the next minute."""
    store.set_event(tx, event_id, stirred_at=now)


def move(
    tx: Transaction,
    event_id: str,
    vens: Iterable[str] | None,
    states: Iterable[RowState],
    to: RowState,
    now: datetime,
    *,
    where: sa.ColumnElement[bool] | None = None,
    **values: object,
) -> int:
    """How many rows were moved."""
    moved = store.move_rows(tx, event_id, vens, states, to, now, where=where, **values)
    metrics.LEDGER.labels(to).inc(moved)
    return moved
