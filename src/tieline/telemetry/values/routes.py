"""The HTTP door of values: of one series, and of many at once; in the format that is asked for."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from tieline.base.errors import NotFound
from tieline.base.names import SeriesId
from tieline.base.series import Declaration
from tieline.base.time import iso
from tieline.doors import WithRows, cursor_of
from tieline.ports import Rows
from tieline.registry import reads as registry
from tieline.telemetry.values import reads
from tieline.telemetry.values.answers import Answers
from tieline.telemetry.values.asking import (
    ASKING,
    FEWEST_POINTS,
    PAGING,
    Asking,
    Paged,
    Shape,
    WithAnswers,
    WithAsked,
    WithPaged,
    asking,
    at,
    body,
    has,
    kind_of,
    saved,
    told,
    unchanged,
)
from tieline.telemetry.values.formats import Format
from tieline.telemetry.values.model import MOST_ROWS, Asked, Detail, level
from tieline.telemetry.values.thinning import MOST_POINTS

MOST_SERIES = 10_000
MANY = "/v1/series/values"


class Value(msgspec.Struct, frozen=True):
    """Of readings `at` as the series stamps, `value`, `flags`, `known_at`. Of steps `at` their start, `value` the mean
    over what is covered of them, and the rest. Of `auto` `at`, `value`, `flags`: a null value is where a gap begins."""

    series_id: str
    at: datetime
    value: float | None
    flags: int
    known_at: datetime
    low: float
    high: float
    first: float
    last: float
    integral: float
    covered_s: float
    count: int


class SeriesValues(msgspec.Struct, frozen=True, omit_defaults=True):
    """Values of a series in `items` or, by `shape=columns`, as arrays in `columns`, `at` in seconds since 1970. Of
    `auto` the resolution is what it was made of."""

    series: Declaration
    start: datetime
    end: datetime
    as_of: datetime | None
    resolution: Detail
    next_cursor: str | None
    items: list[Value] = []
    columns: dict[str, list[float | None]] = {}


class ManyValues(msgspec.Struct, frozen=True, omit_defaults=True):
    """Values of many series, each with its `series_id`; `unknown` are ids that no series has."""

    series: list[Declaration]
    unknown: list[str]
    start: datetime
    end: datetime
    as_of: datetime | None
    resolution: Detail
    items: list[Value] = []
    columns: dict[str, list[float | str | None]] = {}


# --- of one series ----------------------------------------------------------------------------------------------------


@at(
    get,
    "/v1/series/{series_id:str}/values",
    dependencies=ASKING | PAGING,
    responses={200: ResponseSpec(SeriesValues, generate_examples=False)},
)
async def series_values(
    series_id: FromPath[str],
    rows: WithRows,
    answers: WithAnswers,
    request: Asking,
    asked: WithAsked,
    paged: WithPaged,
) -> Response[Any]:
    """Readings in [start, end), steps, or what a chart can show of them. By `Accept`, or a suffix of the path, a
    page of JSON (.json), or all of it as .csv, .ndjson, .arrow, .parquet or Green Button .xml."""
    declared = await rows.read(lambda reader: registry.the_series(reader, series_id))
    return await _of_one(answers, request, declared, asked, paged)


async def _of_one(
    answers: Answers, request: Asking, declared: Declaration, asked: Asked, paged: Paged
) -> Response[Any]:
    kind = kind_of(request)
    tag = await answers.tag(kind, declared, asked, paged)
    match kind:
        case Format.JSON:
            return await told(answers, request, kind, tag, lambda: _page(answers, declared, asked, paged))
        case Format.XML:
            return await told(answers, request, kind, tag, lambda: answers.green_button(declared, asked))
    if has(request, tag):
        return unchanged(tag)
    parts = await answers.written(kind, [declared], asked, many=False)
    return saved(parts, declared.series_id, kind, tag)


async def _page(answers: Answers, declared: Declaration, asked: Asked, paged: Paged) -> bytes:
    series, rollups, resolution, limit = answers.series, answers.rollups, asked.resolution, paged.limit
    if resolution is Detail.AUTO:
        resolution, limit = level(declared, asked), MOST_POINTS
        rows = await reads.read(series, rollups, [declared], asked)
    else:
        rows = await reads.page(series, rollups, declared, asked, after=paged.after, limit=limit + 1)
    more, rows = rows.num_rows > limit, rows.slice(0, limit).drop_columns("series_id")
    cursor = cursor_of(iso(rows["at"][-1].as_py())) if more else None
    head = SeriesValues(declared, asked.span.start, asked.span.end, asked.as_of, resolution, cursor)
    return await asyncio.to_thread(body, head, rows, paged.shape)


# --- of many ----------------------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which series, and what: as the parameters of the values of one."""

    series_ids: Annotated[list[SeriesId], msgspec.Meta(min_length=1, max_length=MOST_SERIES)]
    start: datetime
    end: datetime
    as_of: datetime | None = None
    resolution: Detail = Detail.RAW
    zone: str | None = None
    points: Annotated[int, msgspec.Meta(ge=FEWEST_POINTS, le=MOST_POINTS)] = 1000
    shape: Shape = "rows"


@at(post, MANY, Format.XML, status_code=200, responses={200: ResponseSpec(ManyValues, generate_examples=False)})
async def values_of_many(
    data: JSONBody[Wanted], rows: WithRows, answers: WithAnswers, request: Asking
) -> Response[Any]:
    """Values of many series in one answer, in order of series and instant; by `Accept` or suffix as JSON or a file. Ids
    that no series has are `unknown` in JSON; in a file, which could not say so, they are refused."""
    asked = await asking(data.start, data.end, data.as_of, data.resolution, data.zone, data.points)
    return await _of_many(rows, answers, request, data.series_ids, asked, data.shape)


@at(get, MANY, Format.XML, dependencies=ASKING, responses={200: ResponseSpec(ManyValues, generate_examples=False)})
async def values_of_some(
    series_id: Annotated[list[str], Parameter(min_items=1, max_items=100, description="Repeat it for each")],
    rows: WithRows,
    answers: WithAnswers,
    request: Asking,
    asked: WithAsked,
    shape: FromQuery[Shape] = "rows",
) -> Response[Any]:
    """The same of as many series as an address has room for."""
    return await _of_many(rows, answers, request, series_id, asked, shape)


async def _of_many(
    rows: Rows, answers: Answers, request: Asking, ids: Sequence[str], asked: Asked, shape: Shape
) -> Response[Any]:
    kind, wanted = kind_of(request), list(dict.fromkeys(ids))
    known = await rows.read(lambda reader: registry.declared(reader, wanted))
    declared, unknown = list(known.values()), [one for one in wanted if one not in known]
    tag = await answers.tag(kind, declared, unknown, asked, shape)
    if kind is Format.JSON:
        return await told(answers, request, kind, tag, lambda: _batch(answers, declared, unknown, asked, shape))
    if unknown:
        raise NotFound(f"{len(unknown)} of {len(wanted)} are no series: {', '.join(unknown[:10])}")
    if has(request, tag):
        return unchanged(tag)
    return saved(await answers.written(kind, declared, asked, many=True), "values", kind, tag)


async def _batch(
    answers: Answers, declared: Sequence[Declaration], unknown: list[str], asked: Asked, shape: Shape
) -> bytes:
    rows = await reads.whole(answers.series, answers.rollups, declared, asked, most=MOST_ROWS)
    head = ManyValues(list(declared), unknown, asked.span.start, asked.span.end, asked.as_of, asked.resolution)
    return await asyncio.to_thread(body, head, rows, shape)


ROUTES = [*series_values, *values_of_many, *values_of_some]
