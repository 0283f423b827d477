"""What others may ask of dispatch. Functions on a Reader join a caller's transaction; those on Rows are whole."""

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import parse_instant
from tieline.columns import structs
from tieline.dispatch.model import UNFINISHED, Event, EventState, EventView, LedgerRow, Program, view
from tieline.dispatch.store import event as event_table
from tieline.dispatch.store import ledger, program
from tieline.ports import Reader, Rows


def find_program(reader: Reader, program_id: str) -> Program | None:
    return next(
        iter(structs(Program, reader.execute(sa.select(program).where(program.c.program_id == program_id)))), None
    )


def find_event(reader: Reader, event_id: str) -> Event | None:
    return next(
        iter(structs(Event, reader.execute(sa.select(event_table).where(event_table.c.event_id == event_id)))), None
    )


def the_event(reader: Reader, event_id: str) -> Event:
    """Raises `NotFound`."""
    if (found := find_event(reader, event_id)) is None:
        raise NotFound(f"there is no event {event_id!r}")
    return found


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


def unfinished(reader: Reader) -> list[Event]:
    """Events that are open, or closed with loads not yet given back."""
    pending = sa.select(ledger.c.event_id).where(ledger.c.state.in_(UNFINISHED))
    open_ = event_table.c.state.in_([EventState.SCHEDULED, EventState.ACTIVE])
    return structs(
        Event, reader.execute(sa.select(event_table).where(sa.or_(open_, event_table.c.event_id.in_(pending))))
    )


def held_loads(reader: Reader) -> set[tuple[str, str]]:
    """(VEN, load) that some event has not given back: they cannot be called again."""
    query = sa.select(ledger.c.ven_id, ledger.c.resource_id).where(ledger.c.state.in_(UNFINISHED))
    return {(row.ven_id, row.resource_id) for row in reader.execute(query)}


async def programs(rows: Rows, *, after: str = "", limit: int = 100) -> list[Program]:
    query = sa.select(program).where(program.c.program_id > after).order_by(program.c.program_id).limit(limit)
    return await rows.read(lambda reader: structs(Program, reader.execute(query)))


async def event(rows: Rows, event_id: str) -> Event:
    """Raises `NotFound`."""
    return await rows.read(lambda reader: the_event(reader, event_id))


async def events(rows: Rows, states: Iterable[EventState] = tuple(EventState)) -> list[Event]:
    """In those states, in order of their start."""
    query = sa.select(event_table).where(event_table.c.state.in_(list(states)))
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
