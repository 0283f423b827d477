"""What others may ask of dispatch. Functions on a Reader join a caller's transaction; those on Rows are whole."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import parse_instant
from tieline.columns import structs
from tieline.dispatch.model import UNFINISHED, Event, EventState, EventView, LedgerRow, Program, RowState, view
from tieline.dispatch.store import event as event_table
from tieline.dispatch.store import ledger, program
from tieline.ports import Reader, Rows


def find_program(reader: Reader, program_id: str, *, deleted: bool = False) -> Program | None:
    """`deleted`: also one that was."""
    query = sa.select(program).where(program.c.program_id == program_id)
    query = query if deleted else query.where(program.c.deleted_at.is_(None))
    return next(iter(structs(Program, reader.execute(query))), None)


def the_program(reader: Reader, program_id: str) -> Program:
    """Raises `NotFound`."""
    if (found := find_program(reader, program_id)) is None:
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


def events_of(reader: Reader, program_id: str) -> list[Event]:
    """Those of a program that were not deleted."""
    query = sa.select(event_table).where(event_table.c.program_id == program_id, event_table.c.deleted_at.is_(None))
    return structs(Event, reader.execute(query.order_by(event_table.c.created_at, event_table.c.event_id)))


def ledger_of(reader: Reader, event_id: str) -> list[LedgerRow]:
    """In order of VEN and load."""
    query = sa.select(ledger).where(ledger.c.event_id == event_id).order_by(ledger.c.ven_id, ledger.c.resource_id)
    return structs(LedgerRow, reader.execute(query))


def rows_of(reader: Reader, event_id: str, ven_id: str) -> list[LedgerRow]:
    """Those of one VEN."""
    query = sa.select(ledger).where(ledger.c.event_id == event_id, ledger.c.ven_id == ven_id)
    return structs(LedgerRow, reader.execute(query))


def the_view(reader: Reader, event_id: str) -> EventView:
    return view(the_event(reader, event_id), ledger_of(reader, event_id))


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


def held_loads(reader: Reader) -> set[tuple[str, str]]:
    """(VEN, load) that some event has not given back: they cannot be called again."""
    query = sa.select(ledger.c.ven_id, ledger.c.resource_id).where(_AT_STAKE)
    return {(row.ven_id, row.resource_id) for row in reader.execute(query)}


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


async def views(rows: Rows, *, after: str = "", limit: int = 100) -> list[EventView]:
    """The newest start first, after (start|id) of the page before."""
    query = sa.select(event_table).order_by(event_table.c.start_at.desc(), event_table.c.event_id.desc()).limit(limit)
    if after:
        query = query.where(_older(after))

    def work(reader: Reader) -> list[EventView]:
        found = structs(Event, reader.execute(query))
        rows_of: dict[str, list[LedgerRow]] = defaultdict(list)
        chosen = sa.select(ledger).where(ledger.c.event_id.in_([one.event_id for one in found]))
        for row in structs(LedgerRow, reader.execute(chosen)):
            rows_of[row.event_id].append(row)
        return [view(one, rows_of[one.event_id]) for one in found]

    return await rows.read(work)


def _older(after: str) -> sa.ColumnElement[bool]:
    start, _, event_id = after.partition("|")
    start_at = parse_instant(start, "cursor")
    return sa.or_(
        event_table.c.start_at < start_at,
        sa.and_(event_table.c.start_at == start_at, event_table.c.event_id < event_id),
    )
