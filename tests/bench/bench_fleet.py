"""A fleet of 10,000 VENs: what its beats cost, its sums now, a step of its history, and an import of its file.

Run: python -m tests.bench.bench_fleet
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tests.integration.floods import flooding
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.names import power_series, sheddable_series
from tieline.base.series import readings
from tieline.base.time import Span, VirtualClock, micros
from tieline.ports import Entry
from tieline.registry.importing import import_sheet
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.presence.model import Policy
from tieline.telemetry.presence.mqtt import Listener
from tieline.telemetry.statistics import reads
from tieline.telemetry.tail import Tail
from tieline.wires.mqtt.codec import encode
from tieline.wires.mqtt.messages import Presence

VENS, LOADS = 10_000, 3
START = datetime(2026, 7, 15, 12, tzinfo=UTC)
MINUTES = 20
BEAT = encode(Presence(online=True, beat_s=60, agent="bench"))


class Delivery:
    """Of a broker that is not measured here."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries

    async def done(self, *, but: Sequence[Entry] = ()) -> None:
        pass


def sheet() -> bytes:
    lines = ["site_id,zone,ven_id,resource_id,kind,rated_kw,sheddable"]
    for n in range(VENS):
        lines += [f"site-{n},UTC,home-{n},load-{load},ev,7.4,yes" for load in range(LOADS)]
    return "\n".join(lines).encode()


async def importing(rows: SqliteRows, clock: VirtualClock) -> None:
    data = sheet()
    for what in ("import, all new", "the same again"):
        began, cpu = time.perf_counter(), time.process_time()
        report = await import_sheet(rows, clock, data, dry_run=False)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert report.refused == 0
        print(f"  {what:<34}{took:8.2f} s    {report.rows / took:,.0f} rows a second, {cpu:.1f} s of CPU")


async def beating(rows: SqliteRows, clock: VirtualClock) -> None:
    """Minutes of beats, as they come from the broker in batches, with the ticks between them."""
    told = flooding(None, rows, clock)
    listener = Listener(None, rows, clock, Policy(), told)  # type: ignore[arg-type]
    position, cpu = 0, list[float]()
    for minute in range(4):
        began = time.process_time()
        for tick in range(12):
            some = range(tick * VENS // 12, (tick + 1) * VENS // 12)
            said_at = START + timedelta(seconds=60 * minute + 5 * tick)
            entries = [Entry(position + n, f"mqtt.ven.presence.home-{n}", BEAT, said_at) for n in some]
            for first in range(0, len(entries), 20):
                await listener.take(Delivery(entries[first : first + 20]))
            await clock.advance(5)
            await listener.tick()
        cpu.append(time.process_time() - began)
    print(f"  {'a minute of beats, CPU':<34}{cpu[-1]:8.2f} s    {cpu[-1] / 60:.2%} of a core; the first {cpu[0]:.2f} s")


async def summing(rows: SqliteRows, clock: VirtualClock, series: DeltaSeries) -> None:
    tail = Tail(None, series, seals=False, seal_seconds=3600)  # type: ignore[arg-type]
    names = [power_series(f"home-{n}") for n in range(VENS)]
    for load in range(LOADS):
        names += [of(f"home-{n}", f"load-{load}") for n in range(VENS) for of in (power_series, sheddable_series)]
    tail.latest.know(names, micros(clock.now()) - 1)
    now = np.full(len(names), micros(clock.now()))
    tail.latest.take(tail.latest.codes(names), now, np.ones(len(names)), np.zeros(len(names), np.int64))
    fleet = Fleet(rows, tail, clock, 300)
    await fleet.now()
    began = time.process_time()
    total = (await fleet.statistics(None)).total
    took = time.process_time() - began
    assert (total.used_kw, total.controllable_kw) == (VENS, VENS * LOADS)
    print(f"  {'sums now, CPU':<34}{took:8.2f} s")


async def stepping(rows: SqliteRows, series: DeltaSeries) -> None:
    ids = [power_series(f"home-{n}") for n in range(VENS)]
    for load in range(LOADS):
        ids += [power_series(f"home-{n}", f"load-{load}") for n in range(VENS)]
        ids += [sheddable_series(f"home-{n}", f"load-{load}") for n in range(VENS)]
    for minute in range(MINUTES + 1):
        at = [micros(START + timedelta(minutes=minute))] * len(ids)
        rows_ = readings(ids, at, np.ones(len(ids)).tolist(), known_at=START)
        await series.append(rows_, writer="bench", position=minute + 1)
    await series.compact()
    began = time.perf_counter()
    for first in range(0, len(ids), 3500):
        await series.scan(ids[first : first + 3500], START, START + timedelta(minutes=MINUTES))
    limit = time.perf_counter() - began
    for hours, minutes in (("a step", 5), ("four steps at once", 20)):
        began = time.perf_counter()
        found = await reads.from_raw(rows, series, Span(START, START + timedelta(minutes=minutes)))
        took = time.perf_counter() - began
        assert [(one.counted, one.used_kw) for one in found] == [(VENS, VENS)] * (minutes // 5)
        told = f"{took / limit:.1f} × reading {len(ids)} series of {MINUTES} min"
        print(f"  {hours + ' of history':<34}{took:8.2f} s    {told}")


async def main() -> None:
    clock = VirtualClock(START - timedelta(days=1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series = DeltaSeries.in_folder(folder / "series")
        async with SqliteRows(folder / "rows.sqlite", clock) as rows:
            await rows.migrate()
            print(f"{VENS} VENs with {LOADS} loads each")
            await importing(rows, clock)
            await clock.advance(86400)
            await beating(rows, clock)
            await summing(rows, clock, series)
            await stepping(rows, series)
        await series.close()


if __name__ == "__main__":
    asyncio.run(main())
