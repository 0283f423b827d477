"""What the sheddable loads draw, and have drawn minute by minute: read from telemetry, kept from look to look.

It keeps no truth: another process, or this one after a crash, reads the same again.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from tieline.base.names import hold_series, power_series, sheddable_series
from tieline.base.series import Flag
from tieline.base.time import Span, from_micros
from tieline.dispatch.counterfactual import learnt, running
from tieline.dispatch.habits import Floats, Habits, apart, lived
from tieline.dispatch.metered import Load, Metered
from tieline.dispatch.planning import LoadNow, Loads
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.registry.model import Resource
from tieline.telemetry import reads as telemetry
from tieline.telemetry.presence import reads as presence

REMEMBERED = timedelta(hours=3)
EARLIER = timedelta(days=4)
"""So far back the habits of loads are learnt from; before each look at most as much is read as is remembered."""
PORTION = timedelta(hours=1)
LATE = timedelta(minutes=5)
"""What came in late is still taken in for so long."""
PAYBACK = timedelta(hours=1)
"""For so long after it was given back a load draws more than it usually would: nothing is learnt from it."""
MINUTE = timedelta(minutes=1)
MINUTE_S = 60.0
FILLED_MIN = 3
"""The newest readings may be on their way: for so many minutes a load is taken to go on as it was."""
AT_ONCE = 2000
"""Series whose readings are in memory together."""


class HeldSpan(NamedTuple):
    """A load that some event held; until None: it still does."""

    load: Load
    start: datetime
    until: datetime | None


class Reading(NamedTuple):
    at: datetime
    value: float
    flags: int


class Readings:
    """What the loads of this registry draw."""

    def __init__(self, rows: Rows, series: Series, online_s: float) -> None:
        self._rows, self._series = rows, series
        self._online = timedelta(seconds=online_s)
        self._ids: list[str] = []
        self._until: datetime | None = None
        self._minute_kw: Floats = np.zeros((0, 0))
        self._loads: Sequence[Load] = []
        self._habits = Habits.none(0)
        self._learnt_until: datetime | None = None

    async def measure(self, now: datetime, held: Sequence[HeldSpan]) -> Metered:
        loads = [one for one in await registry.resources(self._rows) if one.sheddable]
        ids = [power_series(one.ven_id, one.resource_id) for one in loads]
        await self._learn_on([(one.ven_id, one.resource_id) for one in loads], held, now)
        await self._read_on(ids, now)
        latest = await self._latest(loads, now)
        gone = await self._rows.read(presence.gone)
        rows, shed = _now(loads, latest, {span.load: span.until for span in held if span.until is not None}, gone)
        return await asyncio.to_thread(
            metered, rows, shed, self._minute_kw, self._until or now, held, now, self._habits
        )

    async def _learn_on(self, loads: Sequence[Load], held: Sequence[HeldSpan], now: datetime) -> None:
        """The habits of earlier days, a portion at each look while nobody is held, the oldest first.
        Whom events held longer ago than is told here is not known: their pauses then count as their own."""
        before = _minute(now - REMEMBERED)
        if loads != self._loads or self._learnt_until is None or self._learnt_until > before:
            index = {load: at for at, load in enumerate(self._loads)}
            self._habits = self._habits.of([index.get(load, -1) for load in loads])
            self._loads, self._learnt_until = loads, min(self._learnt_until or before - EARLIER, before)
        if before - self._learnt_until < PORTION or any(span.until is None for span in held):
            return
        span = Span(self._learnt_until, min(before, self._learnt_until + REMEMBERED))
        kw = _free(await self._means([power_series(*load) for load in loads], span), loads, span.end, held)
        self._habits, _ = await asyncio.to_thread(lived, self._habits, kw)
        self._learnt_until = span.end

    async def _read_on(self, ids: list[str], now: datetime) -> None:
        """Mean power by minute up to the last whole one."""
        until = _minute(now)
        if ids == self._ids and until == self._until:
            return  # what came in late since then is taken in with the next minute
        since = until - REMEMBERED
        same = ids == self._ids and self._until is not None and since < self._until <= until
        fresh = self._until - LATE if same and self._until else since
        new = await self._means(ids, Span(fresh, until)) if until > fresh else np.zeros((len(ids), 0))
        kept = self._minute_kw[:, : -(LATE // MINUTE)] if same else np.zeros((len(ids), 0))
        self._minute_kw = np.concatenate([kept, new], axis=1)[:, -(REMEMBERED // MINUTE) :]
        self._ids, self._until = ids, until

    async def _means(self, ids: Sequence[str], span: Span) -> Floats:
        """[loads, minutes]; NaN where less than half of a minute is known."""
        parts = []
        for first in range(0, len(ids), AT_ONCE):
            found = await telemetry.integrated(self._series, ids[first : first + AT_ONCE], span, MINUTE_S)
            parts.append(np.where(found.covered_s >= MINUTE_S / 2, found.mean_kw, np.nan))
        return np.concatenate(parts) if parts else np.zeros((0, int(span.seconds // MINUTE_S)))

    async def _latest(self, loads: Sequence[Resource], now: datetime) -> dict[str, Reading]:
        names = (power_series, sheddable_series, hold_series)
        ids = [name(one.ven_id, one.resource_id) for one in loads for name in names]
        if not ids:
            return {}
        rows = await self._series.last(ids, since=now - self._online)
        columns = [rows[name].to_pylist() for name in ("series_id", "value", "flags")]
        at = map(from_micros, rows["at"].cast(pa.int64()).to_numpy().tolist())  # in a quarter of the time
        return {name: Reading(*one) for name, *one in zip(columns[0], at, *columns[1:], strict=True)}


def metered(
    loads: Sequence[LoadNow],
    shed: Sequence[bool],
    minute_kw: Floats,
    until: datetime,
    held: Sequence[HeldSpan],
    now: datetime,
    habits: Habits,
) -> Metered:
    """`minute_kw`, [loads, minutes], is up to `until`, NaN where nothing is known; `habits` are of the time before."""
    filled, kinds = _filled(minute_kw), [str(one.kind) for one in loads]
    free = _free(filled, [(one.ven_id, one.resource_id) for one in loads], until, held)
    return Metered(
        at=now,
        loads=Loads.of([_at_least(one) for one in loads]),
        shed=np.array(shed, dtype=np.bool_),
        running=running(filled),
        counterfactual=learnt(free, kinds, apart(habits), until),
    )


def _now(
    loads: Sequence[Resource], latest: Mapping[str, Reading], back: Mapping[Load, datetime], gone: Collection[str]
) -> tuple[list[LoadNow], list[bool]]:
    """The loads at their newest readings, and whether each says that it is held down. Those of VENs that are `gone`
    are not heard of, however new their last reading is."""
    rows, shed = list[LoadNow](), list[bool]()
    for one in loads:
        power = latest.get(power_series(one.ven_id, one.resource_id))
        spare = latest.get(sheddable_series(one.ven_id, one.resource_id))
        hold = latest.get(hold_series(one.ven_id, one.resource_id))
        rows.append(
            LoadNow(
                ven_id=one.ven_id,
                resource_id=one.resource_id,
                kind=one.kind,
                sheddable=True,
                power_kw=power.value if power else 0.0,
                sheddable_kw=spare.value if spare else 0.0,
                heard_at=power.at if power and one.ven_id not in gone else None,
                hold_s=hold.value if hold and power and hold.at == power.at else None,
                restored_at=back.get((one.ven_id, one.resource_id)),
                ceiling_kw=one.rated_kw or float("inf"),
            )
        )
        shed.append(bool(power and power.flags & Flag.SHED))
    return rows, shed


def _at_least(load: LoadNow) -> LoadNow:
    """Its power is a mean since its last snapshot: one that has just begun draws what it says it could give up."""
    return msgspec.structs.replace(load, power_kw=max(load.power_kw, load.sheddable_kw))


def _minute(at: datetime) -> datetime:
    """The last whole one."""
    return datetime.fromtimestamp(at.timestamp() // MINUTE_S * MINUTE_S, UTC)


def _filled(minute_kw: Floats) -> Floats:
    filled = minute_kw.copy()
    for minute in range(-FILLED_MIN, 0):
        if filled.shape[1] > -minute:
            filled[:, minute] = np.where(np.isnan(filled[:, minute]), filled[:, minute - 1], filled[:, minute])
    return filled


def _free(minute_kw: Floats, loads: Sequence[Load], until: datetime, held: Sequence[HeldSpan]) -> Floats:
    """What the loads drew when nobody held them, nor had lately."""
    free, last = minute_kw.copy(), minute_kw.shape[1]
    index = {load: at for at, load in enumerate(loads)}
    for load, start, back in held:
        if load in index:
            first = max(0, last - max(0, -((start - until) // MINUTE)))
            over = last if back is None else min(last, last - (until - back - PAYBACK) // MINUTE)
            free[index[load], first : max(over, first)] = np.nan
    return free
