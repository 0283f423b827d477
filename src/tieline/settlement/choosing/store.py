"""The table of proposals, and its writes."""

from datetime import datetime

import sqlalchemy as sa

from tieline.columns import Instant, Json
from tieline.ports import Transaction
from tieline.settlement.choosing.model import Evidence, NewProposal, State

metadata = sa.MetaData()

proposal = sa.Table(
    "proposal",
    metadata,
    sa.Column("proposal_id", sa.String(96), primary_key=True),
    sa.Column("program_id", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("done", sa.Double, nullable=False),
    sa.Column("asked", Json(NewProposal), nullable=False),
    sa.Column("evidence", Json(Evidence)),
    sa.Column("refused", sa.String(1000), nullable=False),
    sa.Index("proposal_by_program", "program_id", "number", unique=True),
)


def add(tx: Transaction, proposal_id: str, program_id: str, number: int, asked: NewProposal, now: datetime) -> None:
    values = {"proposal_id": proposal_id, "program_id": program_id, "number": number, "asked_at": now}
    tx.execute(sa.insert(proposal).values(**values, state=State.ASKED, done=0.0, asked=asked, refused=""))


def note(tx: Transaction, proposal_id: str, done: float) -> None:
    tx.execute(sa.update(proposal).where(_open(proposal_id)).values(done=done))


def make(tx: Transaction, proposal_id: str, evidence: Evidence) -> None:
    tx.execute(sa.update(proposal).where(_open(proposal_id)).values(state=State.MADE, done=1.0, evidence=evidence))


def refuse(tx: Transaction, proposal_id: str, why: str) -> None:
    tx.execute(sa.update(proposal).where(_open(proposal_id)).values(state=State.REFUSED, done=1.0, refused=why[:1000]))


def _open(proposal_id: str) -> sa.ColumnElement[bool]:
    """What was made, or refused, stays as it is."""
    return sa.and_(proposal.c.proposal_id == proposal_id, proposal.c.state == State.ASKED)
