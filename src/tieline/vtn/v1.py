"""The gateway in the platform's own API: where clients connect, what was not delivered, which reports came."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from litestar import Request, Response, get, post
from litestar.params import FromPath

from tieline.base.errors import Refused
from tieline.base.time import iso, parse_instant
from tieline.dispatch import reads as dispatch
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, csv_response, page, wants_csv
from tieline.identity import reads as identity
from tieline.ports import Reader
from tieline.registry import openadr as registry
from tieline.vtn import tracking
from tieline.vtn.auth import base_url
from tieline.vtn.store import report, subscription
from tieline.vtn.tracking import Key, Tracked
from tieline.vtn.webhooks import actions, reads
from tieline.vtn.webhooks.reads import Backlog, BrokenEndpoint, DeadDelivery

Told = TypeVar("Told", DeadDelivery, BrokenEndpoint)


class Counts(msgspec.Struct, frozen=True):
    """How many objects OpenADR clients could see, if they may."""

    programs: int
    events: int
    vens: int
    resources: int
    reports: int
    subscriptions: int


class Gateway(msgspec.Struct, frozen=True):
    """Where OpenADR clients connect, and how the telling of those who subscribed goes. `clients` are those that the
    embedded issuer gives tokens to; null where another issuer does."""

    urls: dict[str, str]
    development: bool
    clients: int | None
    counts: Counts
    webhooks: Backlog
    broken: list[BrokenEndpoint]


def routes(
    prefixes: Mapping[str, str],
    clock_now: Callable[[], datetime],
    wake: Callable[[], None],
    *,
    public_url: str,
    development: bool,
    embedded: bool,
) -> list[Any]:
    """`prefixes` by version; `clock_now` is the wall's, as deliveries keep it; `wake` tells the courier that there is
    something to do."""
    return [_gateway(prefixes, public_url, development, embedded), *_dead_deliveries(clock_now, wake), event_reports]


def _gateway(prefixes: Mapping[str, str], public_url: str, development: bool, embedded: bool) -> Any:
    @get("/v1/openadr")
    async def show_gateway(request: Request[Any, Any, Any], rows: WithRows) -> Gateway:
        """The OpenADR gateway: its addresses, its objects, its webhooks."""
        base = public_url or base_url(request)
        clients, counts, backlog = await rows.read(
            lambda reader: (identity.count_clients(reader), _counts(reader), reads.backlog(reader))
        )
        return Gateway(
            urls={version: base + prefix for version, prefix in prefixes.items()},
            development=development,
            clients=clients if embedded else None,
            counts=counts,
            webhooks=backlog,
            broken=[_discreet(one) for one in await reads.broken(rows)],
        )

    return show_gateway


def _dead_deliveries(clock_now: Callable[[], datetime], wake: Callable[[], None]) -> list[Any]:
    @get("/v1/webhooks/dead")
    async def list_dead(rows: WithRows, limit: Limit = 100, cursor: Cursor = None) -> Page[DeadDelivery]:
        """Deliveries that were given up, in order of when, each with its reason."""
        at, _, seq = after(cursor).partition("|")
        since = (parse_instant(at, "cursor"), int(seq or 0)) if at else None
        found = [_discreet(one) for one in await reads.dead(rows, after=since, limit=limit + 1)]
        return page(found, limit, lambda one: f"{iso(one.dead_at)}|{one.seq}")

    @post("/v1/webhooks/dead/{delivery_id:str}/replay", status_code=202)
    async def replay_delivery(delivery_id: FromPath[str], rows: WithRows) -> None:
        """Try it again, as if it were new."""
        now = clock_now()
        await rows.transaction(lambda tx: actions.replay(tx, delivery_id, now))
        wake()

    return [list_dead, replay_delivery]


def _discreet(one: Told) -> Told:
    """Without the query and fragment of its callback URL, which may hold the receiver's secret."""
    return msgspec.structs.replace(one, callback_url=re.split("[?#]", one.callback_url, maxsplit=1)[0])


def _counts(reader: Reader) -> Counts:
    def count(table: sa.Table) -> int:
        found: int = reader.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        return found

    programs, events = dispatch.shown_counts(reader)
    vens, resources = registry.counts(reader)
    return Counts(programs, events, vens, resources, count(report), count(subscription))


# --- reports ----------------------------------------------------------------------------------------------------------


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
