"""Rows in one SQLite file: many readers, one writer that commits whatever waits together.

transaction ──┐
transaction ──┼─▶ queue ─▶ writer thread: BEGIN IMMEDIATE, a savepoint each, COMMIT (one fsync) ─▶ all answered
transaction ──┘
read ──────────▶ reader threads, each on its own snapshot (WAL): never waits for the writer
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import sqlalchemy as sa

from tieline.adapters.sql import migrations
from tieline.adapters.sql.errors import translated
from tieline.adapters.sql.transaction import read, transact
from tieline.base.errors import Broken, Unready
from tieline.base.time import Clock
from tieline.ports import Reader, Transaction

T = TypeVar("T")

_READERS = 4
_GROUP = 1000  # works in one commit: bounds how long the first waits for the last


class _Job(NamedTuple):
    """A piece of work, given the connection; it returns its result and whether it said anything."""

    work: Callable[[sa.Connection], tuple[Any, bool]]
    answer: asyncio.Future[Any]


class _Done(NamedTuple):
    job: _Job
    result: Any = None
    said: bool = False
    error: BaseException | None = None


class SqliteRows:
    """Use as `async with SqliteRows(path, clock) as rows`; durable against power loss once a transaction returns.

    Several processes may share the file. Each waits up to `busy_s` seconds for another's commit, then is `Unready`.
    """

    def __init__(self, path: Path, clock: Clock, *, busy_s: float = 5.0) -> None:
        self.said = asyncio.Event()
        self._path = path
        self._where = f"SQLite database {path}"
        self._clock = clock
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            isolation_level="AUTOCOMMIT",  # the driver begins nothing by itself: BEGIN and COMMIT are ours
            pool_size=_READERS + 1,
            max_overflow=0,
            connect_args={"timeout": busy_s, "check_same_thread": False},
        )
        sa.event.listen(self._engine, "connect", _prepared)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._gathered: list[_Job] = []
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        """Raises `Unready` where the file cannot be used, `Broken` where it is no database."""
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._opened)
        self._writer = threading.Thread(target=self._write, args=(connection,), name="sqlite-writer", daemon=True)
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answers what is queued, then lets go of the file."""
        writer, self._writer = self._writer, None
        self._hand_over()
        self._queue.put(None)
        if writer:
            await asyncio.to_thread(writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._engine.dispose()

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        result: T = await self._queued(lambda connection: transact(work, connection, self._where, self._clock))
        return result

    async def read(self, work: Callable[[Reader], T]) -> T:
        self._check_open()
        return await self._loop.run_in_executor(self._readers, self._read, work)

    async def ready(self) -> None:
        """Raises `Unready` when the file cannot be written now."""
        await self.transaction(lambda _: None)

    async def migrate(self) -> None:
        """Bring the tables up to date; several processes may do so at once."""
        self._check_open()
        await asyncio.to_thread(self._migrate)

    def _check_open(self) -> None:
        if self._writer is None:
            raise Unready(f"{self._where}: it is closed")

    def _migrate(self) -> None:
        """Foreign keys rest meanwhile: SQLite changes a column by making its table anew, which others point at."""
        try:
            with self._engine.connect() as connection:
                raw = _raw(connection)
                raw.execute("PRAGMA query_only = OFF")
                raw.execute("PRAGMA foreign_keys = OFF")
                try:
                    raw.execute("BEGIN IMMEDIATE")
                    migrations.upgrade(connection)
                    if dangling := raw.execute("PRAGMA foreign_key_check").fetchall():
                        raise Broken(
                            f"{self._where}: a migration would leave rows that point at nothing: {dangling[:3]}"
                        )
                    raw.execute("COMMIT")
                finally:
                    raw.rollback()
                    _prepared(raw, None)
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise translated(error, self._where) from error

    def _opened(self) -> sa.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)  # before SQLite would make it readable by all; its WAL follows suit
            connection = self._engine.connect()
            raw = _raw(connection)
            (mode,) = raw.execute("PRAGMA journal_mode = WAL").fetchone()
            raw.execute("PRAGMA query_only = OFF")
        except OSError as error:
            advice = "it cannot be made or opened: let this user write the file and its folder"
            raise Unready(f"{self._where}: {advice} ({error.strerror})") from error
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise translated(error, self._where) from error
        if mode != "wal":
            raise Unready(f"{self._where}: its drive cannot share memory between processes: use a local disk")
        return connection

    def _read(self, work: Callable[[Reader], T]) -> T:
        try:
            with self._engine.connect() as connection:
                raw = _raw(connection)
                raw.execute("BEGIN")
                try:
                    return read(work, connection, self._where)
                finally:
                    raw.rollback()
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise translated(error, self._where) from error

    # --- the writer ---------------------------------------------------------------------------------------------------

    async def _queued(self, work: Callable[[sa.Connection], tuple[Any, bool]]) -> Any:
        self._check_open()
        answer = self._loop.create_future()
        if not self._gathered:
            # Once all tasks that can run now have: those answered together ask together again, and share a commit.
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Job(work, answer))
        return await answer

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _write(self, connection: sa.Connection) -> None:
        """The writer thread."""
        while (jobs := self._waiting()) is not None:
            for start in range(0, len(jobs), _GROUP):
                done = self._committed(jobs[start : start + _GROUP], connection)
                self._loop.call_soon_threadsafe(self._answer, done)
        connection.close()

    def _waiting(self) -> list[_Job] | None:
        """All that waits, at least one; None at the end."""
        jobs = self._queue.get()
        while jobs is not None and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._queue.put(None)  # for the next time
                break
            jobs += more
        return None if jobs is None else [job for job in jobs if not job.answer.cancelled()]

    def _committed(self, jobs: list[_Job], connection: sa.Connection) -> list[_Done]:
        raw = _raw(connection)
        begun = False
        try:
            raw.execute("BEGIN IMMEDIATE")
            begun = True
            done = [self._saved(job, connection, raw) for job in jobs]
            raw.execute("COMMIT")
        except BaseException as error:
            if raw.in_transaction:
                raw.rollback()
            if begun and len(jobs) > 1:  # one of them spoilt it for all: let each stand alone
                return [one for job in jobs for one in self._committed([job], connection)]
            ours = translated(error, self._where) if isinstance(error, sqlite3.Error) else error
            return [_Done(job, error=ours) for job in jobs]
        return done

    def _saved(self, job: _Job, connection: sa.Connection, raw: sqlite3.Connection) -> _Done:
        """One work in its savepoint. Raises when SQLite, as on a full disk, rolled back all of the group with it."""
        raw.execute("SAVEPOINT work")
        try:
            result, said = job.work(connection)
        except BaseException as error:
            if not raw.in_transaction:
                raise
            raw.execute("ROLLBACK TO work")
            raw.execute("RELEASE work")
            return _Done(job, error=error)
        raw.execute("RELEASE work")
        return _Done(job, result=result, said=said)

    def _answer(self, done: list[_Done]) -> None:
        if any(one.said for one in done):
            self.said.set()
        for one in done:
            if one.job.answer.done():
                continue
            if one.error is not None:
                one.job.answer.set_exception(one.error)
            else:
                one.job.answer.set_result(one.result)


def _prepared(raw: sqlite3.Connection, _: object) -> None:
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA query_only = ON")


def _raw(connection: sa.Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw
