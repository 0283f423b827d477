"""The credential table and its writes."""

from datetime import datetime

import sqlalchemy as sa

from tieline.columns import Instant
from tieline.ports import Transaction

metadata = sa.MetaData()

credential = sa.Table(
    "credential",
    metadata,
    sa.Column("subject", sa.String(64), primary_key=True),  # whose it is: a VEN id
    sa.Column("secret_digest", sa.String(64), nullable=False),
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("revoked_at", Instant),
)


def replace(tx: Transaction, subject: str, secret_digest: str, now: datetime) -> None:
    """One secret a subject: a new one ends the old one."""
    tx.execute(sa.delete(credential).where(credential.c.subject == subject))
    tx.execute(sa.insert(credential).values(subject=subject, secret_digest=secret_digest, issued_at=now))


def revoke(tx: Transaction, subject: str, now: datetime) -> None:
    tx.execute(sa.update(credential).where(credential.c.subject == subject).values(revoked_at=now))
