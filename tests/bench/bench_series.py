"""Series on a folder: appending, keeping, and questions, each beside DuckDB on one perfectly sorted Parquet file.

python -m tests.bench.bench_series [--readings 5000000] [--folder KEPT]

100,000,000 readings take about 6 GB of disk and, mostly for the file to compare with, some minutes of two cores. A
folder that is kept is not built again. Ours and the limit are asked by turns, so that both meet the same machine.
"""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from tieline.adapters.series import DeltaSeries, Limits
from tieline.base.series import INSTANT, READINGS

COMMIT = 1_000_000
STEP = timedelta(minutes=5)
T0 = datetime(2026, 3, 1, tzinfo=UTC)
ASKED, GROUP = 40, 1000
DAY, WEEK = timedelta(days=1), timedelta(days=7)


def ids_of(devices: int) -> list[str]:
    return [f"home-{i:05d}.power_kw" for i in range(devices)]


def devices_of(readings: int) -> int:
    """As many as give each some weeks: 10,000 devices at 100 million."""
    return max(1000, min(10_000, readings // 10_000))


def batches(readings: int, commit: int = COMMIT) -> Iterator[pa.Table]:
    """As readings come: every device in turn, step after step, kilowatts to three places, known to the millisecond."""
    rng, devices = np.random.default_rng(1), devices_of(readings)
    load = rng.uniform(0.2, 3, devices)
    steps = commit // devices
    names = pa.array(ids_of(devices)).take(np.tile(np.arange(devices), steps))
    for first in range(0, readings // devices, steps):
        at = np.repeat(np.arange(first, first + steps), devices) * (STEP // timedelta(microseconds=1))
        at += int(T0.timestamp()) * 1_000_000
        walk = np.abs(load + np.cumsum(rng.normal(0, 0.2, (steps, devices)), axis=0))
        load = walk[-1]
        known_at = at + rng.integers(1_000, 3_000, len(at)) * 1000
        columns = [
            names,
            pa.array(at).cast(INSTANT),
            pa.array(np.round(walk.ravel(), 3)),
            pa.array(np.zeros(len(at), np.int16)),
            pa.array(known_at).cast(INSTANT),
            pa.array(np.arange(len(at)) + first * devices),
        ]
        yield pa.table(columns, schema=READINGS)


def line(what: str, figure: float, limit: float, unit: str, *, more_is_better: bool = False) -> None:
    speed = figure / limit if more_is_better else limit / figure
    print(f"{what:<44} {figure:12,.2f}   limit {limit:12,.2f} {unit:<10} speed {speed:6.2f} of it", flush=True)


async def build(folder: Path, readings: int) -> None:
    series = DeltaSeries.in_folder(folder / "series", limits=Limits(compact_timeout_s=3600))
    appended = written = 0.0
    for position, rows in enumerate(batches(readings), 1):
        started = time.perf_counter()
        await series.append(rows, writer="bench", position=position)
        appended += (middle := time.perf_counter()) - started
        pq.write_table(rows, folder / "plain.parquet", compression="zstd")
        written += time.perf_counter() - middle
    line("append, 1,000,000 rows a commit", readings / appended, readings / written, "rows/s", more_is_better=True)
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(3):  # a month is merged in parts of some files
        await series.compact()
    took = time.perf_counter() - started, (time.process_time() - cpu) / readings * 1e6
    print(f"{'compact':<44} {readings / took[0]:12,.0f} rows/s, {took[1]:.2f} s of CPU a million rows")
    print(f"{'memory at most, so far':<44} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:12,} MB")
    await series.close()
    sort(folder)


def sort(folder: Path) -> None:
    """The file to compare with."""
    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB", "temp_directory": str(folder)}) as connection:
        connection.execute(
            f"""COPY (SELECT * FROM read_parquet({files(folder)}, hive_partitioning = false) ORDER BY series_id, "at")
                TO '{folder}/perfect.parquet' (FORMAT parquet, COMPRESSION zstd)"""
        )


def files(folder: Path) -> list[str]:
    """Those in the table; what was merged stays beside them for a while."""
    return DeltaTable(folder / "series").file_uris()


def sizes(folder: Path) -> tuple[int, int]:
    return sum(Path(file).stat().st_size for file in files(folder)), (folder / "perfect.parquet").stat().st_size


async def ask(folder: Path, readings: int) -> None:
    series, ids = DeltaSeries.in_folder(folder / "series"), ids_of(devices_of(readings))
    ours, limit = sizes(folder)
    line("stored, compacted", ours / readings, limit / readings, "bytes/row")
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        perfect = Perfect(connection, folder / "perfect.parquet")
        await days(series, perfect, ids, readings)
        await groups(series, perfect, ids)
        await newest(series, perfect, ids)
    await series.close()


class Perfect:
    """The limit: DuckDB on one perfectly sorted file, knowing of no versions."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, file: Path) -> None:
        self._connection, self._file = connection, file

    def ask(self, sql: str, **bound: object) -> pa.Table:
        answer: pa.Table = self._connection.sql(
            sql.replace("PERFECT", f"'{self._file}'"), params=bound
        ).to_arrow_table()
        return answer


async def by_turns(
    times: int, ours: Callable[[int], Awaitable[pa.Table]], limit: Callable[[int], pa.Table]
) -> tuple[float, float]:
    """Medians in ms; both give as many rows."""
    took: list[tuple[float, float]] = []
    for number in range(times):
        started = time.perf_counter()
        one = await ours(number)
        middle = time.perf_counter()
        other = limit(number)
        took.append(((middle - started) * 1e3, (time.perf_counter() - middle) * 1e3))
        assert one.num_rows == other.num_rows > 0
    return statistics.median(a for a, _ in took), statistics.median(b for _, b in took)


async def days(series: DeltaSeries, perfect: Perfect, ids: list[str], readings: int) -> None:
    rng, last = np.random.default_rng(2), readings // len(ids) * STEP // DAY
    which = [(ids[rng.integers(len(ids))], T0 + int(rng.integers(last)) * DAY) for _ in range(ASKED)]
    sql = """SELECT * FROM PERFECT WHERE series_id = $id AND "at" >= $start AND "at" < $end ORDER BY "at" """
    got = await by_turns(
        ASKED,
        lambda n: series.scan([which[n][0]], which[n][1], which[n][1] + DAY),
        lambda n: perfect.ask(sql, id=which[n][0], start=which[n][1], end=which[n][1] + DAY),
    )
    line("a device's day, median", *got, "ms")


async def groups(series: DeltaSeries, perfect: Perfect, ids: list[str]) -> None:
    group, start = ids[:: len(ids) // GROUP], T0 + 5 * DAY
    for what, some, step in (("a week of 1,000 devices", group, STEP), ("an hour of every device", ids, 12 * STEP)):
        end = start + (WEEK if some is group else 12 * STEP)
        micros = step // timedelta(microseconds=1)
        sql = f"""SELECT epoch_us("at") // {micros} AS step, sum(value), count(*) FROM PERFECT
                  WHERE series_id IN (SELECT unnest($ids)) AND "at" >= $start AND "at" < $end GROUP BY 1 ORDER BY 1"""
        got = await by_turns(
            5,
            lambda _, some=some, end=end, step=step: series.total(some, start, end, step=step, columns=["value"]),  # type: ignore[misc]
            lambda _, some=some, end=end, sql=sql: perfect.ask(sql, ids=some, start=start, end=end),  # type: ignore[misc]
        )
        line(f"sum of {what}, median", *got, "ms")


async def newest(series: DeltaSeries, perfect: Perfect, ids: list[str]) -> None:
    started = time.perf_counter()
    await series.last(ids, since=T0)
    first = time.perf_counter() - started
    sql = """SELECT series_id, max("at"), arg_max(value, "at") FROM PERFECT GROUP BY 1"""
    got = await by_turns(3, lambda _: series.last(ids, since=T0), lambda _: perfect.ask(sql))
    line(f"last value of {len(ids):,} devices, median", *got, "ms")
    print(f"{'the same, asked for the first time':<44} {first * 1e3:12,.2f} ms")


async def bench(folder: Path, readings: int) -> None:
    print(f"{readings:,} readings of {devices_of(readings):,} devices")
    if not (folder / "perfect.parquet").exists():
        await build(folder, readings)
    await ask(folder, readings)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--readings", type=int, default=5_000_000)
    told.add_argument("--folder", type=Path, help="built once and kept (default: a passing one)")
    given, _ = told.parse_known_args()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(bench(given.folder, given.readings))
        return
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(bench(Path(name), given.readings))


if __name__ == "__main__":
    main()
