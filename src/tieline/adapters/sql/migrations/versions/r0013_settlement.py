"""Settlement with money: terms of programs, what was committed, runs with their accounts, reviews."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    _terms()
    _runs()
    _proposals()


def _terms() -> None:
    op.create_table(
        "terms",
        sa.Column("program_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("cited_until", sa.Date),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "commitment",
        sa.Column("program_id", sa.String(64), primary_key=True),
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("known_at", Instant, primary_key=True),
        sa.Column("kw", sa.Text, nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "settlement_run",
        sa.Column("run_id", sa.String(96), primary_key=True),
        sa.Column("program_id", sa.String(64), nullable=False),
        sa.Column("from_day", sa.Date, nullable=False),
        sa.Column("until_day", sa.Date, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("known_at", Instant, nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("settlement_run_by_period", "settlement_run", ["program_id", "from_day", "number"], unique=True)
    op.create_index("settlement_run_by_known_at", "settlement_run", ["known_at", "run_id"])
    op.create_table(
        "account",
        sa.Column("run_id", sa.String(96), sa.ForeignKey("settlement_run.run_id"), primary_key=True),
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("total", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "review",
        sa.Column("seq", Counter, primary_key=True),
        sa.Column("run_id", sa.String(96), sa.ForeignKey("settlement_run.run_id"), nullable=False),
        sa.Column("ven_id", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("note", sa.String(2000), nullable=False),
    )
    op.create_index("review_by_run", "review", ["run_id", "seq"])


def _proposals() -> None:
    op.create_table(
        "proposal",
        sa.Column("proposal_id", sa.String(96), primary_key=True),
        sa.Column("program_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("asked_at", Instant, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("done", sa.Double, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text),
        sa.Column("refused", sa.String(1000), nullable=False),
    )
    op.create_index("proposal_by_program", "proposal", ["program_id", "number"], unique=True)
