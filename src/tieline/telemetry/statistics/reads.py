"""What others may ask of the statistics: the fleet's sums by step, as kept, or made again from raw readings."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from tieline.base.errors import Refused
from tieline.base.names import power_series, sheddable_series, withheld_series
from tieline.base.time import Span, micros
from tieline.columns import structs
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.registry.model import METER_HOLD_S, Lifetime
from tieline.telemetry.integration import Ints
from tieline.telemetry.statistics.model import (
    STEP_S,
    STEP_US,
    Loads,
    Readings,
    Step,
    StepSums,
    coarser,
    start_of,
    step_of,
    step_sums,
    steps,
)
from tieline.telemetry.statistics.store import fleet_rollup, fleet_step

READINGS, CLOSED = "readings", "closed"
"""Marks: the position of the Log up to which all readings are in the steps; the step before which all are closed."""
MOST_STEPS = 10_000
VENS_AT_ONCE = 500
"""Whose readings are held in memory together."""
_OF_LOADS = (power_series, sheddable_series, withheld_series)


class History(msgspec.Struct, frozen=True):
    """A column for each value, `at` the start of each step in seconds since 1970; None where nobody has data, or the
    step is not closed yet. `excluded` VENs were registered, and had no data for half of the step."""

    start: datetime
    end: datetime
    step_s: int
    at: list[float]
    used_kw: list[float | None]
    controllable_kw: list[float | None]
    shed_kw: list[float | None]
    counted: list[int]
    excluded: list[int]


async def history(rows: Rows, span: Span, step_s: int = STEP_S) -> History:
    """Raises `Refused` for a span or a step that is no multiple of five minutes."""
    _check(span, step_s)
    found = coarser(await kept(rows, span), span, step_s)
    return History(
        span.start,
        span.end,
        step_s,
        at=[one.start_at.timestamp() for one in found],
        used_kw=[one.used_kw for one in found],
        controllable_kw=[one.controllable_kw for one in found],
        shed_kw=[one.shed_kw for one in found],
        counted=[one.counted for one in found],
        excluded=[one.vens - one.counted for one in found],
    )


async def kept(rows: Rows, span: Span) -> list[Step]:
    """The steps of a span that are closed, in order."""
    columns = [fleet_step.c[name] for name in Step.__struct_fields__]
    within = sa.and_(fleet_step.c.start_at >= span.start, fleet_step.c.start_at < span.end)
    query = sa.select(*columns).where(within).order_by(fleet_step.c.start_at)
    return await rows.read(lambda reader: structs(Step, reader.execute(query)))


async def first(rows: Rows) -> int | None:
    """The first step that there is: in it the first VEN was registered; None where none ever was."""
    at = await rows.read(registry.first_created_at)
    return None if at is None else step_of(at)


async def missing(rows: Rows, before: int) -> set[int]:
    """The steps before one that are not closed yet, since the first that there is."""
    begin = max(await position(rows, CLOSED), await first(rows) or before)
    closed = sa.select(fleet_step.c.start_at).where(fleet_step.c.start_at >= start_of(begin))
    found = await rows.read(lambda reader: reader.execute(closed).scalars().all())
    return set(range(begin, before)) - {step_of(at) for at in found}


async def position(rows: Rows, name: str) -> int:
    """How far the steps are, by `READINGS` in the Log, by `CLOSED` in time; 0 where nothing is known."""
    query = sa.select(fleet_rollup.c.position).where(fleet_rollup.c.name == name)
    return await rows.read(lambda reader: reader.execute(query).scalar()) or 0


async def from_raw(rows: Rows, series: Series, span: Span) -> list[Step]:
    """The steps of a span, made of what Series knows of it. Raises `Refused` for one that is no multiple of them."""
    _check(span, STEP_S)
    cuts = np.arange(micros(span.start), micros(span.end) + 1, STEP_US, dtype=np.int64)
    lifetimes = await registry.lifetimes(rows)
    loads: dict[str, list[str]] = {}
    for ven_id, resource_id in await registry.sheddable_ever(rows):
        loads.setdefault(ven_id, []).append(resource_id)
    none = np.zeros(len(cuts) - 1)
    total, vens = StepSums(none, none, none, none.astype(np.int64)), none.astype(np.int64)
    for first in range(0, len(lifetimes), VENS_AT_ONCE):
        some = lifetimes[first : first + VENS_AT_ONCE]
        known = _known(some, cuts)
        owned = [(n, one.ven_id, load) for n, one in enumerate(some) for load in loads.get(one.ven_id, [])]
        total += await _sums(series, some, owned, known, cuts, span)
        vens += known.sum(axis=0)
    return steps(total, vens, cuts)


async def _sums(
    series: Series,
    vens: Sequence[Lifetime],
    owned: Sequence[tuple[int, str, str]],
    known: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]",
    cuts: Ints,
    span: Span,
) -> StepSums:
    names = [[power_series(one.ven_id) for one in vens]]
    names += [[name(ven_id, load) for _, ven_id, load in owned] for name in _OF_LOADS]
    meters, *of_loads = await _scan(series, names, span)
    owner = np.array([n for n, _, _ in owned], np.int64)
    return await asyncio.to_thread(step_sums, meters, Loads(*of_loads), known, owner, cuts)


async def _scan(series: Series, names: Sequence[Sequence[str]], span: Span) -> list[Readings]:
    """One scan, apart again by the lists of ids. Readings stamp the end of their interval: what ends after the span may
    begin within it."""
    every = [series_id for some in names for series_id in some]
    rows = await series.scan(every, span.start, span.end + timedelta(seconds=METER_HOLD_S))
    index = pc.index_in(rows["series_id"], pa.array(every, pa.string())).to_numpy().astype(np.int64)
    at, flags = rows["at"].cast(pa.int64()).to_numpy(), rows["flags"].to_numpy().astype(np.int64)
    value, firsts = rows["value"].to_numpy(), np.cumsum([0, *map(len, names)])
    within = [(index >= first) & (index < last) for first, last in itertools.pairwise(firsts)]
    return [
        Readings(index[ours] - first, at[ours], value[ours], flags[ours])
        for first, ours in zip(firsts, within, strict=False)
    ]


def _known(vens: Sequence[Lifetime], cuts: Ints) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which are registered in which step, [VENs, steps]."""
    created = np.array([micros(one.created_at) for one in vens], np.int64)[:, None]
    retired = np.array([micros(one.retired_at) if one.retired_at else np.iinfo(np.int64).max for one in vens])[:, None]
    known: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (created < cuts[1:]) & (retired > cuts[:-1])
    return known


def _check(span: Span, step_s: int) -> None:
    if step_s < STEP_S or step_s % STEP_S or micros(span.start) % STEP_US or micros(span.end) % STEP_US:
        raise Refused(
            f"{span.start} to {span.end} by {step_s} s: start, end and step must be whole steps of {STEP_S} s"
        )
    if span.seconds / step_s > MOST_STEPS:
        raise Refused(f"{span.seconds:g} s by {step_s} s: ask for at most {MOST_STEPS} steps")
