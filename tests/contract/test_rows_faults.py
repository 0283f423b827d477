"""Rows when things go wrong: kills, full disks, lost servers. As a program: the child that suffers it."""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.test_rows import COUNTS, VALUES, counted, create, do, opened, place, put
from tieline.adapters.sql import migrations
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import Broken, Refused, Unready
from tieline.base.time import RatedClock

__all__ = ["place"]

# --- migrations -------------------------------------------------------------------------------------------------------


async def test_processes_that_start_together_migrate_once(place: str) -> None:
    children = [child("migrate", place) for _ in range(3)]
    assert [c.wait(120) for c in children] == [0, 0, 0]
    async with opened(place) as rows:
        version = sa.text("SELECT version_num FROM alembic_version")
        assert await rows.read(lambda r: r.execute(version).scalars().all()) == [migrations.head()]
        await rows.migrate()


async def test_tables_of_a_newer_tieline_are_left_alone(place: str) -> None:
    async with opened(place) as rows:
        await rows.migrate()
        await rows.transaction(do(sa.text("UPDATE alembic_version SET version_num='9999'")))
        with pytest.raises(Refused, match=r"9999.*install the newer"):
            await rows.migrate()


def test_the_files_names_tell_the_head() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.head()]


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_what_was_acknowledged_survives_a_kill(place: str) -> None:
    async with opened(place) as rows:
        await rows.transaction(create)
    with child("write", place, stdout=subprocess.PIPE) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(500)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
    async with opened(place) as rows:
        kept = await rows.read(lambda r: set(r.execute(sa.select(COUNTS.c.n)).scalars()))
        assert set(acknowledged) <= kept
        await rows.ready()
    if not place.startswith("postgresql:"):
        assert sound(Path(place))


def child(what: str, place: str, **kwargs: Any) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contract.test_rows_faults", what],
        env={**os.environ, "PLACE": place},
        cwd=root,
        **kwargs,
    )


def sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()


# --- SQLite alone -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteRows]:
    async with SqliteRows(tmp_path / "rows.db", RatedClock(), busy_s=0.2) as rows:
        await rows.transaction(create)
        yield rows


async def test_a_full_disk_fails_only_what_does_not_fit(sqlite: SqliteRows, tmp_path: Path) -> None:
    pages = await sqlite.read(lambda r: r.execute(sa.text("PRAGMA page_count")).scalar_one())
    await sqlite.transaction(do(sa.text(f"PRAGMA max_page_count = {pages + 20}")))
    large = VALUES.insert().values(data=bytes(1_000_000))
    small = VALUES.insert().values(data=b"small")
    outcomes = await asyncio.gather(
        *(sqlite.transaction(do(statement)) for statement in (small, large, small)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), Unready, type(None)]
    assert "no room is left" in str(outcomes[1])
    assert await sqlite.read(lambda r: r.execute(sa.select(sa.func.count()).select_from(VALUES)).scalar_one()) == 2
    assert sound(tmp_path / "rows.db")


async def test_a_file_that_may_not_grow_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with child("fill", str(path), stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=120)
    *acknowledged, error = output.decode().splitlines()
    assert error.startswith("Unready")
    async with SqliteRows(path, RatedClock()) as rows:
        kept = await rows.read(lambda r: r.execute(sa.select(VALUES.c.whole)).scalars().all())
    assert kept == [int(n) for n in acknowledged]
    assert kept
    assert sound(path)


