"""What others may ask of terms and commitments. Functions on a Reader join a caller's transaction."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from tieline.base.errors import NotFound, Refused
from tieline.columns import structs
from tieline.ports import Reader
from tieline.settlement.terms.commitments import Commitment
from tieline.settlement.terms.model import Terms
from tieline.settlement.terms.store import commitment, terms


def of_program(reader: Reader, program_id: str) -> list[Terms]:
    """In order of the day on which they begin, each with that of those after it."""
    query = sa.select(terms.c.body).where(terms.c.program_id == program_id).order_by(terms.c.valid_from)
    found: Sequence[Terms] = reader.execute(query).scalars().all()
    after = [*found[1:], None]
    return [
        msgspec.structs.replace(one, valid_until=then and then.valid_from)
        for one, then in zip(found, after, strict=False)
    ]


def cited_until(reader: Reader, program_id: str) -> date | None:
    """The first day that no run of the program is of yet."""
    query = sa.select(sa.func.max(terms.c.cited_until)).where(terms.c.program_id == program_id)
    found: date | None = reader.execute(query).scalar()
    return found


def in_force(reader: Reader, program_id: str, at: datetime) -> Terms | None:
    """Those of the day that an instant is of, in the zone of the terms."""
    found = of_program(reader, program_id)
    return next((one for one in reversed(found) if one.valid_from <= at.astimezone(ZoneInfo(one.zone)).date()), None)


def over(reader: Reader, program_id: str, from_day: date, until_day: date) -> Terms:
    """Those of a period. Raises `NotFound` where there are none, and `Refused` where others begin within it."""
    found = [one for one in of_program(reader, program_id) if one.valid_from < until_day]
    if not any(one.valid_from <= from_day for one in found):
        raise NotFound(
            f"program {program_id} has no terms on {from_day}: PUT /v1/programs/{program_id}/terms with a valid_from "
            "of that day or before"
        )
    if (turn := found[-1].valid_from) > from_day:
        raise Refused(f"other terms begin on {turn}: settle until that day, and then from it")
    return found[-1]


def commitments(
    reader: Reader, program_id: str, *, known_at: datetime | None = None, after: str = "", limit: int | None = None
) -> list[Commitment]:
    """In order of VEN, day and when each was kept, after `place` of the last one of the page before."""
    query = sa.select(commitment).where(commitment.c.program_id == program_id)
    if known_at is not None:
        query = query.where(commitment.c.known_at <= known_at)
    if after:
        query = query.where(_beyond(after))
    ordered = query.order_by(commitment.c.ven_id, commitment.c.valid_from, commitment.c.known_at).limit(limit)
    return structs(Commitment, reader.execute(ordered))


def place(one: Commitment) -> str:
    return f"{one.ven_id}|{one.valid_from}|{one.known_at.isoformat()}"


def _beyond(after: str) -> sa.ColumnElement[bool]:
    try:
        ven_id, day, instant = after.split("|")
        valid_from, known_at = date.fromisoformat(day), datetime.fromisoformat(instant).astimezone(UTC)
    except ValueError:
        raise Refused("this cursor is of another list: take next_cursor as it is") from None
    c = commitment.c
    same_day = sa.and_(c.valid_from == valid_from, c.known_at > known_at)
    same_ven = sa.and_(c.ven_id == ven_id, sa.or_(c.valid_from > valid_from, same_day))
    return sa.or_(c.ven_id > ven_id, same_ven)
