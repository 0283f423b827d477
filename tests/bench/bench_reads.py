"""Reads: a year's chart, a day, the newest of all, a batch; each beside DuckDB on one perfectly sorted Parquet file.

python -m tests.bench.bench_reads
"""

import asyncio
import contextlib
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.values_world import application
from tests.servers.nats import free_port
from tests.servers.rows import rows_at, with_tables
from tieline import process
from tieline.adapters.series import DeltaSeries
from tieline.base.series import INSTANT, READINGS, ROLLUPS, Declaration, Stamp
from tieline.base.time import Span, VirtualClock, iso
from tieline.ports import Rows
from tieline.registry import actions as registry
from tieline.telemetry.rollups.levels import Levels
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.rollups.rolling import Rolling
from tieline.telemetry.values import reads
from tieline.telemetry.values.answers import Answers
from tieline.telemetry.values.catalogue import Catalogue
from tieline.telemetry.values.model import Asked, Detail

DEVICES, DAY_STEPS, BATCH = 10_000, 96, 1000
MINUTES = 525_600
T0 = datetime(2025, 1, 1, tzinfo=UTC)
END = T0 + timedelta(minutes=MINUTES)
LAST_DAY = END - timedelta(days=1)
YEAR, DAY = Span(T0, END), Span(LAST_DAY, END)
HOME = "home-year.power_kw"
FLEET = [f"home-{i:05d}.power_kw" for i in range(DEVICES)]
TIMES = 15


def rows_of(names: list[str], steps: int, step: timedelta, start: datetime) -> pa.Table:
    """As readings come: every device in turn, step after step."""
    rng, n = np.random.default_rng(len(names)), steps * len(names)
    at = (
        np.repeat(np.arange(steps), len(names)) * (step // timedelta(microseconds=1))
        + int(start.timestamp()) * 1_000_000
    )
    value = np.abs(rng.normal(2, 0.5, n)).round(3)
    columns: list[Any] = [
        pa.array(names).take(pa.array(np.tile(np.arange(len(names)), steps), pa.int64())),
        pa.array(at).cast(INSTANT),
        pa.array(value),
        pa.array(np.zeros(n, np.int16)),
        pa.array(at + 1_500_000).cast(INSTANT),
        pa.array(np.arange(n)),
    ]
    return pa.table(columns, schema=READINGS)


def told(what: str, ms: float, limit: float, wanted: float | None = None) -> None:
    promise = f"   wanted < {wanted:g} ms" if wanted else ""
    print(f"{what:<42} {ms:9,.1f} ms   DuckDB {limit:9,.1f} ms   ratio {limit / ms:6.2f}{promise}")


class Bench:
    def __init__(self, series: DeltaSeries, rollups: Rollups, http: httpx.AsyncClient, file: Path) -> None:
        self.series, self.rollups, self.http = series, rollups, http
        self.tool = duckdb.connect(":memory:", config={"threads": 2})
        self.file = file

    def limit(self, sql: str, *params: object) -> float:
        """Milliseconds, the median, of the same question to the sorted file."""
        return statistics.median(self._limits(sql.replace("FILE", f"'{self.file}'"), params))

    def _limits(self, sql: str, params: tuple[object, ...]) -> list[float]:
        took = []
        for _ in range(TIMES):
            began = time.perf_counter()
            self.tool.sql(sql, params=list(params)).to_arrow_table()
            took.append((time.perf_counter() - began) * 1e3)
        return took

    async def get(self, path: str, **params: Any) -> bytes:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.content


async def median(work: Callable[[int], Awaitable[object]]) -> float:
    took = []
    for n in range(TIMES + 1):
        began = time.perf_counter()
        await work(n)
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took[1:])  # the first finds nothing warm


def declared(name: str, step_s: int) -> Declaration:
    return Declaration(name, "kW", step_s, "UTC", Stamp.START, 900, "bench")


