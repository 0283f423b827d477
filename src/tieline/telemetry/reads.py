"""What others may ask of telemetry: values of a series, the fleet's power by step, what could be shed, dead letters."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tieline.base.errors import Refused
from tieline.base.names import power_series
from tieline.base.series import Stamp
from tieline.base.time import MICROSECOND, Span, micros
from tieline.columns import structs
from tieline.ports import Reader, Rows, Series
from tieline.registry import reads as registry
from tieline.registry.model import METER_HOLD_S
from tieline.telemetry.integration import Integrated, integrate_many
from tieline.telemetry.model import TAKEN
from tieline.telemetry.store import dead_letter

MOST_STEPS = 10_000
VENS_AT_ONCE = 250
"""Whose steps are held in memory together."""


class FleetPower(msgspec.Struct, frozen=True):
    """Mean power of the fleet by step, `at` the start of each in seconds since 1970; None where nothing is known."""

    start: datetime
    end: datetime
    step_s: float
    at: list[float]
    used_kw: list[float | None]
    vens: list[int]


def edges(span: Span, step_s: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The instants in µs since 1970 that cut a span into steps; the last step may be shorter. Raises `Refused`."""
    if not 1 <= step_s <= 86400 * 31 or span.seconds / step_s > MOST_STEPS:
        raise Refused(f"{span.seconds:g} s in steps of {step_s:g} s: ask for at most {MOST_STEPS} steps of 1 s or more")
    inner = np.arange(micros(span.start), micros(span.end), round(step_s * 1_000_000), dtype=np.int64)
    return np.append(inner, micros(span.end))


async def integrated(
    series: Series, series_ids: Sequence[str], span: Span, step_s: float, *, as_of: datetime | None = None
) -> Integrated:
    """Energy of each series in each step, [series, steps], by time-weighted integration; meters stamp interval ends."""
    hold = timedelta(seconds=METER_HOLD_S)
    rows = await series.scan(series_ids, span.start - hold, span.end + hold, as_of=as_of)
    at = rows["at"].cast(pa.int64()).to_numpy()
    index = pc.index_in(rows["series_id"], pa.array(series_ids, pa.string())).to_numpy().astype(np.int64)
    cuts = edges(span, step_s)
    value, number = rows["value"].to_numpy(), len(series_ids)
    return await asyncio.to_thread(integrate_many, index, at, value, number, cuts, stamp=Stamp.END, hold_s=METER_HOLD_S)


async def fleet_power(rows: Rows, series: Series, span: Span, step_s: float) -> FleetPower:
    """The sum over VENs; a step counts the VENs that cover at least half of it, and is None when none does."""
    cuts = edges(span, step_s)
    ids = [power_series(ven.ven_id) for ven in await registry.vens(rows)]
    starts = [float(at) / 1e6 for at in cuts[:-1]]
    if not ids:
        return FleetPower(span.start, span.end, step_s, starts, [None] * len(starts), [0] * len(starts))
    power, vens = np.zeros(len(starts)), np.zeros(len(starts), np.int64)
    for first in range(0, len(ids), VENS_AT_ONCE):
        found = await integrated(series, ids[first : first + VENS_AT_ONCE], span, step_s)
        counted = found.covered_s >= np.diff(cuts) / 2e6
        power += np.where(counted, np.nan_to_num(found.mean_kw), 0.0).sum(axis=0)
        vens += counted.sum(axis=0)
    used = [round(float(kw), 3) if n else None for kw, n in zip(power, vens, strict=True)]
    return FleetPower(span.start, span.end, step_s, starts, used, [int(n) for n in vens])


async def values(
    series: Series, series_id: str, span: Span, *, as_of: datetime | None, after: datetime | None = None
) -> pa.Table:
    """Readings of one series in a span as known at `as_of`, those after an instant."""
    start = span.start if after is None else max(span.start, after + MICROSECOND)
    return await series.scan([series_id], start, span.end, as_of=as_of)


class Listed(msgspec.Struct, frozen=True):
    """A dead letter as listed; `position` is its place in the Log."""

    position: int
    subject: str
    reason: str
    detail: str
    said_at: datetime
    digest: str
    size: int
    excerpt: str
    ven_id: str | None
    entry_position: int | None
    replayed_at: datetime | None
    outcome: str | None


class Which(msgspec.Struct, frozen=True):
    """Which dead letters: of a VEN, of a reason, those not taken since; all where nothing is said."""

    ven_id: str | None = None
    reason: str | None = None
    open_only: bool = False


async def dead_letters(
    rows: Rows, *, before: int | None = None, limit: int = 100, which: Which | None = None
) -> list[Listed]:
    """The newest first, those before a position."""
    letter, which = dead_letter.c, which or Which()
    query = sa.select(dead_letter).order_by(letter.position.desc()).limit(limit)
    chosen = query if before is None else query.where(letter.position < before)
    if which.ven_id is not None:
        chosen = chosen.where(letter.ven_id == which.ven_id)
    if which.reason is not None:
        chosen = chosen.where(letter.reason == which.reason)
    if which.open_only:
        chosen = chosen.where(letter.outcome.is_distinct_from(TAKEN))

    return await rows.read(lambda reader: structs(Listed, reader.execute(chosen)))


def listed(reader: Reader, position: int) -> Listed | None:
    """One, by its position."""
    found = structs(Listed, reader.execute(sa.select(dead_letter).where(dead_letter.c.position == position)))
    return found[0] if found else None


async def count_dead_letters(rows: Rows) -> int:
    return await rows.read(
        lambda reader: reader.execute(sa.select(sa.func.count()).select_from(dead_letter)).scalar_one()
    )
