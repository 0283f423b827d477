"""The tail: rows read before they are durable, by writer and position."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tieline.adapters.series.columns import micros


class Held(msgspec.Struct, frozen=True):
    """Rows one writer gave at one position, and the bounds of their `at` in microseconds."""

    writer: str
    position: int
    rows: pa.Table
    first_at: int
    last_at: int


class Tail:
    """What is held is replaced whole, never changed: a reader keeps the tail it began with."""

    def __init__(self, shape: pa.Schema) -> None:
        self._shape = shape
        self._held: tuple[Held, ...] = ()
        self._lock = Lock()

    def hold(self, rows: pa.Table, writer: str, position: int) -> None:
        if not rows.num_rows:
            return
        at = micros(rows, "at")
        with self._lock:
            if any(held.writer == writer and held.position == position for held in self._held):
                return  # read from the Log again
            self._held = (*self._held, Held(writer, position, rows, int(at.min()), int(at.max())))

    def release(self, writer: str, position: int) -> None:
        with self._lock:
            self._held = tuple(held for held in self._held if held.writer != writer or held.position > position)

    def tables(self) -> list[pa.Table]:
        return [held.rows for held in self._held]

    def select(self, series_ids: Sequence[str], start: int, end: int, as_of: int) -> pa.Table:
        """Every version held of the readings of some series in [start, end) known at `as_of`."""
        tables = [held.rows for held in self._held if held.first_at < end and held.last_at >= start]
        if not tables:
            return self._shape.empty_table()
        rows = pa.concat_tables(tables)
        at = micros(rows, "at")
        rows = rows.filter(pa.array((at >= start) & (at < end) & (micros(rows, "known_at") <= as_of)))
        return rows.filter(pc.is_in(rows["series_id"], value_set=pa.array(series_ids, pa.string())))
