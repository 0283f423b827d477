"""How sure the baselines of an event are, kept beside them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("frozen_baseline", sa.Column("sureness", sa.LargeBinary))
