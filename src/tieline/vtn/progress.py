"""How far the notifier has got on the Log, kept in Rows: of several processes one tells each change.

webhooks   what a change writes is written with the position: exactly once
mqtt       claim ──▶ publish ──▶ advance: at least once, by one process at a time, which renews its claim as long as it
           publishes; that of one that died ends
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from tieline.base.errors import Refused
from tieline.ports import Entry, Log, Reader, Rows, Transaction
from tieline.vtn.store import notifier
from tieline.wires.openadr31.change import SUBJECTS, Change
from tieline.wires.openadr31.messages import decode

T = TypeVar("T")
_IN_A_ROW = 200
log = structlog.get_logger(__name__)


class Said(msgspec.Struct, frozen=True):
    """A change, and where on the Log it was said."""

    position: int
    said_at: datetime
    change: Change


def said(entries: Sequence[Entry]) -> list[Said]:
    """What cannot be read is left out: nobody can be told of it, and what follows must be."""
    found = []
    for entry in entries:
        try:
            found.append(Said(entry.position, entry.said_at, decode(Change, entry.data)))
        except Refused as error:
            log.error("a change cannot be read", position=entry.position, subject=entry.subject, reason=str(error))
    return found


async def gently(items: Iterable[T]) -> list[T]:
    """All of them, while others run in between: what is found out for ten thousand holds up no poll."""
    found = []
    for item in items:
        found.append(item)
        if len(found) % _IN_A_ROW == 0:
            await asyncio.sleep(0)
    return found


async def begin(entries: Log, rows: Rows, name: str, after: int) -> int:
    """Where to go on: after that position, or from the start where the Log is another one."""
    here = sa.and_(notifier.c.name == name, notifier.c.position == after)
    said_at = await rows.read(lambda reader: reader.execute(sa.select(notifier.c.said_at).where(here)).scalar())
    if await _goes_on(entries, after, said_at):
        return after
    lost = sa.update(notifier).where(here).values(position=0, said_at=None)
    await rows.transaction(lambda tx: tx.execute(lost))
    return 0


async def _goes_on(entries: Log, position: int, said_at: datetime | None) -> bool:
    """Whether it is the Log that said something there at that time. One that has dropped it has dropped all before it,
    and so may as well be followed from its start."""
    last = await entries.last(SUBJECTS)
    if last is None or last.position < position:
        return False
    if said_at is None:
        return True
    async for found in entries.follow(SUBJECTS, after=position - 1):
        return (found[0].position, found[0].said_at) == (position, said_at)
    return False


def position(reader: Reader, name: str) -> int:
    """Up to which all is told; 0 at the beginning."""
    found = reader.execute(sa.select(notifier.c.position).where(notifier.c.name == name)).scalar()
    return found or 0


def advance(tx: Transaction, name: str, to: int, worker: str | None = None, *, said_at: datetime | None = None) -> None:
    """All is told up to there, unless it was further already; the worker's claim ends. When it was said tells the Log
    from another, should this one be lost."""
    tx.execute(insert(notifier).values(name=name, position=0).on_conflict_do_nothing())
    here = sa.update(notifier).where(notifier.c.name == name)
    tx.execute(here.where(notifier.c.position < to).values(position=to, said_at=said_at))
    if worker is not None:
        tx.execute(here.where(notifier.c.worker == worker).values(worker=None, claimed_until_at=None))


def claim(tx: Transaction, name: str, worker: str, now: datetime, until: datetime) -> int | None:
    """Where to go on, unless another is at it; nobody else will be until then."""
    tx.execute(insert(notifier).values(name=name, position=0).on_conflict_do_nothing())
    free = sa.or_(notifier.c.worker.is_(None), notifier.c.worker == worker, notifier.c.claimed_until_at <= now)
    mine = sa.update(notifier).where(notifier.c.name == name, free).values(worker=worker, claimed_until_at=until)
    found: int | None = tx.execute(mine.returning(notifier.c.position)).scalar()
    return found


def renew(tx: Transaction, name: str, worker: str, until: datetime) -> bool:
    """Whether nobody else took the turn since it was claimed, and so nobody else will until then."""
    mine = sa.update(notifier).where(notifier.c.name == name, notifier.c.worker == worker)
    return tx.execute(mine.values(claimed_until_at=until)).rowcount == 1
