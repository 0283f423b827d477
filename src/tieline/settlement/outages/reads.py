"""What others may ask of outages. Functions on a Reader join a caller's transaction."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import iso, parse_instant
from tieline.columns import Instant, structs
from tieline.ports import Reader
from tieline.settlement.outages.model import Out, Outage, by_ven
from tieline.settlement.outages.store import outage


def newest(reader: Reader, outage_id: str) -> Outage | None:
    query = sa.select(outage).where(outage.c.outage_id == outage_id).order_by(outage.c.version.desc()).limit(1)
    found = structs(Outage, reader.execute(query))
    return found[0] if found else None


def over(reader: Reader, start: datetime, end: datetime, known_at: datetime) -> Out:
    """Those that touch a span, by VEN, as known at an instant; what is withdrawn is none."""
    touching = sa.and_(outage.c.start_at < end, outage.c.end_at > start, sa.not_(outage.c.withdrawn))
    query = _known(known_at).where(touching).order_by(outage.c.start_at, outage.c.outage_id)
    return by_ven(structs(Outage, reader.execute(query)))


def listed(reader: Reader, known_at: datetime, *, after: str = "", limit: int = 100) -> list[Outage]:
    """As known at an instant, the latest first; after `place` of the last one of the page before."""
    query = _known(known_at).order_by(outage.c.start_at.desc(), outage.c.outage_id.desc()).limit(limit)
    if after:
        start_at, _, outage_id = after.partition("|")
        place = sa.tuple_(sa.literal(parse_instant(start_at, "cursor"), Instant), outage_id)
        query = query.where(sa.tuple_(outage.c.start_at, outage.c.outage_id) < place)
    return structs(Outage, reader.execute(query))


def versions(reader: Reader, outage_id: str) -> list[Outage]:
    """All that was ever said of one, the newest first. Raises `NotFound`."""
    query = sa.select(outage).where(outage.c.outage_id == outage_id).order_by(outage.c.version.desc())
    if not (found := structs(Outage, reader.execute(query))):
        raise NotFound(f"there is no outage {outage_id!r}: GET /v1/outages lists them")
    return found


def place(one: Outage) -> str:
    return f"{iso(one.start_at)}|{one.outage_id}"


def _known(known_at: datetime) -> sa.Select[Any]:
    """The newest version of each, of those that were known by then."""
    latest = sa.select(outage.c.outage_id, sa.func.max(outage.c.version)).where(outage.c.known_at <= known_at)
    key = sa.tuple_(outage.c.outage_id, outage.c.version)
    return sa.select(outage).where(key.in_(latest.group_by(outage.c.outage_id)))
