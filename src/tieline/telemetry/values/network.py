"""The HTTP door of what many series are together: their newest values, live readings, the energy of a group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, Parameter, SkipValidation
from litestar.response import ServerSentEvent, ServerSentEventMessage

from tieline.base.errors import NotFound, Refused
from tieline.base.time import micros
from tieline.doors import Search, WithRows
from tieline.registry import reads as registry
from tieline.telemetry.sums import By
from tieline.telemetry.values.asking import (
    AS_IT_IS,
    ASKING,
    Asking,
    Shape,
    WithAnswers,
    WithAsked,
    at,
    body,
    kind_of,
    told,
)
from tieline.telemetry.values.catalogue import Catalogue
from tieline.telemetry.values.energy import energy
from tieline.telemetry.values.formats import MEDIA, Format, whole
from tieline.telemetry.values.live import Live
from tieline.telemetry.values.model import Detail

WithCatalogue = NamedDependency[SkipValidation[Catalogue]]
WithLive = NamedDependency[SkipValidation[Live]]
Named = Annotated[list[str] | None, Parameter(max_items=100, description="Only these: repeat it for each")]
RECENT_S = 86_400.0


# --- the newest -------------------------------------------------------------------------------------------------------


class NewestValue(msgspec.Struct, frozen=True):
    series_id: str
    at: datetime
    value: float
    unit: str
    flags: int
    age_s: float


class NewestValues(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest value of each series, in order of id; `silent` have none in the last `within_s`, `unknown` are no
    series."""

    now_at: datetime
    within_s: float
    silent: int
    unknown: list[str]
    items: list[NewestValue] = []
    columns: dict[str, list[float | str]] = {}


@at(
    get,
    "/v1/series/last",
    Format.XML,
    responses={200: ResponseSpec(NewestValues, generate_examples=False)},
)
async def last_values(
    answers: WithAnswers,
    catalogue: WithCatalogue,
    request: Asking,
    series_id: Named = None,
    q: Search = None,
    within_s: Annotated[float, Parameter(gt=0, le=366 * 86_400)] = RECENT_S,
    shape: FromQuery[Shape] = "rows",
) -> Response[bytes]:
    """The newest value of all series, of some, or of those with `q` in their id, with its age."""
    units, kind = await catalogue.units(), kind_of(request)
    ids = [one for one in series_id or units if one in units and (q is None or q.lower() in one.lower())]
    unknown = [one for one in series_id or [] if one not in units]
    now = answers.clock.now()
    found = await answers.series.last(ids, since=now - timedelta(seconds=within_s))
    rows = _aged(found, units, now)
    if unknown and kind is not Format.JSON:
        raise NotFound(f"{len(unknown)} of {len(series_id or [])} are no series: {', '.join(unknown[:10])}")
    head = NewestValues(now, within_s, len(ids) - rows.num_rows, unknown)
    return Response(await asyncio.to_thread(_told, kind, head, rows, shape), media_type=MEDIA[kind])


def _aged(rows: pa.Table, units: dict[str, str], now: datetime) -> pa.Table:
    names: list[Any] = rows["series_id"].to_pylist()
    age_s = (micros(now) - rows["at"].cast(pa.int64()).to_numpy()) / 1e6
    told_unit = pa.array([units[name] for name in names], pa.string())
    columns = [rows["series_id"], rows["at"], rows["value"], told_unit, rows["flags"], pa.array(age_s)]
    return pa.table(dict(zip(NewestValue.__struct_fields__, columns, strict=True)))


# --- live -------------------------------------------------------------------------------------------------------------


@get("/v1/series/{series_id:str}/live", media_type="text/event-stream", opt=AS_IT_IS)
async def series_live(series_id: FromPath[str], rows: WithRows, live: WithLive, request: Asking) -> ServerSentEvent:
    """Server-sent events of a series' readings as they arrive, resumed by Last-Event-ID: `open`, `readings`,
    `heartbeat` when nothing comes, `dropped` with the reason where the reader is too slow."""
    return await _stream([series_id], rows, live, request)


@get("/v1/series/live", media_type="text/event-stream", opt=AS_IT_IS)
async def some_live(
    series_id: Annotated[list[str], Parameter(min_items=1, max_items=100, description="Repeat it for each")],
    rows: WithRows,
    live: WithLive,
    request: Asking,
) -> ServerSentEvent:
    """The same of several series."""
    return await _stream(series_id, rows, live, request)


async def _stream(ids: Sequence[str], rows: WithRows, live: Live, request: Asking) -> ServerSentEvent:
    known = await rows.read(lambda reader: registry.declared(reader, ids))
    if unknown := [one for one in ids if one not in known]:
        raise NotFound(f"there is no series {', '.join(map(repr, unknown))}")
    last = request.headers.get("last-event-id", "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None

    async def messages() -> AsyncIterator[ServerSentEventMessage]:
        async with aclosing(live.listen(ids, after)) as events:
            async for one in events:
                yield ServerSentEventMessage(data=one.data, event=one.event, id=one.id)

    return ServerSentEvent(messages())


# --- groups -----------------------------------------------------------------------------------------------------------


class EnergyStep(msgspec.Struct, frozen=True):
    """`series`: how many of the members tell of some of the step; `covered_s`: how long they do, together."""

    at: datetime
    energy_kwh: float
    mean_kw: float
    series: int
    covered_s: float


class GroupEnergy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a group by step. A step of which no member tells is left out."""

    by: By | None
    key: str | None
    members: int
    start: datetime
    end: datetime
    resolution: Detail
    items: list[EnergyStep] = []
    columns: dict[str, list[float]] = {}


@at(
    get,
    "/v1/fleet/energy",
    Format.XML,
    dependencies=ASKING,
    responses={200: ResponseSpec(GroupEnergy, generate_examples=False)},
)
async def group_energy(
    answers: WithAnswers,
    catalogue: WithCatalogue,
    request: Asking,
    asked: WithAsked,
    by: FromQuery[By | None] = None,
    key: Annotated[str | None, Parameter(max_length=200, description="The site, the target or the kind")] = None,
    shape: FromQuery[Shape] = "rows",
) -> Response[bytes]:
    """What the fleet used by step, or one site, target (of a program, a feeder) or kind of load."""
    if asked.resolution in (Detail.RAW, Detail.AUTO) or asked.as_of is not None:
        raise Refused(
            "a group is summed by steps, as they are known now: ask for resolution=5m, 15m, 1h, 1d… and no as_of"
        )
    group, kind = await catalogue.group(by, key), kind_of(request)
    tag = await answers.tag(kind, group, by, key, asked, shape)
    head = GroupEnergy(by, key, len(group.members), asked.span.start, asked.span.end, asked.resolution)

    async def make() -> bytes:
        rows = await energy(answers.rollups, group.members, asked, asked.zone or group.zone)
        return await asyncio.to_thread(_told, kind, head, rows, shape)

    return await told(answers, request, kind, tag, make)


def _told(kind: Format, head: msgspec.Struct, rows: pa.Table, shape: Shape) -> bytes:
    return body(head, rows, shape) if kind is Format.JSON else whole(kind, rows)


ROUTES = [*last_values, series_live, some_live, *group_energy]
