"""Claims: the right to enrol one VEN; of each credential which one of its VEN's it is; and one for every VEN.

A device may enrol for any VEN that is not retired, whoever registered it: each has a credential, though nobody may know
its secret. One that was retired has none: no claim can be made for it.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    _credentials()
    _claims()


def _credentials() -> None:
    for column in (
        sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
        sa.Column("enrolled_at", Instant),
        sa.Column("paused_until_at", Instant),
    ):
        op.add_column("credential", column)
    credential = sa.table(
        "credential",
        sa.column("subject", sa.String),
        sa.column("secret_digest", sa.String),
        sa.column("generation", sa.Integer),
        sa.column("issued_at", Instant),
    )
    ven = sa.table("ven", sa.column("ven_id"), sa.column("created_at", Instant), sa.column("retired_at", Instant))
    retired = sa.select(ven.c.ven_id).where(ven.c.retired_at.is_not(None))
    op.execute(sa.delete(credential).where(credential.c.subject.in_(retired)))
    known = sa.select(credential.c.subject)
    without = sa.select(ven.c.ven_id, ven.c.created_at).where(ven.c.retired_at.is_(None), ven.c.ven_id.not_in(known))
    new = [
        {"subject": one.ven_id, "secret_digest": secrets.token_hex(32), "generation": 1, "issued_at": one.created_at}
        for one in op.get_bind().execute(without)
    ]
    if new:
        op.bulk_insert(credential, new)


def _claims() -> None:
    op.create_table(
        "claim",
        sa.Column("claim_id", sa.String(24), primary_key=True),
        sa.Column("ven_id", sa.String(64), nullable=False),
        sa.Column("secret_digest", sa.String(64), nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("used_at", Instant),
        sa.Column("key_digest", sa.String(64)),
        sa.Column("generation", sa.Integer),
        sa.Column("revoked_at", Instant),
    )
    op.create_index("claim_by_ven", "claim", ["ven_id"])
