"""The tables of telemetry and their writes: the dead letters, and what reports gave."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Instant
from tieline.ports import Reader, Transaction
from tieline.telemetry.model import REFUSED, TAKEN, Dead, DeadLetter, detail_of

metadata = sa.MetaData()

dead_letter = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),  # in the Log
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.String(1000), nullable=False),
    sa.Column("said_at", Instant, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("excerpt", sa.String(400), nullable=False),
    sa.Column("ven_id", sa.String(64)),
    sa.Column("entry_position", sa.BigInteger),  # of the message itself, in the stream that it came by
    sa.Column("replayed_at", Instant),  # when it was last tried again
    sa.Column("outcome", sa.String(16)),  # of that: TAKEN or REFUSED
)

reported = sa.Table(
    "reported_reading",
    metadata,
    sa.Column("series_id", sa.String(400), primary_key=True),
    sa.Column("at", Instant, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("flags", sa.Integer, nullable=False),  # what the report says of it, not how late it came
    sa.Column("stated_at", Instant, nullable=False),  # when the report was made or changed that said so last
    sa.Index("reported_reading_by_age", "at"),
)


def add(tx: Transaction, position: int, letter: DeadLetter) -> None:
    """Once: the Log may deliver it twice."""
    if tx.execute(sa.select(dead_letter.c.position).where(dead_letter.c.position == position)).first() is None:
        tx.execute(sa.insert(dead_letter).values(position=position, **msgspec.structs.asdict(letter)))


def put_outcome(tx: Transaction, position: int, now: datetime, dead: Dead | None) -> None:
    """Of a letter that was replayed; what was taken once stays so."""
    said = {"outcome": REFUSED, "reason": dead.reason, "detail": detail_of(dead)} if dead else {"outcome": TAKEN}
    mine = sa.update(dead_letter).where(dead_letter.c.position == position)
    untaken = mine.where(dead_letter.c.outcome.is_distinct_from(TAKEN))
    tx.execute(untaken.values(replayed_at=now, **said))


def outlived(reader: Reader, before: datetime) -> Sequence[str]:
    """The digests of dead letters from before an instant that none since then has."""
    digest, said_at = dead_letter.c.digest, dead_letter.c.said_at
    old, kept = sa.select(digest).where(said_at < before), sa.select(digest).where(said_at >= before)
    return reader.execute(old.except_(kept)).scalars().all()


def forget_letters(tx: Transaction, before: datetime) -> None:
    tx.execute(sa.delete(dead_letter).where(dead_letter.c.said_at < before))


def put_reported(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """The newest that reports say of these (series, at)."""
    if rows:
        put = insert(reported)
        said = {name: put.excluded[name] for name in ("value", "flags", "stated_at")}
        tx.execute(put.on_conflict_do_update(index_elements=["series_id", "at"], set_=said), rows)


def forget_reported(tx: Transaction, before: datetime) -> None:
    tx.execute(sa.delete(reported).where(reported.c.at < before))
