"""Questions about spans and about what is new: which files and what of the tail hold the answer, and DuckDB's part."""

from __future__ import annotations  # pyarrow's generics

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tieline.adapters.series.columns import latest, summable
from tieline.adapters.series.columns import micros as column_micros
from tieline.adapters.series.engine import Engine, Limits
from tieline.adapters.series.failures import told
from tieline.adapters.series.files import File
from tieline.adapters.series.overlaps import NEVER, WINDOWS, Window, doubtful, within
from tieline.adapters.series.places import Place
from tieline.adapters.series.table import Table
from tieline.adapters.series.tail import Tail
from tieline.base.errors import Refused
from tieline.base.series import INSTANT
from tieline.base.time import from_micros, micros

_LAST_AT = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
_LAST = micros(_LAST_AT)
_TOTALED: list[pa.Field[Any]] = [pa.field("at", INSTANT), pa.field("count", pa.int64())]
_STEPS = pa.schema([pa.field("series_id", pa.string()), _TOTALED[0]])


class Reading:
    """Plain functions, from any thread."""

    def __init__(
        self, place: Place, table: Table, tail: Tail, engine: Engine, limits: Limits, shape: pa.Schema
    ) -> None:
        self._place, self._table, self._tail = place, table, tail
        self._engine, self._limits, self._shape = engine, limits, shape
        self._nothing = engine.scratch / "nothing.parquet"  # DuckDB reads no empty list of files
        pq.write_table(shape.empty_table(), self._nothing)

    def scan(self, series_ids: list[str], start: datetime, end: datetime, as_of: datetime | None) -> pa.Table:
        # The tail before the files: rows that leave the one meanwhile are already in the others.
        known = as_of or _LAST_AT
        held = self._tail.select(series_ids, micros(start), micros(end), micros(known))
        files = self._chosen(series_ids, start, end, past=as_of is not None)
        if not files:
            return latest(held)
        most = self._limits.rows
        bound = {"series_ids": series_ids, "start": start, "end": end, "as_of": known, "most": most + 1}
        found = self.ask("scan.sql", files, bound, self._shape)
        if found.num_rows > most:
            raise Refused(f"more than {most:,} readings were asked for at once: ask for fewer series or a shorter span")
        return latest(pa.concat_tables([found, held]).combine_chunks())

    def total(
        self, series_ids: list[str], start: datetime, end: datetime, step: int, columns: Sequence[str]
    ) -> pa.Table:
        """Rows are compared only where the files or the tail may have two versions of an instant: little of a span."""
        summable(columns, self._shape)
        answer = pa.schema([*_TOTALED, *(pa.field(f"sum_{name}", pa.float64()) for name in columns)])
        held = self._tail.select(series_ids, micros(start), micros(end), _LAST)
        files = self._chosen(series_ids, start, end)
        bound = {"series_ids": series_ids, "start": start, "end": end, "step": step, "columns": list(columns)}
        windows = doubtful(files, _bounds(held))
        if not windows:
            return self.ask("total.sql", files, bound, answer)
        edges = dict(_edges(windows))
        return self.ask("total_latest.sql", files, {**bound, **edges}, answer, within=within(files, windows), held=held)

    def touched(self, after: int, step: int) -> tuple[int, pa.Table]:
        version, files = self._table.news(after, self._limits.retention)
        if not files:
            return version, _STEPS.empty_table()
        most = self._limits.rows
        found = self.ask("touched.sql", files, {"step": step, "most": most + 1}, _STEPS)
        if found.num_rows > most:
            raise Refused(f"more than {most:,} steps are new since version {after}: ask for longer steps")
        return version, found

    def held(self, step: int) -> pa.Table:
        rows = [self._shape.empty_table(), *self._tail.tables()]
        names, at = (pa.concat_tables([part.select([name]) for part in rows])[name] for name in ("series_id", "at"))
        stamps = at.cast(pa.int64()).to_numpy()
        steps = pa.table({"series_id": names, "at": stamps - stamps % step})
        return steps.group_by(["series_id", "at"]).aggregate([]).cast(_STEPS)

    def ask(
        self,
        sql: str,
        files: Sequence[File],
        bound: Mapping[str, object],
        answer: pa.Schema,
        *,
        within: Sequence[File] | None = None,
        held: pa.Table | None = None,
    ) -> pa.Table:
        """`within` are those of the files that SQL is to read again by that name."""
        nothing = str(self._nothing)
        with told(f"reading {len(files)} files of {self._place.url}"), self._place.at_hand(files) as paths:
            named: dict[str, object] = {"files": [*paths, nothing], **bound}
            if within is not None:
                here = dict(zip((file.path for file in files), paths, strict=True))
                named["within"] = [*(here[file.path] for file in within), nothing]
            return self._engine.ask(sql, named, answer, held=held)

    def _chosen(self, series_ids: Sequence[str], start: datetime, end: datetime, *, past: bool = False) -> list[File]:
        """The files that may hold some of it, those of `past` versions only if asked for; what is in order first."""
        files = [file for file in self._table.files() if file.holds(series_ids, micros(start), micros(end))]
        return sorted(
            (file for file in files if past or not file.past), key=lambda file: (file.first_id, file.first_at)
        )


def _bounds(held: pa.Table) -> Window | None:
    at = column_micros(held, "at")
    return (int(at.min()), int(at.max())) if len(at) else None


def _edges(windows: Sequence[Window]) -> Iterator[tuple[str, datetime]]:
    """Of windows, and of some that hold nothing to make up the number SQL asks for."""
    for number, (start, end) in enumerate([*windows, *[NEVER] * (WINDOWS - len(windows))]):
        yield f"from_{number}", from_micros(start)
        yield f"to_{number}", from_micros(min(end, _LAST))
