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
from tieline.base.time import Span
from tieline.dispatch.counterfactual import Floats, learnt, running
from tieline.dispatch.metered import Load, Metered
from tieline.dispatch.planning import LoadNow, Loads
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.registry.model import Resource
from tieline.telemetry import reads as telemetry
from tieline.telemetry.presence import reads as presence

REMEMBERED = timedelta(hours=3)
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
    flags: Flag


class Readings:
    """What the loads of this registry draw."""

    def __init__(self, rows: Rows, series: Series, online_s: float) -> None:
        self._rows, self._series = rows, series
        self._online = timedelta(seconds=online_s)
        self._ids: list[str] = []
        self._until: datetime | None = None
        self._minute_kw: Floats = np.zeros((0, 0))

    async def measure(self, now: datetime, held: Sequence[HeldSpan]) -> Metered:
        loads = [one for one in await registry.resources(self._rows) if one.sheddable]
        await self._read_on([power_series(one.ven_id, one.resource_id) for one in loads], now)
        latest = await self._latest(loads, now)
        gone = await self._rows.read(presence.gone)
        rows, shed = _now(loads, latest, {span.load: span.until for span in held if span.until is not None}, gone)
        return await asyncio.to_thread(metered, rows, shed, self._minute_kw, self._until or now, held, now)

    async def _read_on(self, ids: list[str], now: datetime) -> None:
        """Mean power by minute up to the last whole one."""
        until = datetime.fromtimestamp(now.timestamp() // MINUTE_S * MINUTE_S, UTC)
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
        columns = [rows[name].to_pylist() for name in ("series_id", "at", "value")]
        flags = rows["flags"].cast(pa.int64()).to_pylist()
        return {name: Reading(at, value, Flag(flag)) for name, at, value, flag in zip(*columns, flags, strict=True)}


def metered(
    loads: Sequence[LoadNow],
    shed: Sequence[bool],
    minute_kw: Floats,
    until: datetime,
    held: Sequence[HeldSpan],
    now: datetime,
) -> Metered:
    """`minute_kw`, [loads, minutes], is up to `until`; NaN where nothing is known."""
    filled = _filled(minute_kw)
    return Metered(
        at=now,
        loads=Loads.of([_at_least(one) for one in loads]),
        shed=np.array(shed, dtype=np.bool_),
        running=running(filled),
        persistence=learnt(_free(filled, loads, until, held), [str(one.kind) for one in loads]),
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


def _filled(minute_kw: Floats) -> Floats:
    filled = minute_kw.copy()
    for minute in range(-FILLED_MIN, 0):
        if filled.shape[1] > -minute:
            filled[:, minute] = np.where(np.isnan(filled[:, minute]), filled[:, minute - 1], filled[:, minute])
    return filled


def _free(minute_kw: Floats, loads: Sequence[LoadNow], until: datetime, held: Sequence[HeldSpan]) -> Floats:
    """What the loads drew when nobody held them, nor had lately."""
    free, last = minute_kw.copy(), minute_kw.shape[1]
    index = {(one.ven_id, one.resource_id): at for at, one in enumerate(loads)}
    for load, start, back in held:
        if load in index:
            first = max(0, last - max(0, -((start - until) // MINUTE)))
            over = last if back is None else min(last, last - (until - back - PAYBACK) // MINUTE)
            free[index[load], first : max(over, first)] = np.nan
    return free
