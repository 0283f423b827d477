"""The certificate authority of the MQTT door."""

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "authority",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("certificate_pem", sa.Text, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
