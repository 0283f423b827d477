"""The tables of settlement and their writes: rows are added, never changed."""

from datetime import datetime

import sqlalchemy as sa

from tieline.columns import Instant
from tieline.ports import Transaction
from tieline.settlement.model import FrozenBaseline, Statement, canonical

metadata = sa.MetaData()

frozen_baseline = sa.Table(
    "frozen_baseline",
    metadata,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("known_at", Instant, nullable=False),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # canonical JSON of a FrozenBaseline
    sa.Column("sureness", sa.LargeBinary),  # packed; none where no interval can be told
)

statement = sa.Table(
    "statement",
    metadata,
    sa.Column("statement_id", sa.String(80), primary_key=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("known_at", Instant, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # canonical JSON of a Statement
    sa.Index("statement_by_event", "event_id", "known_at"),
    sa.Index("statement_by_known_at", "known_at", "statement_id"),
)


def put_baseline(tx: Transaction, new: FrozenBaseline, sureness: bytes | None = None) -> None:
    """In the place of the event's one before; with what its intervals are made of, packed."""
    tx.execute(sa.delete(frozen_baseline).where(frozen_baseline.c.event_id == new.event_id))
    tx.execute(
        sa.insert(frozen_baseline).values(
            event_id=new.event_id, known_at=new.known_at, rule=new.rule, body=canonical(new), sureness=sureness
        )
    )


def add_statement(tx: Transaction, new: Statement, now: datetime) -> None:
    """Raises `Conflict` when there is one of that id."""
    tx.execute(
        sa.insert(statement).values(
            statement_id=new.statement_id,
            event_id=new.event_id,
            known_at=new.known_at,
            made_at=now,
            digest=new.digest,
            body=canonical(new),
        )
    )
