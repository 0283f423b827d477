"""The table of outages, and its writes: rows are added, never changed."""

import sqlalchemy as sa

from tieline.columns import Instant, Json
from tieline.ports import Transaction
from tieline.settlement.outages.model import Outage

metadata = sa.MetaData()

outage = sa.Table(
    "outage",
    metadata,
    sa.Column("outage_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("known_at", Instant, nullable=False),
    sa.Column("start_at", Instant, nullable=False),
    sa.Column("end_at", Instant, nullable=False),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("said_by", sa.String(128), nullable=False),
    sa.Column("ven_ids", Json(tuple[str, ...]), nullable=False),
    sa.Column("ven_id", sa.String(64)),
    sa.Column("resource_id", sa.String(64)),
    sa.Column("site_id", sa.String(64)),
    sa.Column("withdrawn", sa.Boolean, nullable=False),
    sa.Index("outage_by_start", "start_at", "outage_id"),
)


def add(tx: Transaction, new: Outage) -> None:
    tx.execute(sa.insert(outage).values(**{name: getattr(new, name) for name in Outage.__struct_fields__}))
