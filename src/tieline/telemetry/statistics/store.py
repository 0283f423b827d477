"""The tables of the statistics and their writes: the fleet's sums by step, and how far the Log is in them."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Instant
from tieline.ports import Transaction
from tieline.telemetry.statistics.model import Step

metadata = sa.MetaData()

fleet_step = sa.Table(
    "fleet_step",
    metadata,
    sa.Column("start_at", Instant, primary_key=True),
    sa.Column("used_kw", sa.Double),
    sa.Column("controllable_kw", sa.Double),
    sa.Column("shed_kw", sa.Double),
    sa.Column("vens", sa.Integer, nullable=False),
    sa.Column("counted", sa.Integer, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),  # of the Log's readings: all up to it are in the sums
)

fleet_rollup = sa.Table(
    "fleet_rollup",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)


def put(tx: Transaction, steps: Sequence[Step], position: int) -> None:
    """What knows more of the Log stands over what knows less, whichever process comes last."""
    if not steps:
        return
    new = insert(fleet_step)
    named = {name: new.excluded[name] for name in (*Step.__struct_fields__[1:], "position")}
    newer = new.excluded.position >= fleet_step.c.position
    put_ = new.on_conflict_do_update(index_elements=["start_at"], set_=named, where=newer)
    tx.execute(put_, [msgspec.structs.asdict(one) | {"position": position} for one in steps])


def advance(tx: Transaction, name: str, position: int) -> None:
    new = insert(fleet_rollup)
    newer = new.excluded.position > fleet_rollup.c.position
    tx.execute(
        new.on_conflict_do_update(index_elements=["name"], set_={"position": new.excluded.position}, where=newer),
        [{"name": name, "position": position}],
    )
