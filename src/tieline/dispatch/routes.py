"""The HTTP door of dispatch: programs, events and their ledger."""

from typing import Any

from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from tieline.base.time import iso, parse_instant
from tieline.dispatch import publishing, reads
from tieline.dispatch.model import (
    EventChange,
    EventView,
    LedgerRow,
    NewEvent,
    NewProgram,
    Program,
    ProgramChange,
    ProgramView,
    Step,
)
from tieline.dispatch.told import Delivery, PlanShown, Why
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, csv_response, page, wants_csv

MOST_LOOKS = 100_000
"""Of one event: a day of minutes, and all that stirs."""


@post("/v1/programs")
async def add_program(data: JSONBody[NewProgram], rows: WithRows, clock: WithClock) -> ProgramView:
    now = clock.now()
    return _view(await rows.transaction(lambda tx: publishing.add_program(tx, data, now)))


@get("/v1/programs")
async def list_programs(rows: WithRows, limit: Limit = 100, cursor: Cursor = None) -> Page[ProgramView]:
    found = [_view(one) for one in await reads.programs(rows, after=after(cursor), limit=limit + 1)]
    return page(found, limit, lambda one: one.program_id)


@patch("/v1/programs/{program_id:str}")
async def change_program(program_id: FromPath[str], data: JSONBody[ProgramChange], rows: WithRows) -> ProgramView:
    """Its rules: how often VENs may be called, and how they come back."""
    return _view(await rows.transaction(lambda tx: publishing.change_program(tx, program_id, data)))


def _view(program: Program) -> ProgramView:
    targets = list(program.request.targets or ())
    return ProgramView(program.program_id, program.name, program.created_at, targets, program.rules)


@post("/v1/events")
async def publish_event(data: JSONBody[NewEvent], rows: WithRows, clock: WithClock) -> EventView:
    """Call an event: VENs are chosen by their metered headroom a minute before its start, or at once."""
    now = clock.now()
    return await rows.transaction(lambda tx: publishing.publish(tx, data, now))


@get("/v1/events")
async def list_events(rows: WithRows, limit: Limit = 100, cursor: Cursor = None) -> Page[EventView]:
    """The newest start first."""
    found = await reads.views(rows, after=after(cursor), limit=limit + 1)
    return page(found, limit, lambda event: f"{iso(event.start_at)}|{event.event_id}")


@get("/v1/events/{event_id:str}")
async def show_event(event_id: FromPath[str], rows: WithRows) -> EventView:
    return await rows.read(lambda reader: reads.the_view(reader, event_id))


@patch("/v1/events/{event_id:str}")
async def change_event(
    event_id: FromPath[str], data: JSONBody[EventChange], rows: WithRows, clock: WithClock
) -> EventView:
    """Ask for more or less, or for longer or shorter: more is called or given back at once."""
    now = clock.now()
    return await rows.transaction(lambda tx: publishing.change(tx, event_id, data, now))


@post("/v1/events/{event_id:str}/cancel", status_code=200)
async def cancel_event(event_id: FromPath[str], rows: WithRows, clock: WithClock) -> EventView:
    """Stop the event: whatever it holds is given back at once."""
    now = clock.now()
    return await rows.transaction(lambda tx: publishing.cancel(tx, event_id, now))


@get("/v1/events/{event_id:str}/ledger")
async def show_ledger(
    event_id: FromPath[str], rows: WithRows, request: Request[Any, Any, Any]
) -> Page[LedgerRow] | Response[bytes]:
    """Every load of the event: what it was asked, what it answered, when it was given back."""
    await reads.event(rows, event_id)
    ledger = await rows.read(lambda reader: reads.ledger_of(reader, event_id))
    if wants_csv(request):
        fields = LedgerRow.__struct_fields__
        return csv_response(fields, [[getattr(row, name) for name in fields] for row in ledger], f"ledger-{event_id}")
    return Page(ledger)


@get("/v1/events/{event_id:str}/ledger/{ven_id:str}")
async def show_steps(event_id: FromPath[str], ven_id: FromPath[str], rows: WithRows) -> Page[Step]:
    """All that the loads of one VEN went through in the event, each state with its time and cause."""
    await reads.event(rows, event_id)
    return Page(await rows.read(lambda reader: reads.steps_of(reader, event_id, ven_id)))


@get("/v1/events/{event_id:str}/plan")
async def show_plan(
    event_id: FromPath[str],
    rows: WithRows,
    plan_id: FromQuery[int | None] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> PlanShown:
    """The event's plans, the newest first, and why each load was called or not by one of them (`plan_id`; otherwise the
    newest that called somebody)."""
    await reads.event(rows, event_id)
    plans = await rows.read(lambda reader: reads.plans_of(reader, event_id))
    newest = next((one.plan_id for one in plans if one.called), None)
    if (chosen := plan_id or newest) is None:
        return PlanShown(plans, None, [])
    whys = await rows.read(lambda reader: reads.why(reader, event_id, chosen))
    shown = page([one for one in whys if _place(one) > after(cursor)][: limit + 1], limit, _place)
    return PlanShown(plans, chosen, shown.items, shown.next_cursor)


def _place(one: Why) -> str:
    return f"{one.ven_id}|{one.resource_id}"


@get("/v1/events/{event_id:str}/delivery")
async def show_delivery(
    event_id: FromPath[str], rows: WithRows, request: Request[Any, Any, Any], limit: Limit = 1000, cursor: Cursor = None
) -> Page[Delivery] | Response[bytes]:
    """Minute by minute: what was asked, what was given up as metered, what else could have been called."""
    await reads.event(rows, event_id)
    since = parse_instant(after(cursor), "cursor") if cursor else None
    if wants_csv(request):
        seen = await rows.read(lambda reader: reads.deliveries(reader, event_id, limit=MOST_LOOKS))
        fields = Delivery.__struct_fields__
        return csv_response(fields, [[getattr(one, name) for name in fields] for one in seen], f"delivery-{event_id}")
    seen = await rows.read(lambda reader: reads.deliveries(reader, event_id, since, limit + 1))
    return page(seen, limit, lambda one: iso(one.at))


ROUTES = [
    add_program,
    list_programs,
    change_program,
    publish_event,
    list_events,
    show_event,
    change_event,
    cancel_event,
    show_ledger,
    show_steps,
    show_plan,
    show_delivery,
]
