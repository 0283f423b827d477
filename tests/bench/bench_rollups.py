"""Rollups: readings rolled up a second, and questions of groups, each beside DuckDB over one perfectly sorted file.

python -m tests.bench.bench_rollups [DAYS]
"""

from __future__ import annotations  # pyarrow's generics

import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.servers.rows import with_tables
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.series import INSTANT, READINGS, ROLLUPS, Declaration, Stamp
from tieline.base.time import Span, VirtualClock, micros
from tieline.registry import actions as registry
from tieline.telemetry.rollups.levels import WRITER, Levels, following
from tieline.telemetry.rollups.model import Resolution, Rule, edges, merge, roll
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.rollups.rolling import Rolling

DEVICES, GROUP, AT_ONCE = 10_000, 1000, 500
T0 = datetime(2026, 3, 1, tzinfo=UTC)
IDS = [f"home-{i:05d}.power_kw" for i in range(DEVICES)]
FIVE_US = 300_000_000
HOLD_S = 900
ASKED = 7


def line(what: str, figure: float, limit: float, unit: str) -> None:
    print(f"{what:<44} {figure:14,.1f}   limit {limit:14,.1f} {unit:<10} ratio {figure / limit:6.2f}", flush=True)


def walks(devices: range, steps: int) -> tuple[pa.Array[Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids, instants and kilowatts to three places, device by device."""
    rng = np.random.default_rng(devices.start)
    walk = np.abs(rng.uniform(0.2, 3, (len(devices), 1)) + np.cumsum(rng.normal(0, 0.2, (len(devices), steps)), axis=1))
    names = pa.array(IDS[devices.start : devices.stop]).take(np.repeat(np.arange(len(devices)), steps))
    at = np.tile(np.arange(steps), len(devices)) * FIVE_US + micros(T0)
    return names, at, np.round(walk.ravel(), 3)


def fives(devices: range, days: int) -> pa.Table:
    """Rows as the rollup makes them of a reading each twenty seconds."""
    names, at, kw = walks(devices, days * 288)
    n = len(at)
    columns = {
        "series_id": names,
        "at": at,
        "integral": kw / 12,
        "covered_s": np.full(n, 300.0),
        "low": np.round(kw * 0.9, 3),
        "high": np.round(kw * 1.2, 3),
        "first": kw,
        "last": np.roll(kw, 1),
        "count": np.full(n, 15),
        "flags": np.zeros(n, np.int16),
        "known_at": at + 420_000_000,
        "seq": np.zeros(n, np.int64),
    }
    return pa.table(columns).cast(ROLLUPS)


class World:
    def __init__(self, folder: Path, rows: SqliteRows) -> None:
        self.folder = folder
        self.raw = DeltaSeries.in_folder(folder / "series")
        self.five = DeltaSeries.in_folder(folder / "series-5m", shape=ROLLUPS)
        self.hour = DeltaSeries.in_folder(folder / "series-1h", shape=ROLLUPS)
        self.levels = Levels(rows, self.raw, self.five, self.hour)
        self.rollups = Rollups(self.levels)

    async def close(self) -> None:
        for one in (self.raw, self.five, self.hour):
            await one.close()


async def fill(world: World, days: int) -> dict[str, Path]:
    """Both levels as they stand after months, compacted, and each in one file in perfect order."""
    files = {name: world.folder / f"perfect-{name}.parquet" for name in ("five", "hour")}
    writers = {name: pq.ParquetWriter(file, ROLLUPS, compression="zstd") for name, file in files.items()}
    hours = edges(Span(T0, T0 + timedelta(days=days)), Resolution.HOUR, "UTC")
    for position, first in enumerate(range(0, DEVICES, AT_ONCE), 1):
        fine = fives(range(first, first + AT_ONCE), days)
        for name, series, rows in (("five", world.five, fine), ("hour", world.hour, merge(fine, hours))):
            await series.append(rows, writer="bench", position=position)
            writers[name].write_table(rows, row_group_size=122_880)
    for writer in writers.values():
        writer.close()
    await world.levels.compact()
    followed = following(0, await world.five.version())
    await world.hour.append(ROLLUPS.empty_table(), writer=WRITER, position=followed)
    return files


def plain(file: Path, ids: list[str], span: Span, step: str) -> Callable[[], int]:
    """The limit: DuckDB on one perfectly sorted file, knowing of no versions."""
    sql = f"""SELECT date_trunc('{step}', "at") AS step, sum(integral), sum(covered_s), count(*)
              FROM '{file}' WHERE series_id IN (SELECT unnest(?)) AND "at" >= ? AND "at" < ? GROUP BY 1 ORDER BY 1"""
    if step == "five":
        sql = sql.replace("date_trunc('five', \"at\")", '"at"')
    connection = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "256MB"})
    return lambda: connection.sql(sql, params=[ids, span.start, span.end]).to_arrow_table().num_rows


async def beside(what: str, ours: Callable[[], Awaitable[pa.Table]], theirs: Callable[[], int]) -> None:
    """The two in turn, so that what else the machine does troubles both."""
    mine, limit = [], []
    for _ in range(ASKED):
        started = time.perf_counter()
        rows = await ours()
        mine.append(time.perf_counter() - started)
        started = time.perf_counter()
        assert theirs() == rows.num_rows
        limit.append(time.perf_counter() - started)
    line(what, statistics.median(mine) * 1e3, statistics.median(limit) * 1e3, "ms")


async def questions(world: World, days: int) -> None:
    files = await fill(world, days)
    rows = DEVICES * days * 288
    print(f"{DEVICES:,} devices, {days} days: {rows:,} steps of five minutes, {rows // 12:,} hours", flush=True)
    span, week = Span(T0, T0 + timedelta(days=days)), Span(T0, T0 + timedelta(days=min(days, 7)))
    group = IDS[2000 : 2000 + GROUP]
    await beside(
        "hours of everything, summed",
        lambda: world.rollups.total(IDS, span, Resolution.HOUR),
        plain(files["hour"], IDS, span, "hour"),
    )
    await beside(
        f"a week of {GROUP} at 5 min, summed",
        lambda: world.rollups.total(group, week, Resolution.FIVE_MINUTES),
        plain(files["five"], group, week, "five"),
    )
    for level, file in (("five", files["five"]), ("hour", files["hour"])):
        folder = world.folder / f"series-{'5m' if level == 'five' else '1h'}"
        size = sum(each.stat().st_size for each in folder.rglob("merged-*.parquet"))
        line(
            f"kept, {level}",
            size / (rows if level == "five" else rows / 12),
            file.stat().st_size / (rows if level == "five" else rows / 12),
            "bytes/row",
        )


def readings_of(devices: int, minutes: int) -> Iterator[pa.Table]:
    """A reading each twenty seconds, ten minutes of all devices a commit."""
    rng = np.random.default_rng(3)
    for first in range(0, minutes * 3, 30):
        at = np.repeat(np.arange(first, first + 30), devices) * 20_000_000 + micros(T0) + 20_000_000
        n = len(at)
        columns = [
            pa.array(IDS[:devices]).take(np.tile(np.arange(devices), 30)),
            pa.array(at).cast(INSTANT),
            pa.array(np.round(rng.uniform(0, 5, n), 3)),
            pa.array(np.zeros(n, np.int16)),
            pa.array(at + 1_000_000).cast(INSTANT),
            pa.array(np.arange(n)),
        ]
        yield pa.table(columns, schema=READINGS)


async def rolling(world: World, rows: SqliteRows, clock: VirtualClock, devices: int = 2000, minutes: int = 120) -> None:
    """A backlog, rolled up from nothing; beside reading the same rows and doing nothing with them."""
    declared = [Declaration(one, "kW", 20, "UTC", Stamp.END, HOLD_S, "bench") for one in IDS[:devices]]
    await rows.transaction(lambda tx: registry.declare_series(tx, declared, clock.now()))
    count = 0
    for position, part in enumerate(readings_of(devices, minutes), 1):
        await world.raw.append(part, writer="bench", position=position)
        count += part.num_rows
    await clock.advance(86400)
    one = Rolling(world.levels, clock)
    began, cpu = time.perf_counter(), time.process_time()
    await one.five.follow()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    span = Span(T0, T0 + timedelta(minutes=minutes))
    began = time.perf_counter()
    for first in range(0, devices, AT_ONCE):
        found = await world.raw.scan(IDS[first : min(first + AT_ONCE, devices)], span.start, span.end)
    scanned = time.perf_counter() - began
    line("backlog rolled up, readings", count / took, count / scanned, "readings/s")
    print(f"{'':<44} {cpu / count * 1e6:14.2f} µs of a processor a reading")
    began = time.perf_counter()
    await one.hour.follow()
    print(f"{'hours made of them':<44} {devices * minutes / 60 / (time.perf_counter() - began):14,.0f} hours/s")
    found = await world.raw.scan(IDS[:200], span.start, span.end)
    rules = {name: Rule(Stamp.END, HOLD_S * 1_000_000) for name in IDS[:200]}
    began = time.process_time()
    made = roll(found, rules, FIVE_US)
    print(f"{'the arithmetic alone':<44} {found.num_rows / (time.process_time() - began):14,.0f} readings/s")
    assert pc.sum(made["count"]).as_py() == found.num_rows


async def bench(folder: Path, days: int) -> None:
    clock = VirtualClock(T0)
    async with SqliteRows(with_tables(folder / "rows.sqlite"), clock) as rows:
        for name, work in (("rolling", rolling), ("asking", questions)):
            world = World(folder / name, rows)
            await (rolling(world, rows, clock) if work is rolling else questions(world, days))
            await world.close()
    print(f"{'memory, the most':<44} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:14,.0f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder_name:
        asyncio.run(bench(Path(folder_name), int(sys.argv[1]) if len(sys.argv) > 1 else 7))
