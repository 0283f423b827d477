"""Opting out from an instant on; how far the clock of a VEN is off."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("opted_out_from_at", Instant))
    some = sa.text("opted_out_from_at IS NOT NULL")
    op.create_index(
        "ledger_by_opt_out", "ledger", ["event_id", "opted_out_from_at"], sqlite_where=some, postgresql_where=some
    )
    op.add_column("presence", sa.Column("clock_off_s", sa.Double))
