"""The tables of dispatch and their writes."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.columns import Instant, Json
from tieline.dispatch.model import Event, LedgerRow, Program, RowState
from tieline.ports import Transaction
from tieline.wires.openadr31.messages import EventRequest, ProgramRequest

metadata = sa.MetaData()

program = sa.Table(
    "program",
    metadata,
    sa.Column("program_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("deleted_at", Instant),  # the doors no longer show it; what was done under it stays on record
    sa.Column("request", Json(ProgramRequest), nullable=False),  # as OpenADR 3.1 says it
    sa.Index("program_by_creation", "created_at", "program_id"),
    sa.Index(
        "program_by_name",
        "name",
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    ),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("program_id", sa.String(64), sa.ForeignKey("program.program_id"), nullable=False),
    sa.Column("start_at", Instant, nullable=False),
    sa.Column("end_at", Instant, nullable=False),
    sa.Column("target_kw", sa.Double, nullable=False),  # 0: it only signals, and nobody is called directly
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("planned_at", Instant),
    sa.Column("replanned_at", Instant),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("deleted_at", Instant),
    sa.Column("request", Json(EventRequest), nullable=False),
    sa.Index("event_by_start", "start_at", "event_id"),
    sa.Index("event_by_creation", "created_at", "event_id"),
    sa.Index("event_by_state", "state", "start_at"),
    sa.Index("event_by_program", "program_id"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("resource_id", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("planned_kw", sa.Double, nullable=False),
    sa.Column("cause", sa.String(400), nullable=False),
    sa.Column("planned_at", Instant, nullable=False),
    sa.Column("answer", sa.String(16)),
    sa.Column("sent_at", Instant),
    sa.Column("last_send_at", Instant),
    sa.Column("acked_at", Instant),
    sa.Column("acting_at", Instant),
    sa.Column("restoring_at", Instant),
    sa.Column("restored_at", Instant),
    sa.Index("ledger_by_state", "state", "event_id"),
)


AT_ONCE = 10_000
"""VENs in one statement: PostgreSQL takes 32,767 parameters."""


def add_program(tx: Transaction, new: Program) -> None:
    tx.execute(sa.insert(program).values(**msgspec.structs.asdict(new)))


def set_program(tx: Transaction, program_id: str, **values: Any) -> None:
    tx.execute(sa.update(program).where(program.c.program_id == program_id).values(**values))


def add_event(tx: Transaction, new: Event) -> None:
    tx.execute(sa.insert(event).values(**msgspec.structs.asdict(new)))


def set_event(tx: Transaction, event_id: str, **values: Any) -> None:
    tx.execute(sa.update(event).where(event.c.event_id == event_id).values(**values))


def add_rows(tx: Transaction, rows: Sequence[LedgerRow]) -> None:
    if rows:
        tx.execute(sa.insert(ledger), [msgspec.structs.asdict(row) for row in rows])


NEVER_SENT = ledger.c.sent_at.is_(None)


def of_loads(resource_ids: Iterable[str]) -> sa.ColumnElement[bool]:
    return ledger.c.resource_id.in_(sorted(resource_ids))


def set_rows(
    tx: Transaction,
    event_id: str,
    ven_ids: Iterable[str],
    states: Iterable[RowState],
    *,
    where: sa.ColumnElement[bool] | None = None,
    **values: Any,
) -> int:
    """Set values on the rows of these VENs that are in one of the states (`where`: only some); how many there were."""
    moved, vens, known = 0, sorted(ven_ids), list(states)
    for first in range(0, len(vens), AT_ONCE):
        some = ledger.c.ven_id.in_(vens[first : first + AT_ONCE])
        update = sa.update(ledger).where(ledger.c.event_id == event_id, some, ledger.c.state.in_(known))
        update = update if where is None else update.where(where)
        moved += tx.execute(update.values(**values)).rowcount
    return moved
