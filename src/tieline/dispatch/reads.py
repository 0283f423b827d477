"""What others may ask of dispatch. Functions on a Reader join a caller's transaction; those on Rows are whole."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import parse_instant
from tieline.columns import structs
from tieline.dispatch.calling import Asked
from tieline.dispatch.metered import HeldSpan
from tieline.dispatch.model import (
    HELD,
    LONGEST,
    UNFINISHED,
    Event,
    EventState,
    EventView,
    LedgerRow,
    Program,
    RowState,
    Step,
    Sums,
    VenCall,
    view,
)
from tieline.dispatch.store import AT_ONCE, Vens, call, delivery, ledger, opted_out_by, plan, program, step
from tieline.dispatch.store import event as event_table
from tieline.dispatch.told import Delivery, PlanTold, Why, unpacked
from tieline.ports import Reader, Rows
from tieline.wires.mqtt.messages import Answer, Op


def find_program(reader: Reader, program_id: str, *, deleted: bool = False) -> Program | None:
    """`deleted`: also one that was."""
    query = sa.select(program).where(program.c.program_id == program_id)
    query = query if deleted else query.where(program.c.deleted_at.is_(None))
    return next(iter(structs(Program, reader.execute(query))), None)


def the_program(reader: Reader, program_id: str, *, deleted: bool = False) -> Program:
    """Raises `NotFound`."""
    if (found := find_program(reader, program_id, deleted=deleted)) is None:
        raise NotFound(f"there is no program {program_id!r}")
    return found


def program_named(reader: Reader, name: str) -> Program | None:
    query = sa.select(program).where(program.c.name == name, program.c.deleted_at.is_(None))
    return next(iter(structs(Program, reader.execute(query))), None)


def shown_programs(reader: Reader) -> list[Program]:
    """All that were not deleted, in order of creation and id."""
    query = sa.select(program).where(program.c.deleted_at.is_(None))
    return structs(Program, reader.execute(query.order_by(program.c.created_at, program.c.program_id)))


def find_event(reader: Reader, event_id: str) -> Event | None:
    return next(
        iter(structs(Event, reader.execute(sa.select(event_table).where(event_table.c.event_id == event_id)))), None
    )


def the_event(reader: Reader, event_id: str) -> Event:
    """Raises `NotFound`."""
    if (found := find_event(reader, event_id)) is None:
        raise NotFound(f"there is no event {event_id!r}")
    return found


def the_shown_event(reader: Reader, event_id: str) -> Event:
    """One that was not deleted. Raises `NotFound`."""
    found = find_event(reader, event_id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"there is no event {event_id!r}")
    return found


def shown_events(reader: Reader) -> list[Event]:
    """All that were not deleted, in order of creation and id."""
    query = sa.select(event_table).where(event_table.c.deleted_at.is_(None))
    return structs(Event, reader.execute(query.order_by(event_table.c.created_at, event_table.c.event_id)))


def shown_counts(reader: Reader) -> tuple[int, int]:
    """How many programs and events there are that were not deleted."""
    shown = [sa.select(sa.func.count()).where(table.c.deleted_at.is_(None)) for table in (program, event_table)]
    programs, events = (reader.execute(query).scalar_one() for query in shown)
    return programs, events


def events_of(reader: Reader, program_id: str, *, deleted: bool = False) -> list[Event]:
    """Those of a program; `deleted`: also those that were."""
    query = sa.select(event_table).where(event_table.c.program_id == program_id)
    query = query if deleted else query.where(event_table.c.deleted_at.is_(None))
    return structs(Event, reader.execute(query.order_by(event_table.c.created_at, event_table.c.event_id)))


def ledger_of(reader: Reader, event_id: str) -> list[LedgerRow]:
    """In order of VEN and load."""
    query = sa.select(ledger).where(ledger.c.event_id == event_id).order_by(ledger.c.ven_id, ledger.c.resource_id)
    return structs(LedgerRow, reader.execute(query))


def rows_of(reader: Reader, event_id: str, ven_id: str) -> list[LedgerRow]:
    """Those of one VEN."""
    query = sa.select(ledger).where(ledger.c.event_id == event_id, ledger.c.ven_id == ven_id)
    return structs(LedgerRow, reader.execute(query))


def calls_to(reader: Reader, event_id: str, ven_ids: Collection[str]) -> dict[str, VenCall]:
    """The last command of an event to each of these VENs."""
    found: dict[str, VenCall] = {}
    for some in _portions(ven_ids):
        query = sa.select(call).where(call.c.event_id == event_id, call.c.ven_id.in_(some))
        found |= {one.ven_id: one for one in structs(VenCall, reader.execute(query))}
    return found


def asked(reader: Reader, event_id: str, vens: Vens, again: datetime) -> dict[str, list[Asked]]:
    """What an event asks of the loads of each of these VENs that may have something to be told."""
    found: dict[str, list[Asked]] = defaultdict(list)
    columns = (ledger.c.ven_id, ledger.c.resource_id, ledger.c.state, ledger.c.limit_kw)
    chosen = ledger.c.ven_id.in_(_unsettled(event_id, again, vens))
    query = sa.select(*columns).where(ledger.c.event_id == event_id, chosen).order_by(*columns[:2])
    rows: Iterable[Any] = reader.execute(query)
    for ven_id, resource_id, state, limit_kw in rows:
        found[ven_id].append(Asked(resource_id, RowState(state), limit_kw))
    return found


def last_calls(reader: Reader, event_id: str, vens: Vens, again: datetime) -> dict[str, VenCall]:
    """The last command to each of the same."""
    chosen = call.c.ven_id.in_(_unsettled(event_id, again, vens))
    query = sa.select(call).where(call.c.event_id == event_id, chosen)
    return {one.ven_id: one for one in structs(VenCall, reader.execute(query))}


def _portions(ven_ids: Collection[str]) -> Iterator[list[str]]:
    vens = sorted(ven_ids)
    for first in range(0, len(vens), AT_ONCE):
        yield vens[first : first + AT_ONCE]


_UNSAID = (RowState.PLANNED, RowState.SENT, RowState.RESTORING)


def unsettled_vens(reader: Reader, event_id: str, again: datetime) -> list[str]:
    """Those that may have something to be told, or, as nothing was said since `again`, told again; in the order of the
    database."""
    return list(reader.execute(_unsettled(event_id, again).order_by("ven_id")).scalars())


def _unsettled(event_id: str, again: datetime, vens: Vens | None = None) -> sa.CompoundSelect[tuple[str]]:
    due = sa.or_(
        ledger.c.state == RowState.PLANNED,
        sa.and_(ledger.c.state == RowState.RESTORING, call.c.op == Op.EVENT),
        call.c.said_at <= again,
    )
    last = sa.and_(call.c.event_id == ledger.c.event_id, call.c.ven_id == ledger.c.ven_id)
    rows = sa.select(ledger.c.ven_id).outerjoin(call, last).where(ledger.c.event_id == event_id)
    rows = rows.where(ledger.c.state.in_(_UNSAID), due)
    anew = sa.select(call.c.ven_id).where(call.c.event_id == event_id, call.c.anew.is_(True))
    if vens is not None:
        rows, anew = rows.where(ledger.c.ven_id.between(*vens)), anew.where(call.c.ven_id.between(*vens))
    return sa.union(rows, anew)


def returning_vens(reader: Reader, event_id: str, ven_ids: Collection[str]) -> set[str]:
    """Those of them with loads that are being given back, or should have been."""
    states = (RowState.RESTORING, RowState.ESCALATED)
    query = sa.select(ledger.c.ven_id).where(ledger.c.event_id == event_id, ledger.c.state.in_(states)).distinct()
    return {row.ven_id for row in reader.execute(query)} & set(ven_ids)


def leaves(reader: Reader, event_id: str, now: datetime) -> bool:
    """Whether the instant has come from which on loads that are held opted out."""
    held = ledger.c.state.in_([RowState.SENT, *HELD])
    query = sa.select(ledger.c.ven_id).where(ledger.c.event_id == event_id, held, opted_out_by(now))
    return reader.execute(query.limit(1)).first() is not None


def counts(reader: Reader, event_id: str) -> dict[RowState, int]:
    """How many rows of an event are in each state; those in none are left out."""
    query = sa.select(ledger.c.state, sa.func.count().label("rows")).where(ledger.c.event_id == event_id)
    return {RowState(row.state): row.rows for row in reader.execute(query.group_by(ledger.c.state))}


def _sums(reader: Reader, event_ids: Collection[str]) -> dict[str, list[Sums]]:
    totals = (
        sa.func.count().label("rows"),
        sa.func.sum(ledger.c.planned_kw).label("planned_kw"),
        sa.func.sum(ledger.c.delivered_kw).label("delivered_kw"),
    )
    groups = (ledger.c.event_id, ledger.c.state, ledger.c.answer)
    query = sa.select(*groups, *totals).where(ledger.c.event_id.in_(list(event_ids))).group_by(*groups)
    found: dict[str, list[Sums]] = defaultdict(list)
    for row in reader.execute(query):
        found[row.event_id].append(Sums(row.state, row.answer, row.rows, row.planned_kw, row.delivered_kw))
    return found


def the_view(reader: Reader, event_id: str) -> EventView:
    return view(the_event(reader, event_id), _sums(reader, [event_id])[event_id])


def steps_of(reader: Reader, event_id: str, ven_id: str) -> list[Step]:
    """All that the loads of a VEN went through in an event, in order."""
    query = sa.select(step).where(step.c.event_id == event_id, step.c.ven_id == ven_id)
    return structs(Step, reader.execute(query.order_by(step.c.seq)))


def plans_of(reader: Reader, event_id: str, limit: int = 100) -> list[PlanTold]:
    """The newest first."""
    query = sa.select(plan).where(plan.c.event_id == event_id).order_by(plan.c.plan_id.desc()).limit(limit)
    return structs(PlanTold, reader.execute(query))


def why(reader: Reader, event_id: str, plan_id: int) -> list[Why]:
    """Why each load was called by a plan, or not. Raises `NotFound`, also where the reasons are no longer kept."""
    query = sa.select(plan.c.why).where(plan.c.event_id == event_id, plan.c.plan_id == plan_id)
    if (packed := reader.execute(query).scalar_one_or_none()) is None:
        raise NotFound(f"event {event_id!r} keeps no reasons of plan {plan_id}: of the first and the newest it does")
    return unpacked(packed)


def deliveries(reader: Reader, event_id: str, after: datetime | None = None, limit: int = 1000) -> list[Delivery]:
    """What was asked and given at each look, after an instant."""
    query = sa.select(delivery).where(delivery.c.event_id == event_id)
    query = query if after is None else query.where(delivery.c.at > after)
    return structs(Delivery, reader.execute(query.order_by(delivery.c.at).limit(limit)))


_AT_STAKE = sa.and_(
    ledger.c.state.in_(UNFINISHED), sa.or_(ledger.c.state != RowState.OPTED_OUT, ledger.c.sent_at.is_not(None))
)
"""Rows of loads that are held, or may be; one that opted out before it was called never was."""


def unfinished(reader: Reader, now: datetime) -> list[Event]:
    """Calls that are open, or closed with loads not yet given back; and signals whose start or end has come."""
    pending = event_table.c.event_id.in_(sa.select(ledger.c.event_id).where(_AT_STAKE))
    scheduled = event_table.c.state == EventState.SCHEDULED
    active = event_table.c.state == EventState.ACTIVE
    called = sa.and_(event_table.c.target_kw > 0, sa.or_(scheduled, active))
    begins = sa.and_(scheduled, event_table.c.start_at <= now)
    ends = sa.and_(active, event_table.c.end_at <= now)
    return structs(Event, reader.execute(sa.select(event_table).where(sa.or_(called, begins, ends, pending))))


def held_loads(reader: Reader, but: str = "") -> set[tuple[str, str]]:
    """(VEN, load) that some event (`but` that one) has not given back: they cannot be called again."""
    query = sa.select(ledger.c.ven_id, ledger.c.resource_id).where(_AT_STAKE, ledger.c.event_id != but)
    return {(row.ven_id, row.resource_id) for row in reader.execute(query)}


def opted_out_loads(reader: Reader, event_id: str) -> set[tuple[str, str]]:
    """(VEN, load) whose owner opted out of an event, be it from later on."""
    out = sa.and_(ledger.c.event_id == event_id, ledger.c.opted_out_from_at.is_not(None))
    return {
        (row.ven_id, row.resource_id)
        for row in reader.execute(sa.select(ledger.c.ven_id, ledger.c.resource_id).where(out))
    }


def held_since(reader: Reader, since: datetime) -> list[HeldSpan]:
    """Of all that was held after an instant."""
    over_at = sa.func.coalesce(event_table.c.ended_at, event_table.c.end_at)
    lately = sa.select(event_table.c.event_id).where(over_at > since - LONGEST)  # the ledger keeps years
    query = sa.select(ledger.c.ven_id, ledger.c.resource_id, ledger.c.sent_at, ledger.c.restored_at).where(
        ledger.c.event_id.in_(lately),
        ledger.c.sent_at.is_not(None),
        ledger.c.planned_at > since - LONGEST,
        sa.or_(ledger.c.restored_at.is_(None), ledger.c.restored_at > since),
    )
    rows: Iterable[Any] = reader.execute(query)
    return [HeldSpan((ven_id, resource_id), sent_at, back_at) for ven_id, resource_id, sent_at, back_at in rows]


def called_since(reader: Reader, program_id: str, since: datetime, but: str) -> list[tuple[str, datetime, datetime]]:
    """(VEN, start, end) of all calls of a program (`but` that event) that VENs accepted, for events that began after an
    instant; once for each event and VEN."""
    ends = sa.func.coalesce(event_table.c.ended_at, event_table.c.end_at).label("until_at")
    query = (
        sa.select(ledger.c.ven_id, event_table.c.start_at, ends)
        .join(event_table, event_table.c.event_id == ledger.c.event_id)
        .where(event_table.c.program_id == program_id, event_table.c.event_id != but)
        .where(event_table.c.start_at > since, ledger.c.answer == Answer.ACCEPTED)
        .distinct()
    )
    return [(row.ven_id, row.start_at, row.until_at) for row in reader.execute(query)]


def times_called(reader: Reader, program_id: str, since: datetime, but: str) -> dict[str, int]:
    """The same counted, by VEN."""
    query = (
        sa.select(ledger.c.ven_id, sa.func.count(sa.distinct(ledger.c.event_id)).label("times"))
        .join(event_table, event_table.c.event_id == ledger.c.event_id)
        .where(event_table.c.program_id == program_id, event_table.c.event_id != but)
        .where(event_table.c.start_at > since, ledger.c.answer == Answer.ACCEPTED)
        .group_by(ledger.c.ven_id)
    )
    return {row.ven_id: row.times for row in reader.execute(query)}


async def programs(rows: Rows, *, after: str = "", limit: int = 100) -> list[Program]:
    """Those not deleted, in order of id, after an id."""
    query = sa.select(program).where(program.c.program_id > after, program.c.deleted_at.is_(None))
    ordered = query.order_by(program.c.program_id).limit(limit)
    return await rows.read(lambda reader: structs(Program, reader.execute(ordered)))


async def event(rows: Rows, event_id: str) -> Event:
    """Raises `NotFound`."""
    return await rows.read(lambda reader: the_event(reader, event_id))


async def calls(rows: Rows, states: Iterable[EventState] = tuple(EventState)) -> list[Event]:
    """Events that called the fleet and are in those states, in order of their start."""
    query = sa.select(event_table).where(event_table.c.target_kw > 0, event_table.c.state.in_(list(states)))
    return await rows.read(
        lambda reader: structs(Event, reader.execute(query.order_by(event_table.c.start_at, event_table.c.event_id)))
    )


async def participants(rows: Rows, event_id: str) -> dict[str, list[LedgerRow]]:
    """The ledger of an event by VEN."""
    found: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in await rows.read(lambda reader: ledger_of(reader, event_id)):
        found[row.ven_id].append(row)
    return dict(found)


async def called_vens(rows: Rows, event_id: str) -> set[str]:
    """Who stands in the ledger of an event."""
    query = sa.select(ledger.c.ven_id).where(ledger.c.event_id == event_id).distinct()
    return await rows.read(lambda reader: set(reader.execute(query).scalars()))


async def views(rows: Rows, *, after: str = "", limit: int = 100) -> list[EventView]:
    """The newest start first, after (start|id) of the page before."""
    query = sa.select(event_table).order_by(event_table.c.start_at.desc(), event_table.c.event_id.desc()).limit(limit)
    if after:
        query = query.where(_older(after))

    def work(reader: Reader) -> list[EventView]:
        found = structs(Event, reader.execute(query))
        sums = _sums(reader, [one.event_id for one in found])
        return [view(one, sums[one.event_id]) for one in found]

    return await rows.read(work)


def _older(after: str) -> sa.ColumnElement[bool]:
    start, _, event_id = after.partition("|")
    start_at = parse_instant(start, "cursor")
    return sa.or_(
        event_table.c.start_at < start_at,
        sa.and_(event_table.c.start_at == start_at, event_table.c.event_id < event_id),
    )
