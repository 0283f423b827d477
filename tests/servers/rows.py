"""Rows for tests, with the platform's tables already: to copy them costs less than to migrate for each test anew."""

import functools
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from tieline.adapters.sql import migrations
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import Clock

AnyRows = SqliteRows | PostgresRows


@pytest.fixture(params=["sqlite", "postgres"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test's own tables are, empty: for `rows_at`. A test that asks for them runs once on each database."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_tables"))
    return str(with_tables(tmp_path / "rows.sqlite"))


def rows_at(place: str, clock: Clock) -> AnyRows:
    return PostgresRows(place, clock) if place.startswith("postgresql:") else SqliteRows(Path(place), clock)


def with_tables(path: Path) -> Path:
    """The path of a SQLite file, where it now is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())
    return path


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.sqlite"
        engine = sa.create_engine(sa.URL.create("sqlite", database=str(file)))
        with engine.begin() as connection:
            migrations.upgrade(connection)
        engine.dispose()
        return file.read_bytes()
