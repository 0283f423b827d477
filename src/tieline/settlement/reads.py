"""What others may ask of settlement. Functions on a Reader join a caller's transaction; those on Rows are whole."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from tieline.base.errors import NotFound
from tieline.base.series import Declaration
from tieline.base.time import iso, micros, parse_instant
from tieline.ports import Reader, Rows, Series
from tieline.settlement import metering
from tieline.settlement.baseline.sureness import Sureness
from tieline.settlement.calibration import unpacked
from tieline.settlement.model import FrozenBaseline, Statement, Summary
from tieline.settlement.store import frozen_baseline, statement
from tieline.telemetry.integration import contributing


def find_baseline(reader: Reader, event_id: str) -> FrozenBaseline | None:
    body = reader.execute(sa.select(frozen_baseline.c.body).where(frozen_baseline.c.event_id == event_id)).scalar()
    return None if body is None else msgspec.json.decode(body, type=FrozenBaseline)


def sureness_of(reader: Reader, event_id: str) -> Sureness | None:
    """Of the event's frozen baselines; None where none was told."""
    query = sa.select(frozen_baseline.c.sureness).where(frozen_baseline.c.event_id == event_id)
    packed = reader.execute(query).scalar()
    return None if packed is None else unpacked(packed)


def the_baseline(reader: Reader, event_id: str) -> FrozenBaseline:
    """Raises `NotFound`."""
    if (found := find_baseline(reader, event_id)) is None:
        raise NotFound(f"event {event_id!r} has no baseline: one is frozen when an event starts")
    return found


def statements_of(reader: Reader, event_id: str) -> list[Statement]:
    """The statements of an event, the first one first."""
    query = sa.select(statement.c.body).where(statement.c.event_id == event_id)
    found = [msgspec.json.decode(body, type=Statement) for body in reader.execute(query).scalars()]
    return sorted(found, key=lambda one: one.number)


def the_statement(reader: Reader, statement_id: str) -> Statement:
    """Raises `NotFound`."""
    body = reader.execute(sa.select(statement.c.body).where(statement.c.statement_id == statement_id)).scalar()
    if body is None:
        raise NotFound(f"there is no statement {statement_id!r}; GET /v1/statements lists them")
    return msgspec.json.decode(body, type=Statement)


def frozen_events(reader: Reader) -> set[str]:
    return set(reader.execute(sa.select(frozen_baseline.c.event_id)).scalars())


def settled_events(reader: Reader) -> set[str]:
    return set(reader.execute(sa.select(statement.c.event_id).distinct()).scalars())


async def summaries(rows: Rows, *, event_id: str | None = None, after: str = "", limit: int = 100) -> Sequence[Summary]:
    """The newest first, after `place` of the last one of the page before."""
    query = sa.select(statement.c.body).order_by(statement.c.known_at.desc(), statement.c.statement_id.desc())
    if event_id is not None:
        query = query.where(statement.c.event_id == event_id)
    if after:
        query = query.where(_beyond(after))

    def work(reader: Reader) -> list[Summary]:
        return [msgspec.json.decode(body, type=Summary) for body in reader.execute(query.limit(limit)).scalars()]

    return await rows.read(work)


async def readings(rows: Rows, series: Series, statement_id: str, ven_id: str) -> pa.Table:
    """The very readings behind a line, in order of their instants. Raises `NotFound`."""

    def work(reader: Reader) -> tuple[Statement, Declaration]:
        return the_statement(reader, statement_id), metering.meter(reader, ven_id)

    settled, meter = await rows.read(work)
    if all(line.ven_id != ven_id for line in settled.lines):
        raise NotFound(f"statement {statement_id} has no line of a VEN {ven_id!r}")
    start, end = settled.start_at, settled.end_at
    table = (await metering.scan(series, [ven_id], meter.hold_s, start, end, settled.known_at)).sort_by("at")
    at_us = table["at"].cast(pa.int64()).to_numpy()
    one = np.zeros(len(at_us), np.int64)
    used = contributing(one, at_us, micros(start), micros(end), stamp=meter.stamp, hold_s=meter.hold_s)
    return table.filter(pa.array(used))


def place(one: Summary) -> str:
    return f"{iso(one.known_at)}|{one.statement_id}"


def _beyond(after: str) -> sa.ColumnElement[bool]:
    instant, _, statement_id = after.partition("|")
    known_at = parse_instant(instant, "cursor")
    same = sa.and_(statement.c.known_at == known_at, statement.c.statement_id < statement_id)
    return sa.or_(statement.c.known_at < known_at, same)
