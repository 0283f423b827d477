"""A year of hourly load: read, and loaded into Series, against DuckDB reading the same file in the same run.

Run: python -m tests.bench.bench_load [CURVA_CARGA_….csv]
"""

import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.series import DeltaSeries
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import RatedClock
from tieline.feeds import actions
from tieline.wires.sources.files import parse

RUNS = 9


def made_up() -> bytes:
    """35,040 rows as ONS writes them."""
    start = datetime(2022, 1, 1, tzinfo=UTC)
    rows = [
        f"{one};{one};{start + timedelta(hours=hour):%Y-%m-%d %H:%M:%S};{20000 + hour * 37 % 9000}.12500000"
        for hour in range(8760)
        for one in ("N", "NE", "S", "SE")
    ]
    return "\n".join(["id_subsistema;nom_subsistema;din_instante;val_cargaenergiahomwmed", *rows, ""]).encode()


def seconds(work: Callable[[], object]) -> float:
    """The median of some runs, after one to warm up."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


async def loading(data: bytes, folder: Path) -> float:
    """Seconds of whole loads (kept, read, compared, committed, recorded): as other subsystems each time."""
    clock, series = RatedClock(), DeltaSeries.in_folder(folder / "series")
    times = []
    async with SqliteRows(folder / "rows.sqlite", clock) as rows:
        await rows.migrate()
        blobs = ObjectBlobs.folder(folder / "blobs")
        for run in range(RUNS + 1):
            copy = re.sub(rb"\n([NS]E?);", rf"\n\g<1>{run};".encode(), data)
            began = time.perf_counter()
            outcome = await actions.load(copy, "year.csv", rows=rows, series=series, blobs=blobs, clock=clock)
            times.append(time.perf_counter() - began)
            assert outcome.stored > 30_000
    await series.close()
    return statistics.median(times[1:])


def main() -> None:
    data = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else made_up()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "year.csv"
        file.write_bytes(data)
        limit = seconds(lambda: duckdb.read_csv(str(file), sep=";").to_arrow_table())
        ours = seconds(lambda: parse(data, "year.csv"))
        whole = asyncio.run(loading(data, Path(name)))
    rows = parse(data, "year.csv").rows.num_rows
    print(f"{rows} readings, {len(data) >> 10} KiB")
    print(f"  DuckDB read_csv       {limit * 1000:7.1f} ms   the limit")
    print(f"  parse                 {ours * 1000:7.1f} ms   {ours / limit:.2f} × the limit")
    print(f"  load, all committed   {whole * 1000:7.1f} ms   {whole / limit:.2f} × the limit")


if __name__ == "__main__":
    main()
