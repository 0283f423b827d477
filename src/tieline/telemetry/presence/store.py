"""The tables of presence and their writes: how each VEN stands, and how it came to."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Counter, Instant, Json
from tieline.ports import Transaction
from tieline.telemetry.presence.model import Policy, Standing, due_at

metadata = sa.MetaData()

presence = sa.Table(
    "presence",
    metadata,
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Column("since_at", Instant, nullable=False),
    sa.Column("heard_at", Instant, nullable=False),
    sa.Column("said_at", Instant, nullable=False),  # on the wall's clock, the broker's: orders messages
    sa.Column("beat_s", sa.Double, nullable=False),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("gone_at", Instant),
    sa.Column("due_at", Instant),
    sa.Column("changed_at", Json(tuple[datetime, ...]), nullable=False),
    sa.Column("clock_off_s", sa.Double),
    sa.Index("presence_by_due", "due_at"),
    sa.Index("presence_by_going", "gone_at"),
)

presence_change = sa.Table(
    "presence_change",
    metadata,
    sa.Column("id", Counter, primary_key=True),
    sa.Column("ven_id", sa.String(64), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Index("presence_change_by_ven", "ven_id", "id"),
    sa.Index("presence_change_by_age", "at"),
)


def put(tx: Transaction, standings: Sequence[Standing], policy: Policy) -> None:
    if not standings:
        return
    rows = [msgspec.structs.asdict(one) | {"due_at": due_at(one, policy)} for one in standings]
    new = insert(presence)
    changed = {column.name: new.excluded[column.name] for column in presence.columns if not column.primary_key}
    tx.execute(new.on_conflict_do_update(index_elements=["ven_id"], set_=changed), rows)


def add_changes(tx: Transaction, moved: Sequence[Standing]) -> None:
    rows = [{"ven_id": one.ven_id, "at": one.since_at, "state": one.state, "cause": one.cause} for one in moved]
    if rows:
        tx.execute(sa.insert(presence_change), rows)


def forget_changes(tx: Transaction, before: datetime) -> None:
    tx.execute(sa.delete(presence_change).where(presence_change.c.at < before))
