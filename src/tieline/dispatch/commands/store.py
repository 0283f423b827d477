"""The table of direct commands and its writes."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.columns import Instant, Json
from tieline.dispatch.commands.model import CommandState, DirectCommand, NewCommand
from tieline.ports import Transaction
from tieline.wires.mqtt.messages import Scalar

metadata = sa.MetaData()

command = sa.Table(
    "command",
    metadata,
    sa.Column("command_id", sa.String(96), primary_key=True),
    sa.Column("ven_id", sa.String(64), nullable=False),
    sa.Column("op", sa.String(16), nullable=False),
    sa.Column("request", Json(NewCommand), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("last_send_at", Instant),
    sa.Column("answered_at", Instant),
    sa.Column("reason", sa.String(400), nullable=False),
    sa.Column("values", Json(dict[str, Scalar])),
    sa.Index("command_by_issue", "issued_at", "command_id"),
    sa.Index("command_by_ven", "ven_id", "issued_at", "command_id"),
    sa.Index("command_by_state", "state", "issued_at", "command_id"),
)


def add(tx: Transaction, new: Sequence[DirectCommand]) -> None:
    if new:
        tx.execute(sa.insert(command), [msgspec.structs.asdict(one) for one in new])


def forget(tx: Transaction, command_ids: Sequence[str]) -> int:
    return tx.execute(sa.delete(command).where(command.c.command_id.in_(command_ids))).rowcount


def set_(tx: Transaction, command_ids: Sequence[str], states: Sequence[CommandState], **values: Any) -> int:
    """Set values on those of the commands that are in one of the states; how many there were."""
    chosen = sa.and_(command.c.command_id.in_(command_ids), command.c.state.in_(states))
    return tx.execute(sa.update(command).where(chosen).values(**values)).rowcount
