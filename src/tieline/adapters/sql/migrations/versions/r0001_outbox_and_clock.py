"""The outbox, and the one row that anchors a simulated clock."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", Counter, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("said_at", Instant, nullable=False),
    )
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="clock_has_one_row"), primary_key=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("wall", sa.Double, nullable=False),
        sa.Column("speed", sa.Double, nullable=False),
    )
