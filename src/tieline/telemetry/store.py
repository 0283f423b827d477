"""The dead letters' table and its writes."""

import msgspec
import sqlalchemy as sa

from tieline.columns import Instant
from tieline.ports import Transaction
from tieline.telemetry.model import DeadLetter

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
)


def add(tx: Transaction, position: int, letter: DeadLetter) -> None:
    """Once: the Log may deliver it twice."""
    if tx.execute(sa.select(dead_letter.c.position).where(dead_letter.c.position == position)).first() is None:
        tx.execute(sa.insert(dead_letter).values(position=position, **msgspec.structs.asdict(letter)))