async def charts(bench: Bench) -> None:
    home = declared(HOME, 60)
    sql = """WITH c AS (SELECT "at", value, (epoch_us("at") - epoch_us(?)) // ? AS c FROM FILE
               WHERE series_id = ? AND "at" >= ? AND "at" < ?)
             SELECT c, arg_min(value, "at"), arg_max(value, "at"), min(value), max(value), arg_min("at", value),
               arg_max("at", value), min("at"), max("at") FROM c GROUP BY c ORDER BY c"""
    limit = bench.limit(sql, T0, MINUTES * 60_000_000 // 1000, HOME, T0, END)

    async def thinned(asked: Asked) -> None:
        found = await reads.read(bench.series, bench.rollups, [home], asked)
        assert 1000 < found.num_rows <= asked.points

    auto = Asked(YEAR, resolution=Detail.AUTO, points=5000)
    raw = msgspec.structs.replace(auto, as_of=END + timedelta(days=1))
    told("a year at a minute, thinned from hours", await median(lambda _: thinned(auto)), limit, 100)
    told("the same, from its 525,600 readings", await median(lambda _: thinned(raw)), limit)
    span = {"start": iso(T0), "end": iso(END), "resolution": "auto", "shape": "columns"}
    path = f"/v1/series/{HOME}/values"
    told("over HTTP, each another chart", await median(lambda n: bench.get(path, points=5000 - n, **span)), limit, 100)
    told("over HTTP, as others had it", await median(lambda _: bench.get(path, points=5000, **span)), limit, 100)


async def days(bench: Bench) -> None:
    sql = """SELECT "at", value, flags FROM FILE WHERE series_id = ? AND "at" >= ? AND "at" < ? ORDER BY "at" """
    limit = bench.limit(sql, HOME, LAST_DAY, END)
    home = declared(HOME, 60)
    took = await median(lambda _: reads.read(bench.series, bench.rollups, [home], Asked(DAY)))
    told("one device's day, 1,440 readings", took, limit, 10)
    span = {"start": iso(LAST_DAY), "end": iso(END)}
    took = await median(lambda n: bench.get(f"/v1/series/{HOME}/values", limit=5000 + n, **span))
    told("over HTTP, as JSON", took, limit, 10)


async def newest(bench: Bench) -> None:
    sql = """SELECT series_id, max("at"), arg_max(value, "at") FROM FILE GROUP BY series_id ORDER BY series_id"""
    limit = bench.limit(sql)
    took = await median(lambda _: bench.series.last(FLEET, since=LAST_DAY))
    told(f"last value of all {DEVICES:,}", took, limit, 50)
    took = await median(lambda _: bench.get("/v1/series/last", shape="columns"))
    told("over HTTP, with their age, in columns", took, limit, 50)
    told("the same in rows", await median(lambda _: bench.get("/v1/series/last")), limit, 50)


async def batches(bench: Bench) -> None:
    names = FLEET[:: DEVICES // BATCH]
    sql = """SELECT series_id, "at", value, flags FROM FILE
             WHERE series_id IN (SELECT unnest(?)) AND "at" >= ? AND "at" < ? ORDER BY series_id, "at" """
    limit = bench.limit(sql, names, LAST_DAY, END)
    many = [declared(name, 900) for name in names]
    took = await median(lambda _: reads.read(bench.series, bench.rollups, many, Asked(DAY)))
    told(f"a day of {BATCH:,} series, {BATCH * DAY_STEPS:,} readings", took, limit)
    for suffix in (".arrow", ".parquet", ".csv", ""):
        took = await median(lambda n, suffix=suffix: _post(bench, names, suffix, n))  # type: ignore[misc]
        told(f"over HTTP, {suffix or 'JSON in columns'}", took, limit)


async def _post(bench: Bench, names: list[str], suffix: str, n: int) -> None:
    body = {"series_ids": names, "start": iso(LAST_DAY), "end": iso(END - timedelta(seconds=n)), "shape": "columns"}
    answer = await bench.http.post(f"/v1/series/values{suffix}", json=body)
    assert answer.status_code == 200, answer.text


async def stock(rows: Rows, series: DeltaSeries, rolling: Rolling, folder: Path) -> Path:
    """The readings, compacted and rolled up, and the same in one sorted file."""
    clock = VirtualClock(END + timedelta(hours=2))
    for name, step_s in [(HOME, 60), *((name, 900) for name in FLEET)]:
        await registry.declare(rows, clock, declared(name, step_s))
    parts = [
        rows_of([HOME], MINUTES, timedelta(minutes=1), T0),
        rows_of(FLEET, DAY_STEPS, timedelta(minutes=15), LAST_DAY),
    ]
    for position, part in enumerate(parts, 1):
        await series.append(part, writer="bench", position=position)
    await series.compact()
    await rolling.five.follow()
    await rolling.hour.follow()
    whole = pa.concat_tables(parts).sort_by([("series_id", "ascending"), ("at", "ascending")])
    pq.write_table(whole, folder / "perfect.parquet", compression="zstd", row_group_size=122_880)
    return folder / "perfect.parquet"


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Bench]:
    clock = VirtualClock(END + timedelta(hours=2))
    raw = DeltaSeries.in_folder(folder / "series")
    five, hour = (DeltaSeries.in_folder(folder / name, shape=ROLLUPS) for name in ("series-5m", "series-1h"))
    port = free_port()
    async with rows_at(str(with_tables(folder / "rows.sqlite")), clock) as rows:
        levels = Levels(rows, raw, five, hour)
        rollups = Rollups(levels)
        began = time.perf_counter()
        file = await stock(rows, raw, Rolling(levels, clock), folder)
        print(f"{MINUTES + DEVICES * DAY_STEPS:,} readings in {time.perf_counter() - began:.0f} s\n")
        answers = Answers(raw, rollups, clock, lambda: 0)
        app = application(clock, rows=rows, series=raw, answers=answers, catalogue=Catalogue(rows), live=None)
        url = f"http://127.0.0.1:{port}"
        async with process.serving(app, "127.0.0.1", port), httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield Bench(raw, rollups, http, file)
    for one in (raw, five, hour):
        await one.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        async with opened(Path(name)) as bench:
            for part in (charts, days, newest, batches):
                await part(bench)


if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(main())
