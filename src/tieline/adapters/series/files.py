"""One immutable Parquet file of rows: written in order, measured, entered into the table's log and struck out."""

from __future__ import annotations

import enum
import time
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction

from tieline.base.time import from_micros, iso, micros

FULL_ROWS = 16_000_000
"""A file this large is left alone: it would be too much to sort, and to fetch for one reading."""
ROWS_A_GROUP = 122_880  # what DuckDB prunes by and shares among threads
_STEADY = ("at", "known_at", "seq")
_MILLIS = pa.timestamp("ms", tz="UTC")
_SLACK = 999  # other writers cut the statistics of instants to the millisecond


class Kind(enum.StrEnum):
    """What a file's name says of its rows. A name that says nothing may be of any."""

    LATEST = "latest"  # of no instant more than one version
    PAST = "past"  # of each row a later version is in the table: only `as_of` asks for it


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

    @property
    def past(self) -> bool:
        return self.path.endswith(f".{Kind.PAST}.parquet")

    @property
    def single(self) -> bool:
        return self.path.endswith(f".{Kind.LATEST}.parquet")

    def holds(self, series_ids: Sequence[str], start: int, end: int) -> bool:
        """Whether it may hold readings of any of the (sorted) series in [start, end)."""
        return (
            self.first_at < end
            and self.last_at >= start
            and bisect_left(series_ids, self.first_id) < bisect_right(series_ids, self.last_id)
        )


def packed(shape: pa.Schema) -> pa.Schema:
    """With `known_at` in whole milliseconds, where it is: they pack in 1.5 bytes less."""
    known_at = shape.get_field_index("known_at")
    return shape.set(known_at, shape.field(known_at).with_type(_MILLIS))


def is_packed(path: Path) -> bool:
    kind: pa.DataType = pq.read_schema(path).field("known_at").type
    return kind == _MILLIS


class Writer:
    """A file in the making. Delta packing is what makes steady instants nearly free."""

    def __init__(self, draft: Path, schema: pa.Schema) -> None:
        self._draft, self._schema, self.rows, self.last_id = draft, schema, 0, ""
        self._out = pq.ParquetWriter(
            draft,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in _STEADY],  # type: ignore[arg-type]
            column_encoding=dict.fromkeys(_STEADY, "DELTA_BINARY_PACKED"),
        )

    def write(self, rows: pa.Table) -> None:
        """Rows that follow those before in order; not none."""
        self._out.write_table(rows.cast(self._schema), row_group_size=ROWS_A_GROUP)
        self.rows, self.last_id = self.rows + rows.num_rows, rows["series_id"][-1].as_py()

    def finish(self, path: str, month: str) -> File:
        """The file, by the path it will have."""
        self.close()
        return measured(self._draft, path, month)

    def close(self) -> None:
        self._out.close()


def stream(path: Path, shape: pa.Schema) -> Iterator[pa.Table]:
    """A file's rows, a group at a time."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(ROWS_A_GROUP):
            yield pa.Table.from_batches([batch]).cast(shape)


def path_of(month: str, word: str, kind: Kind) -> str:
    return f"month={month}/{word}-{uuid.uuid4().hex}.{kind}.parquet"


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


class _Add(msgspec.Struct, rename="camel"):
    path: str
    size: int
    partition_values: dict[str, str]
    modification_time: int
    data_change: bool
    stats: str | None = None


class _Line(msgspec.Struct):
    add: _Add | None = None


class _Stats(msgspec.Struct, rename="camel"):
    num_records: int = 0


_LINES = msgspec.json.Decoder(_Line)


def announced(entry: bytes) -> list[tuple[float, File]]:
    """The files whose rows an entry of the log brought, and when in seconds since 1970. Rows that moved are no news."""
    adds = [line.add for line in _LINES.decode_lines(entry) if line.add]
    return [(add.modification_time / 1e3, _announced(add)) for add in adds if add.data_change]


def _announced(add: _Add) -> File:
    rows = msgspec.json.decode(add.stats or "{}", type=_Stats).num_records
    month = add.partition_values["month"]
    return _listed({"path": unquote(add.path), "partition.month": month, "size_bytes": add.size, "num_records": rows})


def entered(file: File, shape: pa.Schema, *, news: bool) -> AddAction:
    """The log's line for a new file; not `news` when its rows only moved from other files."""
    stats = {
        "numRecords": file.rows,
        "minValues": {"series_id": file.first_id, "at": _stamp(from_micros(file.first_at))},
        "maxValues": {"series_id": file.last_id, "at": _stamp(from_micros(file.last_at))},
        "nullCount": dict.fromkeys(shape.names, 0),
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
