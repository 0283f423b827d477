"""Series on a folder: appending, a device's day, bytes a reading; each beside the bare tool it is made of.

python -m tests.bench.bench_series
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tieline.adapters.series import DeltaSeries
from tieline.base.series import INSTANT, READINGS

DEVICES, STEPS, COMMIT = 1000, 5000, 100_000
STEP = timedelta(minutes=5)
T0 = datetime(2026, 3, 1, tzinfo=UTC)
IDS = [f"home-{i:05d}.power_kw" for i in range(DEVICES)]
ASKED = 200


def batches() -> Iterator[pa.Table]:
    """As readings come: every device in turn, step after step, kilowatts to three places."""
    rng = np.random.default_rng(1)
    load = rng.uniform(0.2, 3, DEVICES)
    steps = COMMIT // DEVICES
    names = pa.array(IDS).take(np.tile(np.arange(DEVICES), steps))
    for first in range(0, STEPS, steps):
        at = np.repeat(np.arange(first, first + steps), DEVICES) * (STEP // timedelta(microseconds=1))
        at += int(T0.timestamp()) * 1_000_000
        walk = np.abs(load + np.cumsum(rng.normal(0, 0.2, (steps, DEVICES)), axis=0))
        load = walk[-1]
        known_at = at + rng.integers(1_000_000, 3_000_000, COMMIT)
        seq = np.arange(COMMIT) + first * DEVICES
        columns = [
            names,
            pa.array(at).cast(INSTANT),
            pa.array(np.round(walk.ravel(), 3)),
            pa.array(np.zeros(COMMIT, np.int16)),
            pa.array(known_at).cast(INSTANT),
            pa.array(seq),
        ]
        yield pa.table(columns, schema=READINGS)


def line(what: str, figure: float, limit: float, unit: str) -> None:
    print(f"{what:<34} {figure:12,.2f}   limit {limit:12,.2f} {unit:<10} ratio {figure / limit:6.2f}")


async def bench(folder: Path) -> None:
    series = DeltaSeries.in_folder(folder / "series")
    rows = list(batches())
    await series.ready()
    appended = await appending(series, rows)
    written = writing(folder, rows)
    total = DEVICES * STEPS
    line("append, 100,000 rows a commit", total / appended, total / written, "rows/s")

    started = time.perf_counter()
    await series.compact()
    compacted = time.perf_counter() - started
    whole = pa.concat_tables(rows).sort_by([("series_id", "ascending"), ("at", "ascending")])
    perfect = folder / "perfect.parquet"
    started = time.perf_counter()
    pq.write_table(whole, perfect, compression="zstd", row_group_size=122_880)
    line("compact", total / compacted, total / (time.perf_counter() - started), "rows/s")
    newest = max((folder / "series").rglob("merged-*.parquet"), key=lambda file: file.stat().st_mtime)
    line("stored, compacted", newest.stat().st_size / total, perfect.stat().st_size / total, "bytes/row")

    days = questions()
    plain = statistics.median(plain_days(perfect, days))
    line("a device's day, median", statistics.median(await series_days(series, days)), plain, "ms")
    started = time.perf_counter()
    await series.last(IDS, since=T0)
    first = time.perf_counter() - started
    asked = [await timed_last(series) for _ in range(20)]
    line(f"newest of {DEVICES} series, median", statistics.median(asked), 20, "ms")
    print(f"{'newest, asked for the first time':<34} {first * 1e3:12,.2f} ms")
    await series.close()


async def appending(series: DeltaSeries, rows: list[pa.Table]) -> float:
    started = time.perf_counter()
    for position, batch in enumerate(rows, 1):
        await series.append(batch, writer="bench", position=position)
    return time.perf_counter() - started


def writing(folder: Path, rows: list[pa.Table]) -> float:
    """The limit: the same rows, as they come, into one plain Parquet file a batch; neither sorted nor synced."""
    started = time.perf_counter()
    for number, batch in enumerate(rows):
        pq.write_table(batch, folder / f"plain-{number}.parquet", compression="zstd")
    return time.perf_counter() - started


def questions() -> list[tuple[str, datetime]]:
    rng = np.random.default_rng(2)
    return [(IDS[rng.integers(DEVICES)], T0 + timedelta(days=int(rng.integers(16)))) for _ in range(ASKED)]


async def series_days(series: DeltaSeries, days: list[tuple[str, datetime]]) -> list[float]:
    took = []
    for series_id, day in days:
        started = time.perf_counter()
        got = await series.scan([series_id], day, day + timedelta(days=1))
        took.append((time.perf_counter() - started) * 1e3)
        assert got.num_rows == 288
    return took


def plain_days(file: Path, days: list[tuple[str, datetime]]) -> list[float]:
    """The limit: DuckDB on one perfectly sorted file, knowing of no versions."""
    took = []
    ask = f"""SELECT * FROM '{file}' WHERE series_id = ? AND "at" >= ? AND "at" < ? ORDER BY "at" """
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        for series_id, day in days:
            started = time.perf_counter()
            got = connection.sql(ask, params=[series_id, day, day + timedelta(days=1)]).to_arrow_table()
            took.append((time.perf_counter() - started) * 1e3)
            assert got.num_rows == 288
    return took


async def timed_last(series: DeltaSeries) -> float:
    started = time.perf_counter()
    got = await series.last(IDS, since=T0)
    assert got.num_rows == DEVICES
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder_name:
        asyncio.run(bench(Path(folder_name)))
