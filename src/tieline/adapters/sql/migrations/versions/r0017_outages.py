"""Outages: spans in which a VEN's load was not its own, version by version; what plans count on ahead."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "outage",
        sa.Column("outage_id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("known_at", Instant, nullable=False),
        sa.Column("start_at", Instant, nullable=False),
        sa.Column("end_at", Instant, nullable=False),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("said_by", sa.String(128), nullable=False),
        sa.Column("ven_ids", sa.Text, nullable=False),
        sa.Column("ven_id", sa.String(64)),
        sa.Column("resource_id", sa.String(64)),
        sa.Column("site_id", sa.String(64)),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Index("outage_by_start", "start_at", "outage_id"),
    )
    op.add_column("plan", sa.Column("ahead", sa.Text))
