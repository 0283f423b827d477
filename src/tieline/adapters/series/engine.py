"""DuckDB on a short leash: bounded memory, threads and time, no extension ever loaded; its SQL lies beside it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from tieline.adapters.series.failures import told
from tieline.adapters.series.slots import Slot
from tieline.base.errors import Broken


class Limits(msgspec.Struct, frozen=True):
    """What reading and compacting may take: memory and threads in all, time and rows a question.

    `scratch` is where DuckDB spills and compaction sorts (None: beside the table or in its cache). Files no longer in
    the table stay `retention` long, for readers still at them; a week at least.
    """

    memory_mb: int = 256
    threads: int = 2
    readers: int = 4
    timeout_s: float = 30.0
    compact_timeout_s: float = 600.0
    rows: int = 5_000_000
    scratch: Path | None = None
    retention: timedelta = timedelta(days=7)


class Engine:
    """One database in memory that only reads files; a cursor for each question, from any thread."""

    def __init__(self, limits: Limits, scratch: Path) -> None:
        with told(f"starting DuckDB with {limits.scratch or scratch}"):
            self._slot = Slot(limits.scratch or scratch)
            self._slot.clear()
            self.scratch = self._slot.folder
        self._limits = limits
        self._db = self._database("reading")

    def _database(self, name: str) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._limits.memory_mb}MB",
            "threads": self._limits.threads,
            "temp_directory": str(self.scratch / name),
            "enable_external_file_cache": False,  # the system caches files, and gives the memory back
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        database = duckdb.connect(":memory:", config=config)
        database.execute("SET GLOBAL parquet_metadata_cache = true")  # a file never changes
        return database

    def ask(self, sql: str, parameters: dict[str, Any], shape: pa.Schema, *, held: pa.Table | None = None) -> pa.Table:
        """The answer in the schema of a shape; SQL knows rows given besides as `held`.

        Raises `Unready` past the time limit, `Refused` past the memory limit.
        """
        with _timed(self._db.cursor(), self._limits.timeout_s) as cursor:
            if held is not None:
                cursor.register("held", held)
            # A relation rather than execute(): DuckDB 2 warns that Arrow from the latter is copied twice.
            answer: pa.Table = cursor.sql(_text(sql), params=parameters).to_arrow_table()
        if answer.schema.names != shape.names:
            raise Broken(f"{sql} gives the columns {answer.schema.names}, not {shape.names}")
        return answer.cast(shape)

    def run(self, sql: str, parameters: dict[str, Any], *, timeout_s: float) -> None:
        """Heavy work, in a database of its own: DuckDB gives memory back only when it closes."""
        with _timed(self._database(uuid.uuid4().hex), timeout_s) as connection:
            connection.execute(_text(sql), parameters).fetchall()

    def close(self) -> None:
        self._db.close()
        self._slot.close()


@contextmanager
def _timed(connection: duckdb.DuckDBPyConnection, timeout_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Interrupted when the time is up, closed in the end."""
    done = threading.Event()
    alarm = threading.Thread(target=_interrupt, args=(connection, done, timeout_s), daemon=True)
    alarm.start()
    try:
        yield connection
    finally:
        done.set()
        alarm.join()
        connection.close()


def _interrupt(connection: duckdb.DuckDBPyConnection, done: threading.Event, after_s: float) -> None:
    """Again and again once the time is up: DuckDB forgets an interrupt that comes between two of its steps."""
    while not done.wait(after_s):
        connection.interrupt()
        after_s = min(after_s, 0.05)


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
