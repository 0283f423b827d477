"""When each VEN came and went, and what the fleet drew in each step."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _presence()
    _steps()


def _presence() -> None:
    op.create_table(
        "presence",
        sa.Column("ven_id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("since_at", Instant, nullable=False),
        sa.Column("heard_at", Instant, nullable=False),
        sa.Column("said_at", Instant, nullable=False),
        sa.Column("beat_s", sa.Double, nullable=False),
        sa.Column("agent", sa.String(64), nullable=False),
        sa.Column("gone_at", Instant),
        sa.Column("due_at", Instant),
        sa.Column("changed_at", sa.Text, nullable=False),
    )
    op.create_index("presence_by_due", "presence", ["due_at"])
    op.create_index("presence_by_going", "presence", ["gone_at"])
    op.create_table(
        "presence_change",
        sa.Column("id", Counter, primary_key=True),
        sa.Column("ven_id", sa.String(64), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
    )
    op.create_index("presence_change_by_ven", "presence_change", ["ven_id", "id"])
    op.create_index("presence_change_by_age", "presence_change", ["at"])


def _steps() -> None:
    op.create_table(
        "fleet_step",
        sa.Column("start_at", Instant, primary_key=True),
        sa.Column("used_kw", sa.Double),
        sa.Column("controllable_kw", sa.Double),
        sa.Column("shed_kw", sa.Double),
        sa.Column("vens", sa.Integer, nullable=False),
        sa.Column("counted", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "fleet_rollup",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
