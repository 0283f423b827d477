"""Rows into durable files, not yet in the table; what is replaced goes into files that only `as_of` reads."""

from __future__ import annotations  # pyarrow's generics

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tieline.adapters.series.columns import by_month, divided, micros
from tieline.adapters.series.engine import Engine
from tieline.adapters.series.failures import told
from tieline.adapters.series.files import FULL_ROWS, File, Kind, Writer, is_packed, packed, path_of, stream
from tieline.adapters.series.places import Place


class Filing:
    """Plain functions, from any thread."""

    def __init__(self, place: Place, engine: Engine, shape: pa.Schema, timeout_s: float) -> None:
        self._place, self._engine, self._shape, self._timeout_s = place, engine, shape, timeout_s

    def written(self, rows: pa.Table) -> list[File]:
        files: list[File] = []
        try:
            with told(f"writing readings to {self._place.url}"):
                for month, part in by_month(rows):
                    whole = not (micros(part, "known_at") % 1000).any()
                    files += self._filed(month, "rows", [part], packed(self._shape) if whole else self._shape)
        except BaseException:
            self.discard(files)
            raise
        return files

    def merged(self, files: Sequence[File]) -> list[File]:
        """The rows of files of one month in as few as may be."""
        in_order = self._engine.scratch / f"{uuid.uuid4().hex}.sorted"
        with told(f"compacting {len(files)} files of {self._place.url}"):
            try:
                with self._place.at_hand(files) as paths:
                    bound = {"files": paths, "target": str(in_order)}
                    self._engine.run("merge.sql", bound, timeout_s=self._timeout_s)
                    schema = packed(self._shape) if all(is_packed(Path(path)) for path in paths) else self._shape
                return self._filed(files[0].month, "merged", stream(in_order, self._shape), schema, past=files[0].past)
            finally:
                in_order.unlink(missing_ok=True)

    def discard(self, files: Sequence[File]) -> None:
        for file in files:
            self._place.discard(file.path)

    def _filed(
        self, month: str, word: str, tables: Iterable[pa.Table], schema: pa.Schema, *, past: bool = False
    ) -> list[File]:
        """Rows of one month; those of many tables in order. All `past`: none of them is the latest."""
        newest, older = (Drafts(self._place, schema, month, word, kind) for kind in (Kind.LATEST, Kind.PAST))
        try:
            if past:
                for table in tables:
                    older.add(table)
            else:
                for latest, replaced in divided(tables):
                    newest.add(latest)
                    older.add(replaced)
            return newest.settled() + older.settled()
        except BaseException:
            newest.discard()
            older.discard()
            raise


class Drafts:
    """Files of one kind, each begun when there are rows for it; one that is full ends where its series does."""

    def __init__(self, place: Place, schema: pa.Schema, month: str, word: str, kind: Kind) -> None:
        self._place, self._schema = place, schema
        self._month, self._word, self._kind = month, word, kind
        self._paths: list[str] = []
        self._files: list[File] = []
        self._writer: Writer | None = None

    def add(self, rows: pa.Table) -> None:
        if self._writer and self._writer.rows >= FULL_ROWS:
            another = pc.index(pc.equal(rows["series_id"], pa.scalar(self._writer.last_id)), False).as_py()
            if another >= 0:
                self._write(rows.slice(0, another))
                self._finish()
                rows = rows.slice(another)
        self._write(rows)

    def _write(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if self._writer is None:
            self._paths.append(path_of(self._month, self._word, self._kind))
            self._writer = Writer(self._place.draft(self._paths[-1]), self._schema)
        self._writer.write(rows)

    def _finish(self) -> None:
        if self._writer is not None:
            self._files.append(self._writer.finish(self._paths[-1], self._month))
            self._place.settle(self._paths[-1])
            self._writer = None

    def settled(self) -> list[File]:
        self._finish()
        return self._files

    def discard(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for path in self._paths:
            self._place.discard(path)
