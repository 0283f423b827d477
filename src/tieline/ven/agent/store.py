"""Readings, on disk until the platform has them: taken each few seconds, told as means, the oldest first.

    reading  (source, at, power_kw)   each few seconds; a kill -9 loses none of them
       │  a report is due: one transaction makes means of them
       ▼
    sample   (at, power_kw)           of the premises; many fit in a message
    snapshot (at, loads)              of the loads; one a message
       │  PUBACK of the broker
       ▼  forgotten

SQLite, WAL: what was written survives a kill at once, a power cut from the next report on.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from tieline.base.errors import Unready
from tieline.base.time import from_micros, micros
from tieline.wires.mqtt.messages import Load, Loads, Meter, Sample

log = logging.getLogger(__name__)

T = TypeVar("T")

PREMISES = ""
"""The source of the whole premises' readings; a load's is its id."""
SAMPLES_AT_ONCE = 1000
SNAPSHOTS_AT_ONCE = 20
DROPPED_AT_ONCE = 100
TABLES = """
CREATE TABLE IF NOT EXISTS reading (source TEXT NOT NULL, at INTEGER NOT NULL, power_kw REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sample (at INTEGER PRIMARY KEY, power_kw REAL NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot (at INTEGER PRIMARY KEY, loads BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS energy (load_id TEXT PRIMARY KEY, due_at INTEGER NOT NULL, kwh REAL NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (what TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""
USED = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()
"""
COUNT_DROPPED = "INSERT INTO dropped VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET count = count + excluded.count"
DROP = {
    "sample": "DELETE FROM sample WHERE at IN (SELECT at FROM sample ORDER BY at LIMIT ?)",
    "snapshot": "DELETE FROM snapshot WHERE at IN (SELECT at FROM snapshot ORDER BY at LIMIT ?)",
}

LoadsOf = Callable[[Mapping[str, float]], list[Load]]


class Power(NamedTuple):
    """What a source drew at an instant."""

    source: str
    at: datetime
    power_kw: float


class Energy(NamedTuple):
    """What a load drew since it was last to be ready, which it next is at `due_at`."""

    due_at: datetime
    kwh: float


class Batch(NamedTuple):
    """The oldest of what the platform does not have."""

    meter: Meter | None
    loads: list[Loads]


class Store:
    """One file of one process. Its calls wait in threads and raise `Unready` when the disk will not take it.

    `some` is set while there is something to tell.
    """

    def __init__(self, path: Path, *, days: float, mib: float) -> None:
        self.some = asyncio.Event()
        self._path = path
        self._age = timedelta(days=days)
        self._most_bytes = int(mib * 1024 * 1024)
        self._one = threading.Lock()
        self._rows = _opened(path)
        if self._rows.execute("SELECT EXISTS (SELECT 1 FROM sample UNION ALL SELECT 1 FROM snapshot)").fetchone()[0]:
            self.some.set()

    def close(self) -> None:
        with self._one:
            self._rows.close()

    # --- in -----------------------------------------------------------------------------------------------------------

    async def note(self, powers: Iterable[Power], energies: Mapping[str, Energy]) -> None:
        """What was read, and what those loads have drawn so far that are to be ready by a time."""
        readings = [(source, micros(at), power_kw) for source, at, power_kw in powers]
        totals = [(load_id, micros(one.due_at), one.kwh) for load_id, one in energies.items()]

        def work(rows: sqlite3.Connection) -> None:
            rows.executemany("INSERT INTO reading VALUES (?, ?, ?)", readings)
            rows.executemany("INSERT OR REPLACE INTO energy VALUES (?, ?, ?)", totals)

        await self._do(work)

    async def report(self, at: datetime, loads_of: LoadsOf) -> None:
        """Make means of what was read: a sample of the premises, and of each load's mean a snapshot, as told."""
        await self._do(lambda rows: _reported(rows, at, loads_of))
        await self._do(self._dropped)
        await self._do(lambda rows: rows.execute("PRAGMA wal_checkpoint(FULL)").fetchall(), alone=True)
        self.some.set()

    async def last_read_at(self) -> datetime | None:
        """The instant of the newest reading that no report has told; after a crash there is one."""
        newest = await self._do(lambda rows: rows.execute("SELECT max(at) FROM reading").fetchone()[0])
        return None if newest is None else from_micros(newest)

    async def energies(self) -> dict[str, Energy]:
        found = await self._do(lambda rows: rows.execute("SELECT load_id, due_at, kwh FROM energy").fetchall())
        return {load_id: Energy(from_micros(due_at), kwh) for load_id, due_at, kwh in found}

    # --- out ----------------------------------------------------------------------------------------------------------

    async def oldest(self) -> Batch | None:
        """None, with `some` cleared, when all was told."""
        batch = await self._do(_oldest)
        if batch.meter is None and not batch.loads:
            self.some.clear()
            return None
        return batch

    async def forget(self, batch: Batch) -> None:
        """The platform has it."""
        samples = [(micros(one.at),) for one in (batch.meter.samples if batch.meter else ())]
        snapshots = [(micros(one.at),) for one in batch.loads]

        def work(rows: sqlite3.Connection) -> None:
            rows.executemany("DELETE FROM sample WHERE at = ?", samples)
            rows.executemany("DELETE FROM snapshot WHERE at = ?", snapshots)

        await self._do(work)

    async def waiting(self) -> int:
        """How many samples and snapshots the platform does not have."""
        query = "SELECT (SELECT count(*) FROM sample) + (SELECT count(*) FROM snapshot)"
        count: int = await self._do(lambda rows: rows.execute(query).fetchone()[0])
        return count

    async def dropped(self) -> int:
        """How many of them were too old, or too many, in this file's life."""
        count: int = await self._do(lambda rows: rows.execute("SELECT total(count) FROM dropped").fetchone()[0])
        return int(count)

    # --- bounds -------------------------------------------------------------------------------------------------------

    def _dropped(self, rows: sqlite3.Connection) -> None:
        """What is beyond the bounds, the oldest first."""
        newest = rows.execute(
            "SELECT max(at) FROM (SELECT at FROM sample UNION ALL SELECT at FROM snapshot)"
        ).fetchone()
        before = (newest[0] or 0) - self._age // timedelta(microseconds=1)
        count = rows.execute("DELETE FROM sample WHERE at < ?", (before,)).rowcount
        count += rows.execute("DELETE FROM snapshot WHERE at < ?", (before,)).rowcount
        while rows.execute(USED).fetchone()[0] > self._most_bytes and (gone := _drop_oldest(rows)):
            count += gone
        if count:
            rows.execute(COUNT_DROPPED, ("told too late", count))
            log.warning("%d readings were dropped before the platform had them: the store is full", count)

    # --- the file -----------------------------------------------------------------------------------------------------

    async def _do(self, work: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        return await asyncio.to_thread(self._work, work, alone)

    def _work(self, work: Callable[[sqlite3.Connection], T], alone: bool) -> T:
        """In a transaction, unless it must be without one."""
        try:
            with self._one, contextlib.nullcontext() if alone else _transaction(self._rows):
                return work(self._rows)
        except sqlite3.Error as error:
            raise Unready(f"{self._path} cannot be used: {error}") from None


def _opened(path: Path) -> sqlite3.Connection:
    """What is no database is set aside. Raises `Unready`."""
    try:
        return _connected(path)
    except sqlite3.OperationalError as error:
        raise Unready(f"{path} cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        aside = path.rename(path.with_suffix(".unreadable"))
        log.error("readings that were kept cannot be read, and are set aside as %s: %s", aside, error)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    rows = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA auto_vacuum = NONE"):
            rows.execute(pragma)
        rows.executescript(TABLES)
    except sqlite3.Error:
        rows.close()
        raise
    return rows


@contextlib.contextmanager
def _transaction(rows: sqlite3.Connection) -> Iterator[None]:
    rows.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        rows.execute("ROLLBACK")
        raise
    rows.execute("COMMIT")


def _reported(rows: sqlite3.Connection, at: datetime, loads_of: LoadsOf) -> None:
    found = rows.execute("SELECT source, avg(power_kw) FROM reading WHERE at <= ? GROUP BY source", (micros(at),))
    means = dict(found.fetchall())
    if PREMISES in means:
        rows.execute("INSERT OR IGNORE INTO sample VALUES (?, ?)", (micros(at), means[PREMISES]))
    if loads := loads_of(means):
        rows.execute("INSERT OR IGNORE INTO snapshot VALUES (?, ?)", (micros(at), msgspec.json.encode(loads)))
    rows.execute("DELETE FROM reading WHERE at <= ?", (micros(at),))


def _oldest(rows: sqlite3.Connection) -> Batch:
    samples = rows.execute("SELECT at, power_kw FROM sample ORDER BY at LIMIT ?", (SAMPLES_AT_ONCE,)).fetchall()
    loads = rows.execute("SELECT at, loads FROM snapshot ORDER BY at LIMIT ?", (SNAPSHOTS_AT_ONCE,)).fetchall()
    return Batch(
        Meter([Sample(from_micros(at), round(power_kw, 4)) for at, power_kw in samples]) if samples else None,
        [Loads(from_micros(at), msgspec.json.decode(kept, type=list[Load])) for at, kept in loads],
    )


def _drop_oldest(rows: sqlite3.Connection) -> int:
    """From the table whose oldest is older."""
    ages = {
        "sample": rows.execute("SELECT min(at) FROM sample").fetchone()[0],
        "snapshot": rows.execute("SELECT min(at) FROM snapshot").fetchone()[0],
    }
    there = [(at, name) for name, at in ages.items() if at is not None]
    return rows.execute(DROP[min(there)[1]], (DROPPED_AT_ONCE,)).rowcount if there else 0
