"""What operators commanded, and what was answered."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "command",
        sa.Column("command_id", sa.String(96), primary_key=True),
        sa.Column("ven_id", sa.String(64), nullable=False),
        sa.Column("op", sa.String(16), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("issued_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("last_send_at", Instant),
        sa.Column("answered_at", Instant),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("values", sa.Text),
    )
    op.create_index("command_by_issue", "command", ["issued_at", "command_id"])
    op.create_index("command_by_ven", "command", ["ven_id", "issued_at", "command_id"])
    op.create_index("command_by_state", "command", ["state", "issued_at", "command_id"])