async def test_a_file_held_by_another_is_unready(sqlite: SqliteRows, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "rows.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Unready, match=r"rows\.db.*another process"):
            await sqlite.ready()
        assert await sqlite.read(lambda reader: counted(reader, "n")) is None
    finally:
        holder.close()
    await sqlite.ready()


async def test_a_file_that_is_no_database_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear grid, " * 1000)
    with pytest.raises(Broken, match=r"letter\.db.*no SQLite database"):
        async with SqliteRows(path, RatedClock()):
            pass
    assert path.read_text().startswith("Dear grid")


def test_a_file_that_cannot_be_written_is_unready() -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        asyncio.run(_create(folder / "rows.db"))
        (folder / "rows.db").chmod(0o444)
        folder.chmod(0o555)
        with child("forbidden", str(folder / "rows.db"), stdout=subprocess.PIPE) as process:
            output, _ = process.communicate(timeout=120)
        assert output.startswith(b"Unready: SQLite database")
        assert b"let this user write" in output
        assert sound(folder / "rows.db")
    finally:
        shutil.rmtree(folder)


async def test_the_file_is_its_owners_alone(sqlite: SqliteRows, tmp_path: Path) -> None:
    files = await asyncio.to_thread(lambda: [*tmp_path.iterdir()])
    assert {(file.name, file.stat().st_mode & 0o777) for file in files} == {
        ("rows.db", 0o600),
        ("rows.db-wal", 0o600),
        ("rows.db-shm", 0o600),
    }


async def test_a_closed_file_is_unready(tmp_path: Path) -> None:
    rows = SqliteRows(tmp_path / "rows.db", RatedClock())
    for asked in (rows.ready(), rows.read(lambda reader: counted(reader, "n"))):
        with pytest.raises(Unready, match="closed"):
            await asked


async def test_a_commit_waits_for_the_disk(sqlite: SqliteRows) -> None:
    """2 is FULL: in WAL mode anything less may lose the last commits when the power goes."""
    assert await sqlite.transaction(lambda tx: tx.execute(sa.text("PRAGMA synchronous")).scalar_one()) == 2


# --- PostgreSQL alone -------------------------------------------------------------------------------------------------


@pytest.fixture
async def postgres(postgres_database: str) -> AsyncIterator[PostgresRows]:
    async with PostgresRows(postgres_database, RatedClock(), statement_s=0.5, retry_s=0.0) as rows:
        yield rows


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"port": 1}, "cannot be reached"),
        ({"password": "a-wrong-one"}, "no such user or password"),
        ({"database": "nowhere"}, "no such database"),
    ],
)
async def test_a_server_that_cannot_be_used_is_unready_and_keeps_the_secret(
    postgres_url: str, change: dict[str, Any], reason: str
) -> None:
    url = sa.make_url(postgres_url).set(**change)
    with pytest.raises(Unready, match=reason) as caught:
        async with PostgresRows(url.render_as_string(hide_password=False), RatedClock()):
            pass
    assert url.password
    assert url.password not in str(caught.value)


async def test_the_url_is_that_of_other_programs(postgres_url: str) -> None:
    async with PostgresRows(f"{postgres_url}?sslmode=disable", RatedClock()):
        pass
    for url in ("mysql://user:hush@host/name", "hush", "postgresql://user:hush@host:port/name"):
        with pytest.raises(Refused, match="postgresql://user:secret@host") as caught:
            PostgresRows(url, RatedClock())
        assert "hush" not in str(caught.value)


async def test_a_lost_connection_is_unready_once(postgres: PostgresRows) -> None:
    suicide = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unready):
        await postgres.transaction(do(suicide))
    await postgres.ready()


async def test_a_statement_that_takes_too_long_is_unready(postgres: PostgresRows) -> None:
    with pytest.raises(Unready, match="stopped it"):
        await postgres.read(lambda reader: reader.execute(sa.text("SELECT pg_sleep(60)")).all())
    await postgres.ready()


# --- the child --------------------------------------------------------------------------------------------------------


async def _create(path: Path) -> None:
    async with SqliteRows(path, RatedClock()) as rows:
        await rows.transaction(create)


async def _forbidden(place: str) -> None:
    rows = SqliteRows(Path(place), RatedClock())
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        async with rows:
            await rows.transaction(put("n", 1))
    except Unready as error:
        print(f"Unready: {error}")


async def _migrate(place: str) -> None:
    async with opened(place) as rows:
        await rows.migrate()


async def _write(place: str) -> None:
    """200 clients at once, for ever; each number is printed once it was acknowledged."""

    async def client(first: int) -> None:
        for n in range(first, 1 << 40, 200):
            await rows.transaction(put(str(n), n))
            os.write(1, b"%d\n" % n)

    async with opened(place) as rows:
        await asyncio.gather(*(client(n) for n in range(200)))


async def _fill(place: str) -> None:
    """Writes to a file that may grow to a megabyte only, until it is refused."""
    async with opened(place) as rows:
        await rows.transaction(create)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        for n in range(100):
            row = VALUES.insert().values(whole=n, data=bytes(50_000))
            try:
                await rows.transaction(do(row))
            except Unready as error:
                print(f"Unready: {error}")
                break
            print(n)


if __name__ == "__main__":
    acts = {"migrate": _migrate, "write": _write, "fill": _fill, "forbidden": _forbidden}
    asyncio.run(acts[sys.argv[1]](os.environ["PLACE"]))
