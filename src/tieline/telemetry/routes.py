"""The HTTP door of telemetry: charts, the fleet now, dead letters, and the live stream."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter, QueryParameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from tieline.base.errors import Refused
from tieline.base.time import Span, instant
from tieline.doors import (
    Cursor,
    Limit,
    Page,
    Search,
    WithLog,
    WithRows,
    WithSeries,
    after,
    page,
)
from tieline.registry import reads as registry
from tieline.telemetry import reads
from tieline.telemetry.chart import Chart, chart
from tieline.telemetry.fleet import GONE, Fleet, FleetNow, Statistics
from tieline.telemetry.live import live
from tieline.telemetry.presence import reads as presence
from tieline.telemetry.presence.model import State
from tieline.telemetry.presence.reads import Change
from tieline.telemetry.reads import FleetPower, Listed
from tieline.telemetry.replay import Letter, Letters
from tieline.telemetry.statistics import reads as statistics
from tieline.telemetry.statistics.model import STEP_S, Step
from tieline.telemetry.statistics.reads import History
from tieline.telemetry.statistics.rollup import rebuilt
from tieline.telemetry.sums import By, VenNow

WithFleet = NamedDependency[SkipValidation[Fleet]]
WithLetters = NamedDependency[SkipValidation[Letters]]


class Reading(msgspec.Struct, frozen=True):
    """As doors tell it that give readings beside something else."""

    at: datetime
    value: float
    flags: int
    known_at: datetime


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


@get("/v1/fleet/statistics")
async def fleet_statistics(
    fleet: WithFleet, by: FromQuery[By | None] = None, limit: Limit = 100, cursor: Cursor = None
) -> Statistics:
    """The network now: what is used, could still be shed and is shed; in total, and by group in order of key."""
    found = await fleet.statistics(by)
    key = after(cursor)
    paged = page([one for one in found.groups if one.key > key][: limit + 1], limit, lambda one: one.key)
    return msgspec.structs.replace(found, groups=paged.items, next_cursor=paged.next_cursor)


@get("/v1/fleet/statistics/history")
async def fleet_statistics_history(
    start: FromQuery[datetime], end: FromQuery[datetime], rows: WithRows, step_s: FromQuery[int] = STEP_S
) -> History:
    """The network by step, as kept: whole steps of five minutes, or of a multiple of them."""
    return await statistics.history(rows, Span(instant(start), instant(end)), step_s)


class Rebuild(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which steps to make again from raw readings; `verify`: only say which would differ."""

    start: datetime
    end: datetime
    verify: bool = False


class Rebuilt(msgspec.Struct, frozen=True):
    """How many steps were made again, and those that came to something else than what was kept."""

    steps: int
    differing: list[Step]


@post("/v1/fleet/statistics/rebuild", status_code=200)
async def rebuild_statistics(data: JSONBody[Rebuild], rows: WithRows, series: WithSeries, fleet: WithFleet) -> Rebuilt:
    """Make steps of the history again from raw readings: of at most an hour at once."""
    span = Span(instant(data.start), instant(data.end))
    if span.hours > 1:
        raise Refused(f"{span.hours:g} hours: at most one at once")
    return Rebuilt(*await rebuilt(rows, series, span, fleet.tail.position, write=not data.verify))


@get("/v1/vens")
async def list_vens(
    fleet: WithFleet,
    limit: Limit = 100,
    cursor: Cursor = None,
    q: Search = None,
    standing: Annotated[State | None, QueryParameter(name="state", description="Only VENs in this state")] = None,
    online: FromQuery[bool | None] = None,
) -> Page[VenNow]:
    """Registered VENs with their newest values, in order of id; those of a state, or online (late ones too) or not."""
    states = _states(online) if standing is None else [standing]
    found = await fleet.listed(q=q, after=after(cursor), limit=limit + 1, states=states)
    return page(found, limit, lambda ven: ven.ven_id)


def _states(online: bool | None) -> list[State] | None:
    return None if online is None else [one for one in State if (one not in GONE) == online]


@get("/v1/vens/{ven_id:str}")
async def show_ven(ven_id: FromPath[str], fleet: WithFleet) -> VenNow:
    return await fleet.ven(ven_id)


@get("/v1/vens/{ven_id:str}/presence")
async def ven_presence(
    ven_id: FromPath[str], rows: WithRows, limit: Limit = 100, cursor: Cursor = None
) -> Page[Change]:
    """When it came and went in the last 90 days, the newest first; nothing of a VEN that does not say so."""
    await rows.read(lambda reader: registry.the_ven(reader, ven_id))
    found = await presence.changes(rows, ven_id, before=_number(cursor), limit=limit + 1)
    return page(found, limit, lambda one: str(one.id))


@get("/v1/dead-letters")
async def list_dead_letters(
    rows: WithRows,
    limit: Limit = 100,
    cursor: Cursor = None,
    ven_id: FromQuery[str | None] = None,
    reason: FromQuery[str | None] = None,
    open_only: Annotated[bool, QueryParameter(name="open", description="Only those not taken since")] = False,
) -> Page[Listed]:
    """What was refused and why, the newest first; the bytes are kept under their digest."""
    which = reads.Which(ven_id, reason, open_only)
    found = await reads.dead_letters(rows, before=_number(cursor), limit=limit + 1, which=which)
    return page(found, limit, lambda letter: str(letter.position))


@get("/v1/dead-letters/{position:int}")
async def show_dead_letter(position: FromPath[int], letters: WithLetters) -> Letter:
    """One, with its bytes."""
    return await letters.show(position)


@post("/v1/dead-letters/{position:int}/replay", status_code=200)
async def replay_dead_letter(position: FromPath[int], letters: WithLetters) -> Listed:
    """Take the message once more, after what was wrong has been mended; the outcome is kept on the letter."""
    return await letters.replay(position)


def _number(cursor: str | None) -> int | None:
    """What a cursor of a list by number stands for. Raises `Refused`."""
    key = after(cursor)
    if key and not (key.isascii() and key.isdigit() and len(key) < 19):
        raise Refused(f"cursor {cursor!r} is not one that this list gave")
    return int(key) if key else None


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
    series_chart,
    fleet_now,
    fleet_power,
    fleet_statistics,
    fleet_statistics_history,
    rebuild_statistics,
    list_vens,
    show_ven,
    ven_presence,
    list_dead_letters,
    show_dead_letter,
    replay_dead_letter,
    live_stream,
]
