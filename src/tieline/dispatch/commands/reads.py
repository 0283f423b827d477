"""What others may ask of direct commands."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import parse_instant
from tieline.columns import structs
from tieline.dispatch.commands.model import CommandState, DirectCommand
from tieline.dispatch.commands.store import command
from tieline.ports import Reader, Rows

_AT_ONCE = 500  # names of a query


def find(reader: Reader, command_id: str) -> DirectCommand | None:
    query = sa.select(command).where(command.c.command_id == command_id)
    return next(iter(structs(DirectCommand, reader.execute(query))), None)


def last_issued_at(reader: Reader, ven_ids: Collection[str]) -> dict[str, datetime]:
    """When each of these VENs was last commanded, of those that ever were."""
    query = sa.select(command.c.ven_id, sa.func.max(command.c.issued_at).label("at"))
    ordered, found = sorted(ven_ids), dict[str, datetime]()
    for first in range(0, len(ordered), _AT_ONCE):
        some = command.c.ven_id.in_(ordered[first : first + _AT_ONCE])
        found |= {row.ven_id: row.at for row in reader.execute(query.where(some).group_by(command.c.ven_id))}
    return found


async def the_command(rows: Rows, command_id: str) -> DirectCommand:
    """Raises `NotFound`."""
    if (found := await rows.read(lambda reader: find(reader, command_id))) is None:
        raise NotFound(f"there is no command {command_id!r}")
    return found


async def commands(
    rows: Rows, *, ven_id: str | None = None, state: CommandState | None = None, after: str = "", limit: int = 100
) -> list[DirectCommand]:
    """The newest first, after (issue|id) of the page before."""
    query = sa.select(command).order_by(command.c.issued_at.desc(), command.c.command_id.desc()).limit(limit)
    query = query if ven_id is None else query.where(command.c.ven_id == ven_id)
    query = query if state is None else query.where(command.c.state == state)
    if after:
        issued, _, command_id = after.partition("|")
        issued_at = parse_instant(issued, "cursor")
        earlier = sa.and_(command.c.issued_at == issued_at, command.c.command_id < command_id)
        query = query.where(sa.or_(command.c.issued_at < issued_at, earlier))
    return await rows.read(lambda reader: structs(DirectCommand, reader.execute(query)))


def due(reader: Reader, now: datetime, again: datetime, limit: int) -> Sequence[DirectCommand]:
    """Those to be said: never said, or said before `again` without an answer; the oldest first."""
    silent = sa.or_(command.c.last_send_at.is_(None), command.c.last_send_at <= again)
    query = sa.select(command).where(command.c.state == CommandState.SENT, command.c.expires_at > now, silent)
    ordered = query.order_by(command.c.issued_at, command.c.command_id).limit(limit)
    return structs(DirectCommand, reader.execute(ordered))


def overdue(reader: Reader, now: datetime, limit: int) -> Sequence[str]:
    """The ids of those that expired without an answer."""
    query = sa.select(command.c.command_id).where(command.c.state == CommandState.SENT, command.c.expires_at <= now)
    return list(reader.execute(query.order_by(command.c.expires_at).limit(limit)).scalars())


def outdated(reader: Reader, before: datetime, limit: int) -> Sequence[str]:
    """The ids of those that were issued before an instant, the oldest first."""
    query = sa.select(command.c.command_id).where(command.c.issued_at < before).order_by(command.c.issued_at)
    return list(reader.execute(query.limit(limit)).scalars())
