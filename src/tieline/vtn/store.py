"""The tables of the gateway, and their writes: reports, subscriptions, and what its notifier has to remember."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Counter, Instant, Json
from tieline.ports import Transaction
from tieline.wires.openadr31.messages import ReportRequest, SubscriptionRequest

metadata = sa.MetaData()

report = sa.Table(
    "report",
    metadata,
    sa.Column("report_id", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(128), nullable=False),
    sa.Column("program_id", sa.String(128), nullable=False),
    sa.Column("client_id", sa.String(128), nullable=False),
    sa.Column("client_name", sa.String(128), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("request", Json(ReportRequest), nullable=False),
    sa.Column("taken_at", Instant),  # the modified_at of the state that was taken in last
    sa.Index("report_by_creation", "created_at", "report_id"),
    sa.Index("report_by_event", "event_id", "client_id"),
    sa.Index("report_by_client", "client_id", "created_at"),
)

subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("subscription_id", sa.String(64), primary_key=True),
    sa.Column("client_id", sa.String(128), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("request", Json(SubscriptionRequest), nullable=False),
    sa.Column("business", sa.Boolean, nullable=False),  # whether its client was business logic when it wrote it
    sa.Column("dialect", sa.String(16), nullable=False),  # the version of OpenADR in which its client wants to be told
    sa.Index("subscription_by_creation", "created_at", "subscription_id"),
)

notifier = sa.Table(
    "notifier",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("position", Counter, nullable=False),  # on the Log, up to which it has told everything
    sa.Column("said_at", Instant),  # when that was said: another Log has something else there
    sa.Column("worker", sa.String(32)),
    sa.Column("claimed_until_at", Instant),
)

topic_reader = sa.Table(
    "topic_reader",
    metadata,
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("reader_id", sa.String(128), primary_key=True),
)

expectation = sa.Table(
    "expectation",
    metadata,
    sa.Column("event_id", sa.String(128), primary_key=True),
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("descriptor", sa.Integer, primary_key=True, autoincrement=False),  # -1: of none
    sa.Column("turn", sa.BigInteger, primary_key=True, autoincrement=False),  # the time that it was due to be about
    sa.Column("payload_type", sa.String(128)),
    sa.Column("due_at", Instant),  # none: it came unasked, or whenever the VEN liked
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("report_id", sa.String(64)),
    sa.Column("received_at", Instant),
    sa.Index("expectation_by_turn", "event_id", "descriptor", "turn"),
)

judged = sa.Table(
    "judged",
    metadata,
    sa.Column("event_id", sa.String(128), primary_key=True),
    sa.Column("until_at", Instant, nullable=False),  # whatever was due by then and did not come is missing
)


def add(tx: Transaction, table: sa.Table, **values: Any) -> None:
    tx.execute(sa.insert(table).values(**values))


def set_(tx: Transaction, table: sa.Table, id_: str, **values: Any) -> None:
    (key,) = table.primary_key.columns
    tx.execute(sa.update(table).where(key == id_).values(**values))


def remove(tx: Transaction, table: sa.Table, id_: str) -> None:
    (key,) = table.primary_key.columns
    tx.execute(sa.delete(table).where(key == id_))


# --- expectations -----------------------------------------------------------------------------------------------------


def expect(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        tx.execute(sa.insert(expectation), rows)


def meet(tx: Transaction, row: Mapping[str, Any]) -> None:
    """Set a row that is there, by its key."""
    keys = [column.name for column in expectation.primary_key.columns]
    same = sa.and_(*[expectation.c[name] == row[name] for name in keys])
    tx.execute(sa.update(expectation).where(same).values({k: v for k, v in row.items() if k not in keys}))


def judge(tx: Transaction, event_id: str, until_at: datetime) -> None:
    put = insert(judged).values(event_id=event_id, until_at=until_at)
    tx.execute(put.on_conflict_do_update(index_elements=["event_id"], set_={"until_at": put.excluded.until_at}))
