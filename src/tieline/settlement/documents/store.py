"""The table of the keys that sign documents, and its writes."""

from datetime import datetime

import sqlalchemy as sa

from tieline.columns import Instant
from tieline.ports import Reader, Transaction

metadata = sa.MetaData()

settlement_key = sa.Table(
    "settlement_key",
    metadata,
    sa.Column("kid", sa.String(64), primary_key=True),
    sa.Column("x", sa.String(64), nullable=False),  # its public half, for ever: what it signed is to be checked
    sa.Column("sealed_key", sa.LargeBinary),  # gone once it is retired
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("retired_at", Instant),
)


def add_key(tx: Transaction, kid: str, x: str, sealed_key: bytes, now: datetime) -> None:
    tx.execute(sa.insert(settlement_key).values(kid=kid, x=x, sealed_key=sealed_key, created_at=now))


def retire_keys(tx: Transaction, now: datetime) -> None:
    """Those in use; their private halves are forgotten."""
    used = settlement_key.c.retired_at.is_(None)
    tx.execute(sa.update(settlement_key).where(used).values(retired_at=now, sealed_key=None))


def key_in_use(reader: Reader) -> tuple[str, bytes] | None:
    """Its id and its sealed private half."""
    query = sa.select(settlement_key.c.kid, settlement_key.c.sealed_key).where(settlement_key.c.retired_at.is_(None))
    found = reader.execute(query).first()
    return None if found is None else (found.kid, found.sealed_key)


def public_keys(reader: Reader) -> list[tuple[str, str]]:
    """Id and public half of every key that ever signed, the newest first."""
    query = sa.select(settlement_key.c.kid, settlement_key.c.x)
    found = reader.execute(query.order_by(settlement_key.c.created_at.desc(), settlement_key.c.kid))
    return [(one.kid, one.x) for one in found]
