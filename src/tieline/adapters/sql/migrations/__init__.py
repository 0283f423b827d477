"""The tables through time, the same on both dialects; shipped in the package and run at start.

To write one: add `versions/r<number>_<what>.py` with `revision`, `down_revision` and `upgrade()`; use `op` with the
types of `tieline.columns` and sqlalchemy's portable ones, no SQL of one dialect; to change a column use
`op.batch_alter_table`, since SQLite cannot. A revision that was released is never changed again.
"""

from pathlib import Path

import sqlalchemy as sa

from tieline.base.errors import Refused

_HERE = Path(__file__).parent


def head() -> str:
    """The newest revision: the files' names tell it without importing alembic, which costs a third of a second."""
    return max(_known())


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables to `head` inside the caller's transaction. Raises `Refused` where a newer Tieline was here."""
    revision = _revision(connection)
    if revision == head():
        return
    if revision is not None and revision not in _known():
        raise Refused(
            f"the database is at revision {revision}, this Tieline knows up to {head()}: "
            "install the newer one that migrated it, or restore a backup"
        )
    from alembic import command  # noqa: PLC0415  slow to import, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    command.upgrade(config, "head")


def _known() -> set[str]:
    return {file.name[1:5] for file in _HERE.glob("versions/r[0-9]*.py")}


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision
