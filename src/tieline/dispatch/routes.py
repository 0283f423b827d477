"""The HTTP door of dispatch: programs, events and their ledger."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from tieline.base.time import iso
from tieline.dispatch import publishing, reads
from tieline.dispatch.model import EventView, LedgerRow, NewEvent, NewProgram, Program, ProgramView
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, csv_response, page, wants_csv


@post("/v1/programs")
async def add_program(data: JSONBody[NewProgram], rows: WithRows, clock: WithClock) -> ProgramView:
    now = clock.now()
    return _view(await rows.transaction(lambda tx: publishing.add_program(tx, data, now)))


@get("/v1/programs")
async def list_programs(rows: WithRows, limit: Limit = 100, cursor: Cursor = None) -> Page[ProgramView]:
    found = [_view(one) for one in await reads.programs(rows, after=after(cursor), limit=limit + 1)]
    return page(found, limit, lambda one: one.program_id)


def _view(program: Program) -> ProgramView:
    return ProgramView(program.program_id, program.name, program.created_at, list(program.request.targets or ()))


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


ROUTES = [add_program, list_programs, publish_event, list_events, show_event, cancel_event, show_ledger]
