"""The tables of dispatch and their writes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.columns import Counter, Instant, Json
from tieline.dispatch.model import Event, LedgerRow, Level, Program, RowState, Rules, VenCall
from tieline.dispatch.told import Ahead, Delivery, PlanTold
from tieline.ports import Transaction
from tieline.wires.mqtt.messages import Answer, Limit, Op
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
    sa.Column("rules", Json(Rules), nullable=False, server_default="{}"),
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
    sa.Column("looked_at", Instant),
    sa.Column("stirred_at", Instant),
    sa.Column("returning_at", Instant),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("modified_at", Instant, nullable=False),
    sa.Column("deleted_at", Instant),
    sa.Column("request", Json(EventRequest), nullable=False),
    sa.Column("profile", Json(list[Level])),
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
    sa.Column("metered_at", Instant),
    sa.Column("restoring_at", Instant),
    sa.Column("restored_at", Instant),
    sa.Column("escalated_at", Instant),
    sa.Column("delivered_kw", sa.Double),
    sa.Column("limit_kw", sa.Double, nullable=False, server_default="0"),
    sa.Column("reference_kw", sa.Double, nullable=False, server_default="0"),
    sa.Column("run_min", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reference_at", Instant),
    sa.Column("opted_out_from_at", Instant),
    sa.Index("ledger_by_state", "state", "event_id"),
    sa.Index(
        "ledger_by_opt_out",
        "event_id",
        "opted_out_from_at",
        sqlite_where=sa.text("opted_out_from_at IS NOT NULL"),
        postgresql_where=sa.text("opted_out_from_at IS NOT NULL"),
    ),
)

step = sa.Table(
    "ledger_step",
    metadata,
    sa.Column("seq", Counter, primary_key=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("ven_id", sa.String(64), nullable=False),
    sa.Column("resource_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("cause", sa.String(400), nullable=False),
    sa.Index("ledger_step_by_ven", "event_id", "ven_id", "seq"),
)

call = sa.Table(
    "ven_call",
    metadata,
    sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
    sa.Column("ven_id", sa.String(64), primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("op", sa.String(16), nullable=False),
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("start_at", Instant, nullable=False),
    sa.Column("end_at", Instant, nullable=False),
    sa.Column("limits", Json(list[Limit]), nullable=False),
    sa.Column("said_at", Instant, nullable=False),
    sa.Column("answer", sa.String(16)),
    sa.Column("answered_at", Instant),
    sa.Column("anew", sa.Boolean, nullable=False),
)

plan = sa.Table(
    "plan",
    metadata,
    sa.Column("plan_id", Counter, primary_key=True),
    sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("target_kw", sa.Double, nullable=False),
    sa.Column("expected_kw", sa.Double, nullable=False),
    sa.Column("headroom_kw", sa.Double, nullable=False),
    sa.Column("called_kw", sa.Double, nullable=False),
    sa.Column("called", sa.Integer, nullable=False),
    sa.Column("released", sa.Integer, nullable=False),
    sa.Column("cost", sa.Double, nullable=False),
    sa.Column("gap", sa.Double, nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("ahead", Json(list[Ahead])),
    sa.Column("why", sa.LargeBinary),  # of every load, compressed; of old plans no longer
    sa.Index("plan_by_event", "event_id", "plan_id"),
)

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("event_id", sa.String(64), sa.ForeignKey("event.event_id"), primary_key=True),
    sa.Column("at", Instant, primary_key=True),
    sa.Column("target_kw", sa.Double, nullable=False),
    sa.Column("delivered_kw", sa.Double, nullable=False),
    sa.Column("expected_kw", sa.Double, nullable=False),
    sa.Column("headroom_kw", sa.Double, nullable=False),
    sa.Column("held", sa.Integer, nullable=False),
)


AT_ONCE = 10_000
"""VENs in one statement: PostgreSQL takes 32,767 parameters."""
Vens = tuple[str, str]
"""The first and the last of some VENs, in the order of the database."""


def add_program(tx: Transaction, new: Program) -> None:
    tx.execute(sa.insert(program).values(**msgspec.structs.asdict(new)))


def set_program(tx: Transaction, program_id: str, **values: Any) -> None:
    tx.execute(sa.update(program).where(program.c.program_id == program_id).values(**values))


def add_event(tx: Transaction, new: Event) -> None:
    tx.execute(sa.insert(event).values(**msgspec.structs.asdict(new)))


def set_event(tx: Transaction, event_id: str, **values: Any) -> None:
    tx.execute(sa.update(event).where(event.c.event_id == event_id).values(**values))


def add_row(tx: Transaction, row: LedgerRow) -> None:
    """One that was never called."""
    tx.execute(sa.insert(ledger).values(**msgspec.structs.asdict(row)))
    _add_steps(tx, _of_load(row.event_id, row.ven_id, row.resource_id))


def plan_rows(tx: Transaction, event_id: str, loads: Iterable[Mapping[str, Any]], at: datetime) -> int:
    """Each load that is called, with what its row says of it; how many. One that was given back earlier in the event
    begins anew; its steps tell of the time before."""
    same = {"event_id": event_id, "state": RowState.PLANNED, "cause": "", "planned_at": at}
    if rows := [{**same, **load} for load in loads]:
        _put(tx, ledger, rows)
        planned = sa.and_(ledger.c.state == RowState.PLANNED, ledger.c.planned_at == at)
        _add_steps(tx, sa.and_(ledger.c.event_id == event_id, planned))
    return len(rows)


def _put(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each instead of the one before of the same key, whole: what it does not say is NULL."""
    put = insert(table)
    anew = {column.name: put.excluded[column.name] for column in table.c if not column.primary_key}
    put = put.on_conflict_do_update(index_elements=list(table.primary_key), set_=anew)
    tx.execute(put, rows)


