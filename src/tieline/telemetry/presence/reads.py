"""What others may ask of presence: how VENs stand, and how each came to."""

from collections.abc import Collection
from datetime import datetime

import msgspec
import sqlalchemy as sa

from tieline.columns import structs
from tieline.ports import Reader, Rows
from tieline.telemetry.presence.model import Cause, Standing, State
from tieline.telemetry.presence.store import presence, presence_change

_AT_ONCE = 5000
_STANDINGS = sa.select(*[presence.c[name] for name in Standing.__struct_fields__])


class Change(msgspec.Struct, frozen=True):
    """That a VEN came into a state, and why; `id` counts up."""

    id: int
    ven_id: str
    at: datetime
    state: State
    cause: Cause


def standings(reader: Reader, ven_ids: Collection[str] | None = None) -> dict[str, Standing]:
    """By VEN, of those that say when they are there; of all, or of some."""
    if ven_ids is None:
        return _by_ven(reader, _STANDINGS)
    ids, found = list(ven_ids), dict[str, Standing]()
    for start in range(0, len(ids), _AT_ONCE):
        found |= _by_ven(reader, _STANDINGS.where(presence.c.ven_id.in_(ids[start : start + _AT_ONCE])))
    return found


def gone(reader: Reader) -> frozenset[str]:
    """The VENs that said when they are there, and are not."""
    query = sa.select(presence.c.ven_id).where(presence.c.state == State.OFFLINE)
    return frozenset(reader.execute(query).scalars())


def unsettled(reader: Reader, now: datetime) -> dict[str, Standing]:
    """Those whose state may have changed by silence, or whose last will came and may yet prove wrong."""
    return _by_ven(reader, _STANDINGS.where(sa.or_(presence.c.due_at <= now, presence.c.gone_at.is_not(None))))


async def changes(rows: Rows, ven_id: str, *, before: int | None = None, limit: int = 100) -> list[Change]:
    """The newest first, those before an id."""
    query = sa.select(presence_change).where(presence_change.c.ven_id == ven_id)
    chosen = query if before is None else query.where(presence_change.c.id < before)
    ordered = chosen.order_by(presence_change.c.id.desc()).limit(limit)
    return await rows.read(lambda reader: structs(Change, reader.execute(ordered)))


def _by_ven(reader: Reader, query: sa.Select[tuple[object, ...]]) -> dict[str, Standing]:
    return {one.ven_id: one for one in structs(Standing, reader.execute(query))}
