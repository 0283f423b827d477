"""What others may ask of runs. Functions on a Reader join a caller's transaction; those on Rows are whole."""

import asyncio
from collections.abc import Sequence
from datetime import date

import msgspec
import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.time import iso, parse_instant
from tieline.columns import structs
from tieline.ports import Reader, Rows
from tieline.settlement.runs.differing import difference
from tieline.settlement.runs.model import Account, Difference, Review, Run, RunSummary, Verdict
from tieline.settlement.runs.store import account, review, settlement_run, unpacked

_run = settlement_run.c


def the_head(reader: Reader, run_id: str) -> Run:
    """A run without its accounts. Raises `NotFound`."""
    body = reader.execute(sa.select(_run.body).where(_run.run_id == run_id)).scalar()
    if body is None:
        raise NotFound(f"there is no settlement {run_id!r}; GET /v1/settlements lists them")
    return msgspec.json.decode(body, type=Run)


async def the_run(rows: Rows, run_id: str) -> Run:
    """A run with all its accounts, whose digest is of just that. Raises `NotFound`."""
    head, packed = await rows.read(lambda reader: (the_head(reader, run_id), _packed(reader, run_id)))
    return await asyncio.to_thread(_whole, head, packed)


def _whole(head: Run, packed: dict[str, bytes]) -> Run:
    """Takes a while: call it in a thread. In order of the ids' code points, by which not every database sorts."""
    return msgspec.structs.replace(head, accounts=[unpacked(packed[ven_id]) for ven_id in sorted(packed)])


def runs_of(reader: Reader, program_id: str, from_day: date | None = None) -> list[Run]:
    """Without their accounts: of a program, or of its periods that begin on a day; in order of day and number."""
    query = sa.select(_run.body).where(_run.program_id == program_id)
    query = query if from_day is None else query.where(_run.from_day == from_day)
    bodies = reader.execute(query.order_by(_run.from_day, _run.number)).scalars()
    return [msgspec.json.decode(body, type=Run) for body in bodies]


def accounts(reader: Reader, run_id: str, *, after: str = "", limit: int = 100) -> list[Account]:
    """In order of VEN, after a VEN."""
    query = sa.select(account.c.packed).where(account.c.run_id == run_id, account.c.ven_id > after)
    return [unpacked(one) for one in reader.execute(query.order_by(account.c.ven_id).limit(limit)).scalars()]


def the_account(reader: Reader, run_id: str, ven_id: str) -> Account:
    """Raises `NotFound`."""
    query = sa.select(account.c.packed).where(account.c.run_id == run_id, account.c.ven_id == ven_id)
    if (found := reader.execute(query).scalar()) is None:
        the_head(reader, run_id)
        raise NotFound(f"settlement {run_id} has no account of a VEN {ven_id!r}")
    return unpacked(found)


async def summaries(
    rows: Rows, *, program_id: str | None = None, after: str = "", limit: int = 100
) -> Sequence[RunSummary]:
    """The newest first, after `place` of the last one of the page before."""
    query = sa.select(_run.body).order_by(_run.known_at.desc(), _run.run_id.desc()).limit(limit)
    query = query if program_id is None else query.where(_run.program_id == program_id)
    query = query.where(_beyond(after)) if after else query

    def work(reader: Reader) -> list[RunSummary]:
        return [msgspec.json.decode(body, type=RunSummary) for body in reader.execute(query).scalars()]

    return await rows.read(work)


def reviews(reader: Reader, run_id: str) -> list[Review]:
    """In order."""
    return structs(Review, reader.execute(sa.select(review).where(review.c.run_id == run_id).order_by(review.c.seq)))


def rival(reader: Reader, run: Run) -> Run | None:
    """An approved run of another period that has some of the same days: whoever is paid by it is paid for them."""
    others = (one for one in runs_of(reader, run.program_id) if one.period != run.period)
    shared = (one for one in others if one.from_day < run.until_day and run.from_day < one.until_day)
    return next((one for one in shared if _approved(reader, one)), None)


def _approved(reader: Reader, run: Run) -> bool:
    return any(one.verdict is Verdict.APPROVED for one in reviews(reader, run.run_id))


def restated(reader: Reader, run: Run) -> Run | None:
    """The run that one restates, without its accounts."""
    if not run.restates:
        return None
    body = reader.execute(sa.select(_run.body).where(_run.digest == run.restates, _run.number < run.number)).scalar()
    return None if body is None else msgspec.json.decode(body, type=Run)


def differences(reader: Reader, run_id: str, *, after: str = "", limit: int = 100) -> list[Difference]:
    """What a restatement changed, in order of VEN, after a VEN; none where it restates nothing. Raises `NotFound`."""
    run = the_head(reader, run_id)
    before = restated(reader, run)
    if before is None:
        return []
    packed = [_packed(reader, one.run_id) for one in (before, run)]
    those = sorted(ven_id for ven_id in packed[0].keys() | packed[1].keys() if ven_id > after)
    changed = (ven_id for ven_id in those if _differ(packed, ven_id))
    found = (difference(ven_id, *(_unpacked(one.get(ven_id)) for one in packed)) for ven_id in changed)
    real = (one for one in found if one.because)
    return [one for one, _ in zip(real, range(limit), strict=False)]


def _packed(reader: Reader, run_id: str) -> dict[str, bytes]:
    query = sa.select(account.c.ven_id, account.c.packed).where(account.c.run_id == run_id)
    return {row.ven_id: row.packed for row in reader.execute(query)}


def _differ(packed: Sequence[dict[str, bytes]], ven_id: str) -> bool:
    return packed[0].get(ven_id) != packed[1].get(ven_id)


def _unpacked(data: bytes | None) -> Account | None:
    return None if data is None else unpacked(data)


def place(one: RunSummary) -> str:
    return f"{iso(one.known_at)}|{one.run_id}"


def _beyond(after: str) -> sa.ColumnElement[bool]:
    instant, _, run_id = after.partition("|")
    known_at = parse_instant(instant, "cursor")
    return sa.or_(_run.known_at < known_at, sa.and_(_run.known_at == known_at, _run.run_id < run_id))
