"""The tables of terms and commitments, and their writes."""

from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from tieline.columns import Instant, Json, Money
from tieline.ports import Transaction
from tieline.settlement.terms.commitments import NewCommitment
from tieline.settlement.terms.model import Terms

metadata = sa.MetaData()

terms = sa.Table(
    "terms",
    metadata,
    sa.Column("program_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("valid_from", sa.Date, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("cited_until", sa.Date),  # the day until which a run was made by them
    sa.Column("body", Json(Terms), nullable=False),
)

commitment = sa.Table(
    "commitment",
    metadata,
    sa.Column("program_id", sa.String(64), primary_key=True),
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("valid_from", sa.Date, primary_key=True),
    sa.Column("known_at", Instant, primary_key=True),
    sa.Column("kw", Money, nullable=False),
)


def put_terms(tx: Transaction, new: Terms, now: datetime) -> None:
    """In the place of those of the same number."""
    tx.execute(sa.delete(terms).where(terms.c.program_id == new.program_id, terms.c.number == new.number))
    tx.execute(
        sa.insert(terms).values(
            program_id=new.program_id, number=new.number, valid_from=new.valid_from, made_at=now, body=new
        )
    )


def cite(tx: Transaction, program_id: str, number: int, until_day: date) -> None:
    of_it = sa.and_(terms.c.program_id == program_id, terms.c.number == number)
    later = sa.or_(terms.c.cited_until.is_(None), terms.c.cited_until < until_day)
    tx.execute(sa.update(terms).where(of_it, later).values(cited_until=until_day))


def add_commitments(tx: Transaction, program_id: str, new: Sequence[NewCommitment], now: datetime) -> None:
    if not new:
        return
    rows = [
        {"program_id": program_id, "ven_id": one.ven_id, "valid_from": one.valid_from, "known_at": now, "kw": one.kw}
        for one in new
    ]
    tx.execute(sa.insert(commitment), rows)
