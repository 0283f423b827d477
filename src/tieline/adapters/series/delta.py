"""The Series port on one Delta table: appended to in single commits, read through DuckDB, the newest from memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TypeVar

import pyarrow as pa

from tieline.adapters.series.cache import Cache
from tieline.adapters.series.columns import checked
from tieline.adapters.series.compaction import mergeable
from tieline.adapters.series.engine import Engine, Limits
from tieline.adapters.series.files import File
from tieline.adapters.series.filing import Filing
from tieline.adapters.series.newest import Newest
from tieline.adapters.series.places import Bucket, Folder, Place
from tieline.adapters.series.reading import Reading
from tieline.adapters.series.table import Table
from tieline.adapters.series.tail import Tail
from tieline.base.errors import Refused, TielineError
from tieline.base.series import READINGS
from tieline.base.time import MICROSECOND, from_micros, instant, micros

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_FOREVER = (1 << 63) - 1
_LAST_MICROS = micros(datetime.fromisoformat("9999-12-31T00:00:00+00:00"))
_WAITING_ROWS = 500_000  # rows offered to the newest before they are taken in unasked


class DeltaSeries:
    """Made by `in_folder` or `in_bucket`. Positions start at 1; `position` of a writer never seen is 0."""

    def __init__(self, place: Place, engine: Engine, limits: Limits, shape: pa.Schema) -> None:
        if limits.retention < timedelta(days=7):
            raise Refused(f"files must stay a week at least for those who still read them, not {limits.retention}")
        self._place, self._engine, self._limits, self._shape = place, engine, limits, shape
        self._table = Table(place, shape)
        self._tail = Tail(shape)
        self._filing = Filing(place, engine, shape, limits.compact_timeout_s)
        self._reading = Reading(place, self._table, self._tail, engine, limits, shape)
        self._readers = ThreadPoolExecutor(limits.readers, "series-read")
        self._writers = ThreadPoolExecutor(4, "series-write")  # their own: no append waits behind slow questions
        self._newest = Newest(shape)
        self._asking = Lock()  # who asks for the newest
        self._since: int | None = None  # from when on the newest is known; None: nobody asked yet
        self._seen: set[str] = set()  # the files it has seen
        self._durable: dict[str, int] = {}

    @classmethod
    def in_folder(cls, folder: Path, *, limits: Limits | None = None, shape: pa.Schema = READINGS) -> DeltaSeries:
        limits = limits or Limits()
        return cls(Folder(folder), Engine(limits, folder.with_name(f".{folder.name}-scratch")), limits, shape)

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
        shape: pa.Schema = READINGS,
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
        return cls(place, engine, limits, shape)

    # --- writing ---

    async def append(self, rows: pa.Table, *, writer: str, position: int, after: int | None = None) -> bool:
        return await self._write(lambda: self._append(checked(rows, self._shape), writer, _counted(position), after))

    async def position(self, writer: str) -> int:
        return await self._read(lambda: self._table.position(writer))

    def _append(self, rows: pa.Table, writer: str, position: int, after: int | None) -> bool:
        if position <= self._known_position(writer):
            return False
        files = self._filing.written(rows)
        if not self._committed(files, mark=(writer, position), after=after):
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

    def _committed(
        self,
        new: Sequence[File],
        *,
        old: Sequence[File] = (),
        mark: tuple[str, int] | None = None,
        after: int | None = None,
    ) -> bool:
        """Whether the files are in the table now; if they are not, they are gone."""
        try:
            done = self._table.commit(new, old=old, mark=mark, after=after)
        except TielineError:
            with suppress(TielineError):  # not known: the vacuum finds what is in no table
                if not self._table.has(new):
                    self._filing.discard(new)
            raise
        if not done:
            self._filing.discard(new)
        return done

    # --- the tail ---

    async def hold(self, rows: pa.Table, *, writer: str, position: int) -> None:
        rows = checked(rows, self._shape)
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
        start, end, known = instant(start), instant(end), instant(as_of) if as_of else None
        return await self._read(lambda: self._reading.scan(sorted(set(series_ids)), start, end, known))

    async def total(
        self, series_ids: Sequence[str], start: datetime, end: datetime, *, step: timedelta, columns: Sequence[str]
    ) -> pa.Table:
        """Raises `Refused` for a column that cannot be summed."""
        start, end, by = instant(start), instant(end), _forward(step)
        return await self._read(lambda: self._reading.total(sorted(set(series_ids)), start, end, by, columns))

    async def touched(self, after: int, *, step: timedelta) -> tuple[int, pa.Table]:
        """Raises `Refused` when there are more steps than the limits allow rows."""
        by = _forward(step)
        return await self._read(lambda: self._reading.touched(after, by))

    async def held(self, *, step: timedelta) -> pa.Table:
        by = _forward(step)
        return await self._read(lambda: self._reading.held(by))

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
        timely = [f for f in files if f.first_at < end and f.last_at >= start and not f.past]
        if timely and start < end:
            span = {"start": from_micros(start), "end": from_micros(min(end, _LAST_MICROS))}
            self._newest.offer(self._reading.ask("newest.sql", timely, span, self._shape))

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

    # --- keeping ---

    async def version(self) -> int:
        return await self._read(self._table.version)

    async def compact(self) -> None:
        await self._write(self._compact)

    def _compact(self) -> None:
        """What is appended meanwhile stands beside what is merged; whoever moved one of the files first has won."""
        for files in mergeable(self._table.files()):
            self._committed(self._filing.merged(files), old=files)
        self._table.sweep(self._limits.retention)
        pa.default_memory_pool().release_unused()

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


def _forward(step: timedelta) -> int:
    """In microseconds."""
    if step < MICROSECOND:
        raise Refused(f"a step of {step}: it must be longer than nothing")
    return step // MICROSECOND
