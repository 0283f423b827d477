"""The HTTP door of settlement: frozen baselines, statements, and the readings behind them."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, Parameter

from tieline.base.time import iso, parse_instant
from tieline.dispatch import reads as dispatch
from tieline.doors import (
    Cursor,
    Limit,
    Page,
    WithBlobs,
    WithClock,
    WithRows,
    WithSeries,
    after,
    csv_response,
    page,
    wants_csv,
)
from tieline.settlement import actions, proof, reads
from tieline.settlement.avoided import Avoided, avoided
from tieline.settlement.intervals import Interval
from tieline.settlement.model import LeftOut, Statement, StatementLine, Summary
from tieline.telemetry.routes import Reading

LAG_S = 1.0
"""Of the wall: what was taken before the instant of knowledge may still be on its way into Series."""


class BaselineView(msgspec.Struct, frozen=True):
    """The fleet's frozen baseline: mean power by step, the sum over the VENs that have one."""

    event_id: str
    rule: str
    known_at: datetime | None
    start_at: datetime
    end_at: datetime
    step_s: int
    at: list[float]
    baseline_kw: list[float]
    vens: int
    left_out: list[LeftOut]


@get("/v1/events/{event_id:str}/baseline")
async def show_baseline(event_id: FromPath[str], rows: WithRows) -> BaselineView:
    """The baseline frozen at the event's start; until then `known_at` is null and there are no steps."""
    event = await dispatch.event(rows, event_id)
    frozen = await rows.read(lambda reader: reads.find_baseline(reader, event_id))
    if frozen is None:
        return BaselineView(event_id, "", None, event.start_at, event.end_at, 0, [], [], 0, [])
    return BaselineView(
        frozen.event_id,
        frozen.rule,
        frozen.known_at,
        frozen.start_at,
        frozen.end_at,
        frozen.step_s,
        frozen.at,
        frozen.fleet_kw,
        len(frozen.vens),
        frozen.left_out,
    )


@post("/v1/events/{event_id:str}/settle")
async def settle_again(
    event_id: FromPath[str], rows: WithRows, series: WithSeries, blobs: WithBlobs, clock: WithClock
) -> Summary:
    """Settle with what is known now: a restatement where anything changed, else the newest statement as it is.

    Statements are made by themselves; this is for readings that came, or were corrected, afterwards.
    """
    known_at = clock.now()
    await asyncio.sleep(LAG_S)
    made = await actions.settle(event_id, rows=rows, series=series, blobs=blobs, clock=clock, known_at=known_at)
    return made.summary()


@get("/v1/statements")
async def list_statements(
    rows: WithRows,
    event_id: Annotated[str | None, Parameter(description="Only those of this event")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Summary]:
    found = await reads.summaries(rows, event_id=event_id, after=after(cursor), limit=limit + 1)
    return page(found, limit, reads.place)


@get("/v1/statements/{statement_id:str}")
async def show_statement(
    statement_id: FromPath[str], rows: WithRows, request: Request[Any, Any, Any]
) -> Statement | Response[bytes]:
    """The statement with its lines; as text/csv the lines alone, one a VEN."""
    found = await rows.read(lambda reader: reads.the_statement(reader, statement_id))
    if not wants_csv(request):
        return found
    header = StatementLine.__struct_fields__
    cells = (
        [None if cell is msgspec.UNSET else cell for cell in msgspec.structs.astuple(line)] for line in found.lines
    )
    return csv_response(header, list(cells), statement_id)


@get("/v1/statements/{statement_id:str}/readings")
async def list_readings(
    statement_id: FromPath[str],
    rows: WithRows,
    series: WithSeries,
    ven_id: Annotated[str, Parameter(description="The VEN whose line it is")],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Reading]:
    """The very readings behind a line, as they were known when the statement was made."""
    columns = ["at", "value", "flags", "known_at"]
    table = (await reads.readings(rows, series, statement_id, ven_id)).select(columns)
    found = [Reading(**row) for row in table.to_pylist()]
    if last := after(cursor):
        from_at = parse_instant(last, "cursor")
        found = [reading for reading in found if reading.at > from_at]
    return page(found, limit, lambda reading: iso(reading.at))


@get("/v1/statements/{statement_id:str}/intervals")
async def list_intervals(
    statement_id: FromPath[str],
    rows: WithRows,
    blobs: WithBlobs,
    request: Request[Any, Any, Any],
    ven_id: Annotated[str | None, Parameter(description="The VEN whose line it is; none: all that are settled")] = None,
) -> Page[Interval] | Response[bytes]:
    """What a line, or the statement, is the sum of, five minutes by five minutes; what no reading covers is a gap. Also
    as text/csv."""
    found = await proof.intervals(rows, blobs, statement_id, ven_id)
    if not wants_csv(request):
        return Page(found)
    cells = [msgspec.structs.astuple(one) for one in found]
    return csv_response(Interval.__struct_fields__, cells, f"{statement_id}-{ven_id or 'all'}-intervals")


@get("/v1/statements/{statement_id:str}/loads")
async def list_loads(
    statement_id: FromPath[str],
    rows: WithRows,
    series: WithSeries,
    ven_id: Annotated[str, Parameter(description="The VEN whose line it is")],
) -> Page[proof.LoadProof]:
    """What each load that was called drew before and during the event, by its own meter, where it has one."""
    return Page(await proof.loads(rows, series, statement_id, ven_id))


@get("/v1/statements/{statement_id:str}/explanation")
async def explain_line(
    statement_id: FromPath[str],
    rows: WithRows,
    blobs: WithBlobs,
    ven_id: Annotated[str, Parameter(description="The VEN whose line it is")],
) -> proof.LineExplained:
    """A line down to its intervals, the days behind its baseline, and how many readings it is made of."""
    return await proof.explain(rows, blobs, statement_id, ven_id)


@get("/v1/statements/{statement_id:str}/avoided")
async def show_avoided(
    statement_id: FromPath[str],
    rows: WithRows,
    series: WithSeries,
    blobs: WithBlobs,
    series_id: Annotated[str, Parameter(description="A price or an intensity of emissions, per MWh")],
) -> Avoided:
    """What the event avoided by a series: cost at a market's price, or emissions at a marginal intensity."""
    return await avoided(rows, series, blobs, statement_id, series_id)


ROUTES = [
    show_baseline,
    settle_again,
    list_statements,
    show_statement,
    list_readings,
    list_intervals,
    list_loads,
    explain_line,
    show_avoided,
]