def _add_steps(tx: Transaction, chosen: sa.ColumnElement[bool], **values: sa.ColumnElement[Any]) -> None:
    """The states that rows enter, or are in; `values` where they differ from the rows'."""
    said = {"state": ledger.c.state, "at": ledger.c.planned_at, "cause": ledger.c.cause} | values
    keys = (ledger.c.event_id, ledger.c.ven_id, ledger.c.resource_id)
    told = sa.select(*keys, *said.values()).where(chosen).order_by(ledger.c.ven_id, ledger.c.resource_id)
    tx.execute(sa.insert(step).from_select([*(key.name for key in keys), *said], told))


def _of_load(event_id: str, ven_id: Any, resource_id: Any) -> sa.ColumnElement[bool]:
    return sa.and_(ledger.c.event_id == event_id, ledger.c.ven_id == ven_id, ledger.c.resource_id == resource_id)


NEVER_SENT = ledger.c.sent_at.is_(None)
UNANSWERED = ledger.c.answer.is_(None)
HELD_NOTHING = sa.and_(ledger.c.answer.is_not(None), ledger.c.answer != Answer.ACCEPTED)


def restoring_by(at: datetime) -> sa.ColumnElement[bool]:
    return ledger.c.restoring_at <= at


def returning_by(event_id: str, at: datetime) -> sa.ColumnElement[bool]:
    """Of VENs that were told to come back by then."""
    return ledger.c.ven_id.in_(sa.select(call.c.ven_id).where(call.c.event_id == event_id, call.c.end_at <= at))


def among(vens: Vens) -> sa.ColumnElement[bool]:
    return ledger.c.ven_id.between(*vens)


def told_at(event_id: str, vens: Vens, at: datetime) -> sa.ColumnElement[bool]:
    """Of these VENs those that were told something at that instant."""
    told = sa.select(call.c.ven_id).where(call.c.event_id == event_id, call.c.said_at == at)
    return ledger.c.ven_id.in_(told.where(call.c.ven_id.between(*vens)))


def opted_out_by(at: datetime) -> sa.ColumnElement[bool]:
    return ledger.c.opted_out_from_at <= at


def of_loads(resource_ids: Iterable[str]) -> sa.ColumnElement[bool]:
    return ledger.c.resource_id.in_(sorted(resource_ids))


def not_of_loads(resource_ids: Iterable[str]) -> sa.ColumnElement[bool]:
    return ledger.c.resource_id.not_in(sorted(resource_ids))


def set_rows(
    tx: Transaction,
    event_id: str,
    ven_ids: Iterable[str] | None,
    states: Iterable[RowState],
    *,
    where: sa.ColumnElement[bool] | None = None,
    **values: Any,
) -> int:
    """Set values on the rows of these VENs (None: of all) that are in one of the states (`where`: only some); how many
    there were."""
    return sum(
        tx.execute(sa.update(ledger).where(chosen).values(**values)).rowcount
        for chosen in _chosen(event_id, ven_ids, states, where)
    )


