"""The migrations lead to exactly the tables that the slices declare."""

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from docs.reference.generate import metadatas

from tieline.adapters.sql import migrations


def declared() -> sa.MetaData:
    whole = sa.MetaData()
    for metadata in metadatas().values():
        for table in metadata.sorted_tables:
            table.to_metadata(whole)
    return whole


def test_the_migrations_make_what_the_slices_declare(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    with engine.begin() as connection:
        migrations.upgrade(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, declared()) == []
    engine.dispose()


def test_no_two_slices_declare_the_same_table() -> None:
    names = [table for metadata in metadatas().values() for table in metadata.tables]
    assert len(names) == len(set(names))


def test_revisions_follow_one_another() -> None:
    names = sorted(file.name for file in Path(migrations.__file__).parent.glob("versions/r[0-9]*.py"))
    assert [int(name[1:5]) for name in names] == list(range(1, len(names) + 1))
