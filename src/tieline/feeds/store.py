"""The table of loaded files and its writes."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Instant, Json
from tieline.feeds.model import LoadedFile
from tieline.ports import Transaction
from tieline.wires.sources.parsed import Finding, Quarantined

metadata = sa.MetaData()

loaded_file = sa.Table(
    "loaded_file",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # of the parsers
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("loaded_at", Instant, nullable=False),
    sa.Column("quarantined_rows", Json(tuple[Quarantined, ...]), nullable=False),
    sa.Column("findings", Json(tuple[Finding, ...]), nullable=False),
    sa.Column("mapping", sa.String(64)),  # digest of what said how to read it
    sa.Index("loaded_file_by_time", "loaded_at", "digest"),
)


def put_file(tx: Transaction, file: LoadedFile) -> None:
    """Record how a file ended; what a newer parser makes of the same bytes takes the place of the older record."""
    new = msgspec.structs.asdict(file)
    tx.execute(insert(loaded_file).values(new).on_conflict_do_update(index_elements=["digest"], set_=new))
