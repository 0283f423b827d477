"""Dead letters are replayed: where the message stood, when it was tried again, and what came of it."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("dead_letter", sa.Column("entry_position", sa.BigInteger))
    op.add_column("dead_letter", sa.Column("replayed_at", Instant))
    op.add_column("dead_letter", sa.Column("outcome", sa.String(16)))
