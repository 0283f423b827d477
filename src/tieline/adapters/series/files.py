"""One immutable Parquet file of readings: written in order, measured, entered into the table's log and struck out."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

from tieline.base.series import READINGS
from tieline.base.time import from_micros, iso, micros

ROWS_A_GROUP = 122_880  # what DuckDB prunes by and shares among threads
_SLACK = 999  # other writers cut the statistics of instants to the millisecond


class File(msgspec.Struct, frozen=True):
    """A file of one month and the bounds of what is in it; instants in microseconds since 1970 UTC."""

    path: str
    month: str
    size: int
    rows: int
    first_id: str
    last_id: str
    first_at: int
    last_at: int

    def holds(self, series_ids: Sequence[str], start: int, end: int) -> bool:
        """Whether it may hold readings of any of the (sorted) series in [start, end)."""
        return (
            self.first_at < end
            and self.last_at >= start
            and bisect_left(series_ids, self.first_id) < bisect_right(series_ids, self.last_id)
        )


def write(path: Path, tables: Iterable[pa.Table]) -> None:
    """Rows already in order. Delta packing is what makes steady instants nearly free."""
    with pq.ParquetWriter(
        path,
        READINGS,
        compression="zstd",
        use_dictionary=["series_id", "value", "flags"],  # type: ignore[arg-type]
        column_encoding=dict.fromkeys(("at", "known_at", "seq"), "DELTA_BINARY_PACKED"),
    ) as file:
        for rows in tables:
            file.write_table(rows, row_group_size=ROWS_A_GROUP)


def stream(path: Path) -> Iterator[pa.Table]:
    """A file's rows, a group at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_A_GROUP):
            yield pa.Table.from_batches([batch]).cast(READINGS)


def measured(local: Path, path: str, month: str) -> File:
    """What a file just written says of itself in its footer."""
    footer = pq.read_metadata(local)
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    series: list[Any] = [group.column(0).statistics for group in groups]
    at: list[Any] = [group.column(1).statistics for group in groups]
    return File(
        path=path,
        month=month,
        size=local.stat().st_size,
        rows=footer.num_rows,
        first_id=min(s.min for s in series),
        last_id=max(s.max for s in series),
        first_at=min(micros(s.min) for s in at),
        last_at=max(micros(s.max) for s in at),
    )


def listed(actions: pa.Table, known: dict[str, File]) -> dict[str, File]:
    """The files of a table's add actions by path; those known are not parsed again."""
    names = ["path", "partition.month", "size_bytes", "num_records"]
    bounds = ["min.series_id", "max.series_id", "min.at", "max.at"]
    have = [name for name in names + bounds if name in actions.schema.names]
    paths: list[Any] = actions["path"].to_pylist()
    fresh = actions.select(have).filter(pa.array([path not in known for path in paths], pa.bool_()))
    new = {row["path"]: _listed(row) for row in fresh.to_pylist()}
    return {path: known.get(path) or new[path] for path in paths}


def _listed(row: dict[str, Any]) -> File:
    """A file as the log has it; where another writer left statistics out, its month bounds it."""
    month = np.datetime64(row["partition.month"], "M")
    first, end = (int(m.astype("M8[us]").astype(np.int64)) for m in (month, month + 1))
    low, high = row.get("min.at"), row.get("max.at")
    return File(
        path=row["path"],
        month=row["partition.month"],
        size=row["size_bytes"],
        rows=row["num_records"] or 0,
        first_id=row.get("min.series_id") or "",
        last_id=row.get("max.series_id") or "\U0010ffff",
        first_at=micros(low) if low else first,
        last_at=micros(high) + _SLACK if high else end,
    )


def entered(file: File, *, news: bool) -> AddAction:
    """The log's line for a new file; not `news` when its rows only moved from other files."""
    stats = {
        "numRecords": file.rows,
        "minValues": {"series_id": file.first_id, "at": _stamp(from_micros(file.first_at))},
        "maxValues": {"series_id": file.last_id, "at": _stamp(from_micros(file.last_at))},
        "nullCount": dict.fromkeys(("series_id", "at", "value", "flags", "known_at", "seq"), 0),
    }
    month: dict[str, str | None] = {"month": file.month}
    return AddAction(file.path, file.size, month, _now_ms(), news, msgspec.json.encode(stats).decode())


def struck(file: File) -> RemoveAction:
    """The log's line for a file whose rows all moved to others."""
    return RemoveAction(file.path, False, _now_ms(), file.size, {"month": file.month})


def _stamp(at: datetime) -> str:
    return iso(at) if at.microsecond else iso(at).replace("Z", ".000000Z")


def _now_ms() -> int:
    """The wall's time: vacuum compares it with that of the file system, whatever the house's clock shows."""
    return time.time_ns() // 1_000_000
