"""The Series port on one Delta table: appended to in single commits, read through DuckDB, the newest from memory."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TypeVar

import pyarrow as pa

from tieline.adapters.series.cache import Cache
from tieline.adapters.series.columns import arranged, by_month, checked, latest
from tieline.adapters.series.compaction import mergeable
from tieline.adapters.series.engine import Engine, Limits
from tieline.adapters.series.failures import told
from tieline.adapters.series.files import File, measured, stream, write
from tieline.adapters.series.newest import Newest
from tieline.adapters.series.places import Bucket, Folder, Place
from tieline.adapters.series.table import Table
from tieline.adapters.series.tail import Tail
from tieline.base.errors import Refused, TielineError
from tieline.base.time import from_micros, instant, micros

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_FOREVER = (1 << 63) - 1
_LAST_AT = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
_WAITING_ROWS = 500_000  # rows offered to the newest before they are taken in unasked


class DeltaSeries:
    """Made by `in_folder` or `in_bucket`. Positions start at 1; `position` of a writer never seen is 0."""

    def __init__(self, place: Place, engine: Engine, limits: Limits) -> None:
        if limits.retention < timedelta(days=7):
            raise Refused(f"files must stay a week at least for those who still read them, not {limits.retention}")
        self._place, self._engine, self._limits = place, engine, limits
        self._table = Table(place)
        self._tail = Tail()
        self._readers = ThreadPoolExecutor(limits.readers, "series-read")
        self._writers = ThreadPoolExecutor(4, "series-write")  # their own: no append waits behind slow questions
        self._newest = Newest()
        self._asking = Lock()  # who asks for the newest
        self._since: int | None = None  # from when on the newest is known; None: nobody asked yet
        self._seen: set[str] = set()  # the files it has seen
        self._durable: dict[str, int] = {}

    @classmethod
    def in_folder(cls, folder: Path, *, limits: Limits | None = None) -> DeltaSeries:
        limits = limits or Limits()
        return cls(Folder(folder), Engine(limits, folder.with_name(f".{folder.name}-scratch")), limits)

    @classmethod
    def in_bucket(  # noqa: PLR0913  what an S3 API needs to be told
        cls,
        bucket: str,
        *,
        prefix: str,
        region: str,
        cache: Path,
        cache_bytes: int = 2 << 30,
        endpoint: str | None = None,
        key_id: str | None = None,
        secret: str | None = None,
        limits: Limits | None = None,
    ) -> DeltaSeries:
        """`endpoint` None is AWS; without key id and secret the machine's own role is used."""
        limits = limits or Limits()
        engine = Engine(limits, cache / "scratch")
        place = Bucket(
            bucket,
            prefix=prefix,
            region=region,
            endpoint=endpoint,
            key_id=key_id,
            secret=secret,
            cache=Cache(cache, cache_bytes),
        )
        return cls(place, engine, limits)

    # --- writing ---

    async def append(self, rows: pa.Table, *, writer: str, position: int) -> bool:
        return await self._write(lambda: self._append(checked(rows), writer, _counted(position)))

    async def position(self, writer: str) -> int:
        return await self._read(lambda: self._table.position(writer))

    def _append(self, rows: pa.Table, writer: str, position: int) -> bool:
        if position <= self._known_position(writer):
            return False
        files = self._written(rows)
        if not self._committed(files, mark=(writer, position)):
            self._durable[writer] = self._table.position(writer)
            return False
        self._durable[writer] = position
        self._offer(rows, files)
        if self._newest.waiting > _WAITING_ROWS:
            self._take_in()
        try:
            self._table.checkpoint()
        except TielineError as error:
            _LOG.warning("no checkpoint for now: %s", error)  # the rows are safe without it
        return True

    def _known_position(self, writer: str) -> int:
        if writer not in self._durable:
            self._durable[writer] = self._table.position(writer)
        return self._durable[writer]

    def _committed(self, new: Sequence[File], *, old: Sequence[File] = (), mark: tuple[str, int] | None = None) -> bool:
        """Whether the files are in the table now; if they are not, they are gone."""
        try:
            done = self._table.commit(new, old=old, mark=mark)
        except TielineError:
            with suppress(TielineError):  # not known: the vacuum finds what is in no table
                if not self._table.has(new):
                    self._discard(new)
            raise
        if not done:
            self._discard(new)
        return done

    def _written(self, rows: pa.Table) -> list[File]:
        """Durable files of the rows, one a month, not yet in the table."""
        drafts = [(month, _path(month, "rows"), part) for month, part in by_month(rows)]
        try:
            with told(f"writing readings to {self._place.url}"):
                return [self._settled(month, path, arranged(part)) for month, path, part in drafts]
        except BaseException:
            for _, path, _ in drafts:
                self._place.discard(path)
            raise

    def _settled(self, month: str, path: str, rows: pa.Table) -> File:
        draft = self._place.draft(path)
        write(draft, [rows])
        file = measured(draft, path, month)
        self._place.settle(path)
        return file

    def _discard(self, files: Sequence[File]) -> None:
        for file in files:
            self._place.discard(file.path)

    # --- the tail ---

    async def hold(self, rows: pa.Table, *, writer: str, position: int) -> None:
        rows = checked(rows)
        self._tail.hold(rows, writer, _counted(position))
        self._offer(rows, ())
        if self._newest.waiting > _WAITING_ROWS:
            await self._read(self._take_in)

    async def release(self, *, writer: str, position: int) -> None:
        self._tail.release(writer, position)
        if position > self._durable.get(writer, 0) and self._since is not None:
            await self._read(self._forget)  # rows given up: the newest must be found anew

    # --- reading ---

    async def scan(
        self, series_ids: Sequence[str], start: datetime, end: datetime, *, as_of: datetime | None = None
    ) -> pa.Table:
        """Raises `Refused` when the answer is larger than the limits allow, `Unready` when it takes too long."""
        start, end, as_of = instant(start), instant(end), instant(as_of) if as_of else _LAST_AT
        return await self._read(lambda: self._scan(sorted(set(series_ids)), start, end, as_of))

    def _scan(self, series_ids: list[str], start: datetime, end: datetime, as_of: datetime) -> pa.Table:
        # The tail before the files: rows that leave the one meanwhile are already in the others.
        held = self._tail.select(series_ids, micros(start), micros(end), micros(as_of))
        files = [f for f in self._table.files() if f.holds(series_ids, micros(start), micros(end))]
        if not files:
            return latest(held)
        most = self._limits.rows
        bound = {"series_ids": series_ids, "start": start, "end": end, "as_of": as_of, "most": most + 1}
        found = self._ask("scan.sql", files, bound)
        if found.num_rows > most:
            raise Refused(f"more than {most:,} readings were asked for at once: ask for fewer series or a shorter span")
        return latest(pa.concat_tables([found, held]).combine_chunks())

    async def last(self, series_ids: Sequence[str], *, since: datetime) -> pa.Table:
        after = micros(instant(since))
        return await self._read(lambda: self._last(series_ids, after))

    def _last(self, series_ids: Sequence[str], since: int) -> pa.Table:
        with self._asking:
            known_since = self._since
            if known_since is None:
                self._since = known_since = _FOREVER
                for rows in self._tail.tables():
                    self._newest.offer(rows)
            files = self._table.files()
            self._look([f for f in files if f.path not in self._seen], known_since, _FOREVER)
            if since < known_since:
                self._look(files, since, known_since)
            self._newest.take_in()
            self._since = min(since, known_since)
            self._seen &= {file.path for file in files}
            self._seen |= {file.path for file in files}
            return self._newest.of(series_ids, since)

    def _look(self, files: Sequence[File], start: int, end: int) -> None:
        """Offer the newest rows of the files in [start, end)."""
        timely = [f for f in files if f.first_at < end and f.last_at >= start]
        if timely and start < end:
            span = {"start": from_micros(start), "end": from_micros(min(end, micros(_LAST_AT)))}
            self._newest.offer(self._ask("newest.sql", timely, span))

    def _offer(self, rows: pa.Table, files: Sequence[File]) -> None:
        if self._since is not None:
            self._newest.offer(rows)
            self._seen.update(file.path for file in files)

    def _take_in(self) -> None:
        with self._asking:
            self._newest.take_in()

    def _forget(self) -> None:
        with self._asking:
            self._since = None
            self._seen.clear()
            self._newest.forget()

    def _ask(self, sql: str, files: Sequence[File], bound: Mapping[str, object]) -> pa.Table:
        with told(f"reading {len(files)} files of {self._place.url}"), self._place.at_hand(files) as paths:
            return self._engine.ask(sql, {"files": paths, **bound})

    # --- keeping ---

    async def compact(self) -> None:
        await self._write(self._compact)

    def _compact(self) -> None:
        for files in mergeable(self._table.files()):
            self._merge(files)
        self._table.sweep(self._limits.retention)
        pa.default_memory_pool().release_unused()

    def _merge(self, files: Sequence[File]) -> None:
        """One file of many. What is appended meanwhile stands beside it; whoever moved one of them first has won."""
        month, path = files[0].month, _path(files[0].month, "merged")
        with told(f"compacting {len(files)} files of {self._place.url}"):
            draft, in_order = self._place.draft(path), self._engine.scratch / f"{uuid.uuid4().hex}.sorted"
            try:
                with self._place.at_hand(files) as paths:
                    bound = {"files": paths, "target": str(in_order)}
                    self._engine.run("merge.sql", bound, timeout_s=self._limits.compact_timeout_s)
                write(draft, stream(in_order))
                merged = measured(draft, path, month)
                self._place.settle(path)
            except BaseException:
                self._place.discard(path)
                raise
            finally:
                in_order.unlink(missing_ok=True)
        self._committed([merged], old=files)

    async def ready(self) -> None:
        await self._read(self._table.files)

    async def close(self) -> None:
        """Waits for what is under way; nothing is lost without it."""
        await asyncio.to_thread(self._writers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)
        self._engine.close()
        self._place.close()

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writers, work)


def _counted(position: int) -> int:
    if position < 1:
        raise Refused(f"position {position} of a writer: positions start at 1")
    return position


def _path(month: str, kind: str) -> str:
    return f"month={month}/{kind}-{uuid.uuid4().hex}.parquet"
