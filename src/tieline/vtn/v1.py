"""The gateway in the platform's own API: which reports an event asked for came, and which did not."""

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from tieline.base.errors import Refused
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, csv_response, page, wants_csv
from tieline.vtn import tracking
from tieline.vtn.tracking import Key, Tracked


@get("/v1/events/{event_id:str}/reports")
async def event_reports(
    event_id: FromPath[str],
    rows: WithRows,
    clock: WithClock,
    request: Request[Any, Any, Any],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Tracked] | Response[bytes]:
    """Per VEN and report descriptor what was due, came, came late or did not, and what is expected within a day; as
    JSON in pages or, by `Accept: text/csv`, all of it as CSV."""
    now = clock.now()
    if wants_csv(request):
        found = await rows.read(lambda reader: tracking.tracked(reader, event_id, now, after=None, limit=None))
        fields = Tracked.__struct_fields__
        return csv_response(fields, [[getattr(one, name) for name in fields] for one in found], f"reports-{event_id}")
    key = _key(after(cursor))
    some = await rows.read(lambda reader: tracking.tracked(reader, event_id, now, after=key, limit=limit + 1))
    return page(some, limit, lambda one: "|".join(map(str, one.key)))


def _key(text: str) -> Key | None:
    """Raises `Refused` for one that no page gave."""
    if not text:
        return None
    match text.split("|"):
        case [ven_id, *numbers] if len(numbers) == 2 and all(one.removeprefix("-").isdecimal() for one in numbers):
            return ven_id, int(numbers[0]), int(numbers[1])
    raise Refused(f"cursor {text[:80]!r} is not one that this list gave: take next_cursor as it is")


ROUTES = [event_reports]
