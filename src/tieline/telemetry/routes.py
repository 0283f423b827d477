"""The HTTP door of telemetry: values, charts, the fleet now, dead letters, and the live stream."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, Parameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from tieline.base.errors import Refused
from tieline.base.series import Declaration
from tieline.base.time import Span, instant, iso, parse_instant
from tieline.doors import (
    Cursor,
    Limit,
    Page,
    Search,
    WithLog,
    WithRows,
    WithSeries,
    after,
    csv_response,
    page,
    wants_csv,
)
from tieline.registry import reads as registry
from tieline.telemetry import reads
from tieline.telemetry.chart import Chart, chart
from tieline.telemetry.fleet import Fleet, FleetNow, VenNow
from tieline.telemetry.live import live
from tieline.telemetry.reads import FleetPower, Listed

WithFleet = NamedDependency[SkipValidation[Fleet]]
AsOf = Annotated[datetime | None, Parameter(description="Only what was known at this instant")]


class Reading(msgspec.Struct, frozen=True):
    at: datetime
    value: float
    flags: int
    known_at: datetime


class Values(msgspec.Struct, frozen=True):
    series: Declaration
    start: datetime
    end: datetime
    as_of: datetime | None
    items: list[Reading]
    next_cursor: str | None


@get("/v1/series/{series_id:str}/values")
async def series_values(  # noqa: PLR0913, PLR0917  a door's parameters are its query
    series_id: FromPath[str],
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    rows: WithRows,
    series: WithSeries,
    request: Request[Any, Any, Any],
    as_of: AsOf = None,
    limit: Annotated[int, Parameter(ge=1, le=50_000)] = 5000,
    cursor: Cursor = None,
) -> Values | Response[bytes]:
    """Readings in [start, end) as JSON or, by `Accept: text/csv`, all of them as CSV."""
    declared = await rows.read(lambda reader: registry.the_series(reader, series_id))
    span, known = Span(instant(start), instant(end)), None if as_of is None else instant(as_of)
    last = parse_instant(key, "cursor") if (key := after(cursor)) else None
    found = await reads.values(series, series_id, span, as_of=known, after=last)
    if wants_csv(request):
        header = ["at", f"value_{declared.unit}", "flags", "known_at"]
        lines = ([iso(r["at"]), r["value"], r["flags"], iso(r["known_at"])] for r in found.to_pylist())
        return csv_response(header, lines, series_id)
    some = found.slice(0, limit + 1).select(["at", "value", "flags", "known_at"]).to_pylist()
    paged = page([Reading(**row) for row in some], limit, lambda one: iso(one.at))
    return Values(declared, span.start, span.end, known, paged.items, paged.next_cursor)


@get("/v1/series/{series_id:str}/chart")
async def series_chart(
    series_id: FromPath[str],
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    rows: WithRows,
    series: WithSeries,
    points: Annotated[int, Parameter(ge=10, le=5000)] = 1000,
) -> Chart:
    """At most about `points` points of [start, end), with the extremes of each; null is a gap."""
    declared = await rows.read(lambda reader: registry.the_series(reader, series_id))
    span = Span(instant(start), instant(end))
    return chart(declared, span, await reads.values(series, series_id, span, as_of=None), points)


@get("/v1/fleet")
async def fleet_now(fleet: WithFleet) -> FleetNow:
    return await fleet.now()


@get("/v1/fleet/power")
async def fleet_power(
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    rows: WithRows,
    series: WithSeries,
    step_s: Annotated[float, Parameter(ge=1, le=86400 * 31)] = 60.0,
) -> FleetPower:
    """Mean power of all VENs in steps over [start, end); null where nothing is known."""
    return await reads.fleet_power(rows, series, Span(instant(start), instant(end)), step_s)


@get("/v1/vens")
async def list_vens(
    fleet: WithFleet, limit: Limit = 100, cursor: Cursor = None, q: Search = None, online: FromQuery[bool | None] = None
) -> Page[VenNow]:
    """Registered VENs with their newest values, in order of id."""
    found = await fleet.listed(q=q, after=after(cursor), limit=limit + 1, online=online)
    return page(found, limit, lambda ven: ven.ven_id)


@get("/v1/vens/{ven_id:str}")
async def show_ven(ven_id: FromPath[str], fleet: WithFleet) -> VenNow:
    return await fleet.ven(ven_id)


@get("/v1/dead-letters")
async def list_dead_letters(rows: WithRows, limit: Limit = 100, cursor: Cursor = None) -> Page[Listed]:
    """What was refused and why, the newest first; the bytes are kept under their digest."""
    key = after(cursor)
    if key and not (key.isascii() and key.isdigit()):
        raise Refused(f"cursor {cursor!r} is not one that this list gave")
    found = await reads.dead_letters(rows, before=int(key) if key else None, limit=limit + 1)
    return page(found, limit, lambda letter: str(letter.position))


@get("/v1/live", media_type="text/event-stream")
async def live_stream(
    log: WithLog, rows: WithRows, fleet: WithFleet, request: Request[Any, Any, Any]
) -> ServerSentEvent:
    """Server-sent events: `power` each second; `event` and `statement` as they happen, resumed by Last-Event-ID."""
    last = request.headers.get("last-event-id", "")

    async def messages() -> AsyncIterator[ServerSentEventMessage]:
        async for one in live(log, rows, fleet, int(last) if last.isascii() and last.isdigit() else None):
            yield ServerSentEventMessage(data=one.data, event=one.event, id=one.id)

    return ServerSentEvent(messages())


ROUTES = [
    series_values,
    series_chart,
    fleet_now,
    fleet_power,
    list_vens,
    show_ven,
    list_dead_letters,
    live_stream,
]
