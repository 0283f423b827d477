"""How a question about values comes in at the HTTP door, and how its answer goes out: parameters, tags, formats."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, Parameter, SkipValidation
from litestar.response import Stream

from tieline.base.time import Span, instant, parse_instant
from tieline.doors import Cursor, after
from tieline.telemetry.values.answers import Answers
from tieline.telemetry.values.formats import MEDIA, Format, arrays, chosen, records
from tieline.telemetry.values.model import Asked, Detail
from tieline.telemetry.values.thinning import A_COLUMN, MOST_POINTS

Asking = Request[Any, Any, Any]
Shape = Literal["rows", "columns"]
WithAnswers = NamedDependency[SkipValidation[Answers]]
FEWEST_POINTS = 2 * A_COLUMN


async def asking(
    start: FromQuery[datetime],
    end: FromQuery[datetime],
    as_of: Annotated[datetime | None, Parameter(description="Only what was known at this instant")] = None,
    resolution: FromQuery[Detail] = Detail.RAW,
    zone: Annotated[str | None, Parameter(max_length=64, description="Whose days; default: the series' own")] = None,
    points: Annotated[int, Parameter(ge=FEWEST_POINTS, le=MOST_POINTS, description="At most so many of `auto`")] = 1000,
) -> Asked:
    known = None if as_of is None else instant(as_of)
    return Asked(Span(instant(start), instant(end)), known, resolution, zone, points)


class Paged(msgspec.Struct, frozen=True):
    """What only JSON has."""

    shape: Shape
    limit: int
    after: datetime | None


async def paging(
    shape: FromQuery[Shape] = "rows", limit: Annotated[int, Parameter(ge=1, le=50_000)] = 5000, cursor: Cursor = None
) -> Paged:
    return Paged(shape, limit, parse_instant(key, "cursor") if (key := after(cursor)) else None)


WithAsked = NamedDependency[SkipValidation[Asked]]
WithPaged = NamedDependency[SkipValidation[Paged]]
ASKING = {"asked": Provide(asking)}
PAGING = {"paged": Provide(paging)}
AS_IT_IS = {"uncompressed": True}
"""`opt` of a route whose answer is compressed already, or must not wait to be."""


def at(method: Callable[..., Any], path: str, *but: Format, **options: Any) -> Callable[[Any], list[Any]]:
    """The same handler at a path, where `Accept` says what is wanted, and at each path with a suffix, which says so."""
    suffixed = [f"{path}.{kind.value}" for kind in Format if kind not in but]
    plain, files = method(path, **options), method(suffixed, include_in_schema=False, opt=AS_IT_IS, **options)
    return lambda handler: [plain(handler), files(handler)]


def kind_of(request: Asking) -> Format:
    """Raises `Refused` when nothing that we have is accepted."""
    return chosen(request.url.path, request.headers.get("accept", ""))


# --- answers ----------------------------------------------------------------------------------------------------------


async def told(
    answers: Answers, request: Asking, kind: Format, tag: str, make: Callable[[], Awaitable[bytes]]
) -> Response[bytes]:
    """An answer made whole; nothing is made for who has it already."""
    if has(request, tag):
        return unchanged(tag)
    return Response(await answers.shared(tag, make), media_type=MEDIA[kind], headers={"etag": tag}, status_code=200)


def saved(parts: AsyncIterator[bytes], name: str, kind: Format, tag: str) -> Stream:
    """A file, as it is being written."""
    headers = {"etag": tag, "content-disposition": f'attachment; filename="{name}.{kind.value}"'}
    return Stream(parts, media_type=MEDIA[kind], headers=headers, status_code=200)


def has(request: Asking, tag: str) -> bool:
    known = request.headers.get("if-none-match", "") if request.method == "GET" else ""
    return tag in [one.strip() for one in known.split(",")]


def unchanged(tag: str) -> Response[bytes]:
    return Response(b"", status_code=304, headers={"etag": tag})


def body(head: msgspec.Struct, rows: Any, shape: Shape) -> bytes:
    """The fields of a struct and, after them, a table as `items` or `columns`."""
    table = b'"items":[%s]' % records(rows) if shape == "rows" else b'"columns":%s' % arrays(rows)
    return b"%s,%s}" % (msgspec.json.encode(head)[:-1], table)
