"""The VENs' meters as arrays: which can be integrated together, and what they read as of an instant."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tieline.base.names import power_series
from tieline.base.series import Declaration, Stamp
from tieline.base.time import from_micros, micros
from tieline.ports import Reader, Rows, Series
from tieline.registry import reads as registry
from tieline.registry.model import Ven
from tieline.settlement.terms.model import Export
from tieline.telemetry.integration import Floats, Integrated, Ints, contributing, integrate, integrate_many

AT_ONCE = 2000
"""So many meters are read together: what they say in a few hours fits easily in memory."""


MOST = 100_000_000
"""More series than there are."""


@dataclass(frozen=True)
class Meters:
    """Meters in one zone, read by one rule."""

    ven_ids: Sequence[str]
    zone: str
    stamp: Stamp
    hold_s: int


@dataclass(frozen=True)
class Readings:
    """Those readings of a span that cover some of it: by meter (an index into `ven_ids`), then by instant."""

    meters: Meters
    index: Ints
    at_us: Ints
    value_kw: Floats

    async def on(self, edges_us: Ints) -> Integrated:
        """Onto steps, [meters, steps]; in a thread, since a fleet takes a while."""
        m = self.meters
        return await asyncio.to_thread(
            integrate_many,
            self.index,
            self.at_us,
            self.value_kw,
            len(m.ven_ids),
            edges_us,
            stamp=m.stamp,
            hold_s=m.hold_s,
        )

    def counting(self, export: Export) -> Self:
        """What a home feeds in as the terms say: as it is, or as if it drew nothing meanwhile."""
        return self if export is Export.NET else replace(self, value_kw=np.maximum(self.value_kw, 0.0))

    def of(self, meter: int) -> tuple[Ints, Floats]:
        """Instants and values of one meter."""
        first, last = np.searchsorted(self.index, [meter, meter + 1])
        return self.at_us[first:last], self.value_kw[first:last]


async def meters(rows: Rows, wanted: Callable[[Ven], bool]) -> list[Meters]:
    """The meters of those registered VENs, in portions."""
    return await meters_of(rows, {ven.ven_id for ven in await registry.vens(rows) if wanted(ven)})


async def meters_of(rows: Rows, ven_ids: Collection[str]) -> list[Meters]:
    """The meters of these VENs, in order, in portions; also of those that were retired since."""
    powers = await registry.declarations(rows, q=power_series(""), limit=MOST)  # a query each takes ten times so long
    declared = {one.series_id: one for one in powers}
    alike: dict[tuple[str, Stamp, int], list[str]] = defaultdict(list)
    for ven_id in sorted(ven_ids):
        how = declared[power_series(ven_id)]
        alike[how.zone, how.stamp, how.hold_s].append(ven_id)
    return [
        Meters(ids[first : first + AT_ONCE], zone, stamp, hold_s)
        for (zone, stamp, hold_s), ids in alike.items()
        for first in range(0, len(ids), AT_ONCE)
    ]


def meter(reader: Reader, ven_id: str) -> Declaration:
    """Raises `NotFound`."""
    return registry.the_series(reader, power_series(ven_id))


async def scan(
    series: Series, ven_ids: Sequence[str], hold_s: int, start: datetime, end: datetime, known_at: datetime
) -> pa.Table:
    """The rows that may cover some of a span: those in it, and as far beyond it as a value may stand."""
    hold = timedelta(seconds=hold_s)
    return await series.scan([power_series(ven_id) for ven_id in ven_ids], start - hold, end + hold, as_of=known_at)


async def read(
    series: Series,
    meters: Meters,
    start: datetime,
    end: datetime,
    known_at: datetime,
    only: Sequence[int] | None = None,
) -> Readings:
    """What those meters (`only` some of them, by index) read in a span, as of an instant."""
    asked = meters.ven_ids if only is None else [meters.ven_ids[i] for i in only]
    table = await scan(series, asked, meters.hold_s, start, end, known_at)
    ids = pa.array([power_series(ven_id) for ven_id in meters.ven_ids])
    index = pc.index_in(table["series_id"], value_set=ids).to_numpy().astype(np.int64)
    at_us = table["at"].cast(pa.int64()).to_numpy()
    value_kw = table["value"].to_numpy()
    order = np.lexsort((at_us, index))
    index, at_us, value_kw = index[order], at_us[order], value_kw[order]
    used = contributing(index, at_us, micros(start), micros(end), stamp=meters.stamp, hold_s=meters.hold_s)
    return Readings(meters, index[used], at_us[used], value_kw[used])


async def integrated(series: Series, declared: Declaration, edges_us: Ints, known_at: datetime) -> Integrated:
    """One series of any kind on steps, as of an instant: `mean_kw` is then its mean in its own unit, by time."""
    hold = timedelta(seconds=declared.hold_s)
    start, end = from_micros(int(edges_us[0])) - hold, from_micros(int(edges_us[-1])) + hold
    table = await series.scan([declared.series_id], start, end, as_of=known_at)
    at_us, value = table["at"].cast(pa.int64()).to_numpy(), table["value"].to_numpy()
    return integrate(at_us, value, edges_us, stamp=declared.stamp, hold_s=declared.hold_s)
