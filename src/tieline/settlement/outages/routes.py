"""The HTTP door of outages: declared, corrected, listed as known at an instant."""

from datetime import datetime
from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, JSONBody, Parameter

from tieline.base.names import new_id
from tieline.base.time import instant
from tieline.doors import Cursor, Limit, Page, WithClock, WithRows, after, page
from tieline.settlement.outages import actions, reads
from tieline.settlement.outages.model import NewOutage, Outage

AsOf = Annotated[datetime | None, Parameter(description="Only what was known at this instant")]


@post("/v1/outages")
async def declare_outage(data: JSONBody[NewOutage], rows: WithRows, clock: WithClock) -> Outage:
    """An outage of a VEN, a circuit or a site; with the `outage_id` of one before, its next version in its place.

    Baselines that are frozen stay as they are; what is frozen, and settled, from now on knows of it.
    """
    now, fresh_id = clock.now(), new_id()
    return await rows.transaction(lambda tx: actions.declare(tx, data, fresh_id, now))


@get("/v1/outages")
async def list_outages(
    rows: WithRows, clock: WithClock, as_of: AsOf = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[Outage]:
    """The newest version of each, also of those that were withdrawn; the latest first."""
    known_at, place = clock.now() if as_of is None else instant(as_of), after(cursor)
    found = await rows.read(lambda reader: reads.listed(reader, known_at, after=place, limit=limit + 1))
    return page(found, limit, reads.place)


@get("/v1/outages/{outage_id:str}")
async def show_outage(outage_id: FromPath[str], rows: WithRows) -> Page[Outage]:
    """Every version of one, the newest first."""
    return Page(await rows.read(lambda reader: reads.versions(reader, outage_id)))


ROUTES = [declare_outage, list_outages, show_outage]
