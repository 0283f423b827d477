"""Forecasts made, how well they did, and whose turn it is to make them."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Counter, Instant

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "forecast_run",
        sa.Column("run_id", Counter, primary_key=True),
        sa.Column("forecast_id", sa.String(200), nullable=False),
        sa.Column("horizon", sa.String(16), nullable=False),
        sa.Column("made_at", Instant, nullable=False),
        sa.Column("start_at", Instant, nullable=False),
        sa.Column("end_at", Instant, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("method", sa.String(32)),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("devices", sa.Integer, nullable=False),
        sa.Column("took_s", sa.Double, nullable=False),
        sa.Column("scored_at", Instant),
    )
    op.create_index("forecast_run_by_subject", "forecast_run", ["forecast_id", "horizon", "made_at"])
    op.create_index("forecast_run_by_end", "forecast_run", ["scored_at", "end_at"])
    op.create_table(
        "forecast_score",
        sa.Column("run_id", sa.BigInteger, sa.ForeignKey("forecast_run.run_id"), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.Double, nullable=False)
            for name in ("actual_kw", "pinball_kw", "squared_kw2", "error_kw", "coverage")
        ),
    )
    op.create_table(
        "forecast_turn",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("done_at", Instant),
        sa.Column("asked", sa.Boolean, nullable=False),
        sa.Column("taken_until_at", Instant),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
