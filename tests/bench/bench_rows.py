"""Upserts a second from 200 clients at once: committed together, one commit each, and what SQLite itself can do.

Run it with `python -m tests.bench.bench_rows [seconds]`.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from tieline.adapters.sql import sqlite
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import RatedClock
from tieline.ports import Transaction

CLIENTS = 200
STATE = sa.Table(
    "state", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), sa.Column("n", sa.Integer, nullable=False)
)
_NEW = insert(STATE)
UPSERT = _NEW.on_conflict_do_update(index_elements=[STATE.c.id], set_={"n": _NEW.excluded.n})
SQL = "INSERT INTO state (id, n) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n"


def upsert(tx: Transaction, client: int, n: int) -> None:
    tx.execute(UPSERT, [{"id": f"ven-{client}", "n": n}])


async def through_rows(path: Path, seconds: float) -> float:
    """Upserts a second of clients that each wait for their commit before the next."""
    until = time.perf_counter() + seconds

    async def client(rows: SqliteRows, me: int) -> int:
        n = 0
        while time.perf_counter() < until:
            await rows.transaction(lambda tx: upsert(tx, me, n))  # noqa: B023  awaited before n moves on
            n += 1
        return n

    def create(tx: Transaction) -> None:
        tx.execute(sa.schema.CreateTable(STATE))

    async with SqliteRows(path, RatedClock()) as rows:
        await rows.transaction(create)
        return sum(await asyncio.gather(*(client(rows, me) for me in range(CLIENTS)))) / seconds


def bare(path: Path, seconds: float, *, at_once: int) -> float:
    """Upserts a second of the driver alone, one thread, `at_once` in a commit."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE state (id TEXT PRIMARY KEY, n)"
    )
    until, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        connection.execute("BEGIN IMMEDIATE")
        for client in range(at_once):
            connection.execute(SQL, (f"ven-{client}", done))
        connection.execute("COMMIT")
        done += at_once
    connection.close()
    return done / seconds


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk: /tmp may be memory, where a sync costs nothing
        place = Path(folder)
        together = asyncio.run(through_rows(place / "together.db", seconds))
        with patch.object(sqlite, "_GROUP", 1):
            alone = asyncio.run(through_rows(place / "alone.db", seconds))
        limit_together = bare(place / "bare-together.db", seconds, at_once=CLIENTS)
        limit_alone = bare(place / "bare-alone.db", seconds, at_once=1)
    print(
        f"200 clients, committed together  {together:>9,.0f} upserts/s   {together / limit_together:.2f} of the driver"
    )
    print(f"200 clients, one commit each     {alone:>9,.0f} upserts/s   {alone / limit_alone:.2f} of the driver")
    print(f"the driver, 200 in a commit      {limit_together:>9,.0f} upserts/s")
    print(f"the driver, one commit each      {limit_alone:>9,.0f} upserts/s")
    print(f"together is {together / alone:.1f} times one commit each")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
