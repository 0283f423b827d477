"""What said how to read a loaded file, where its form is not one that is known."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("loaded_file", sa.Column("mapping", sa.String(64)))
