"""The keys that sign documents of settlement."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "settlement_key",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("x", sa.String(64), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("retired_at", Instant),
    )