def move_rows(
    tx: Transaction,
    event_id: str,
    ven_ids: Iterable[str] | None,
    states: Iterable[RowState],
    to: RowState,
    at: datetime,
    *,
    where: sa.ColumnElement[bool] | None = None,
    **values: Any,
) -> int:
    """The same into another state, each with its step."""
    moved = 0
    said: dict[str, Any] = {"state": sa.literal(to, sa.String), "at": sa.literal(at, Instant)}
    if "cause" in values:
        said["cause"] = sa.literal(values["cause"], sa.String)
    for chosen in _chosen(event_id, ven_ids, states, where):
        _add_steps(tx, chosen, **said)
        moved += tx.execute(sa.update(ledger).where(chosen).values(state=to, **values)).rowcount
    return moved


def _chosen(
    event_id: str, ven_ids: Iterable[str] | None, states: Iterable[RowState], where: sa.ColumnElement[bool] | None
) -> Iterator[sa.ColumnElement[bool]]:
    """The rows, in as many portions as statements can take."""
    these = [ledger.c.event_id == event_id, ledger.c.state.in_(list(states)), *([] if where is None else [where])]
    if ven_ids is None:
        yield sa.and_(*these)
        return
    vens = sorted(ven_ids)
    for first in range(0, len(vens), AT_ONCE):
        yield sa.and_(*these, ledger.c.ven_id.in_(vens[first : first + AT_ONCE]))


def set_delivered(tx: Transaction, event_id: str, seen: Mapping[tuple[str, str], float]) -> None:
    """What loads are seen to give up, in kW, by (VEN, resource)."""
    if seen:
        one = _of_load(event_id, sa.bindparam("of_ven"), sa.bindparam("of_resource"))
        rows = [{"of_ven": ven, "of_resource": load, "kw": kw} for (ven, load), kw in seen.items()]
        tx.execute(sa.update(ledger).where(one).values(delivered_kw=sa.bindparam("kw")), rows)


# --- commands to VENs -------------------------------------------------------------------------------------------------


def put_calls(tx: Transaction, calls: Sequence[VenCall]) -> None:
    """The newest command to each VEN, instead of the one before."""
    if calls:
        _put(tx, call, [msgspec.structs.asdict(one) for one in calls])


def set_calls(tx: Transaction, event_id: str, ven_ids: Iterable[str], **values: Any) -> None:
    vens = sorted(ven_ids)
    for first in range(0, len(vens), AT_ONCE):
        some = call.c.ven_id.in_(vens[first : first + AT_ONCE])
        tx.execute(sa.update(call).where(call.c.event_id == event_id, some).values(**values))


def move_calls(tx: Transaction, event_id: str, start_at: datetime, end_at: datetime) -> None:
    """Another window for all who are held: to be said anew."""
    holding = sa.and_(call.c.event_id == event_id, call.c.op == Op.EVENT)
    tx.execute(sa.update(call).where(holding).values(start_at=start_at, end_at=end_at, anew=True))
    given_back = sa.and_(call.c.event_id == event_id, call.c.op == Op.RESTORE)
    tx.execute(sa.update(call).where(given_back).values(start_at=start_at, end_at=end_at))


def set_returns(tx: Transaction, event_id: str, return_at: Mapping[str, datetime]) -> None:
    """When each of these VENs comes back: to be said anew."""
    if return_at:
        one = sa.and_(call.c.event_id == event_id, call.c.ven_id == sa.bindparam("of_ven"))
        update = sa.update(call).where(one).values(end_at=sa.bindparam("back_at"), anew=True)
        tx.execute(update, [{"of_ven": ven_id, "back_at": at} for ven_id, at in return_at.items()])


# --- what is told of a look -------------------------------------------------------------------------------------------


def add_plan(tx: Transaction, event_id: str, made: PlanTold, why: bytes, *, keep: int) -> None:
    """Of older plans than the newest `keep`, and the first, only the sums are kept."""
    values = msgspec.structs.asdict(made)
    del values["plan_id"]
    tx.execute(sa.insert(plan).values(event_id=event_id, why=why, **values))
    of_event = sa.select(plan.c.plan_id).where(plan.c.event_id == event_id)
    newest = of_event.order_by(plan.c.plan_id.desc()).limit(keep)
    first = of_event.order_by(plan.c.plan_id).limit(1)
    old = plan.c.plan_id.not_in(sa.union(sa.select(newest.subquery()), sa.select(first.subquery())))
    tx.execute(sa.update(plan).where(plan.c.event_id == event_id, old).values(why=None))


def put_delivery(tx: Transaction, event_id: str, seen: Delivery) -> None:
    values = msgspec.structs.asdict(seen)
    put = insert(delivery).values(event_id=event_id, **values)
    tx.execute(put.on_conflict_do_update(index_elements=["event_id", "at"], set_=values))
