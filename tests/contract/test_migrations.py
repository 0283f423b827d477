"""What an older Tieline wrote is still there, and means the same, after its tables were brought up to date."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tieline.adapters.sql import migrations
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.errors import NotFound
from tieline.base.time import EPOCH, VirtualClock, micros
from tieline.dispatch import reads as dispatch
from tieline.identity import claims, model
from tieline.identity import reads as identity
from tieline.registry import openadr, reads

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
MICROS = micros(NOW)


def insert(connection: sa.Connection, table: str, **values: Any) -> None:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in values]
    connection.execute(sa.insert(sa.table(table, *columns)).values(**values))


def at_revision(path: Path, revision: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        command.upgrade(config, revision)
    return engine


def as_revision_2_left_it(path: Path) -> None:
    engine = at_revision(path, "0002")
    with engine.begin() as connection:
        for program in ("peak", "other"):
            insert(connection, "program", program_id=program, name="Peak", created_at=MICROS)
        window = {"start_at": MICROS, "end_at": MICROS + 1_800_000_000}
        event = {"event_id": "hot", "program_id": "peak", "target_kw": 60.0, "state": "ended", "created_at": MICROS}
        insert(connection, "event", **event, **window)
        site = {"site_id": "s", "name": "S", "zone": "UTC", "latitude": 0.0, "longitude": 0.0, "panel_a": 200.0}
        insert(connection, "site", **site, created_at=MICROS)
        for ven in ("home-1", "home-2"):
            insert(connection, "ven", ven_id=ven, name="Home", site_id="s", created_at=MICROS)
            load = {"resource_id": "ev", "name": "EV", "kind": "ev", "rated_kw": 7.0, "sheddable": True}
            insert(connection, "resource", ven_id=ven, **load)
    engine.dispose()


async def test_programs_events_and_vens_become_openadr_objects(tmp_path: Path) -> None:
    as_revision_2_left_it(tmp_path / "rows.sqlite")
    async with SqliteRows(tmp_path / "rows.sqlite", VirtualClock(NOW)) as rows:
        await rows.migrate()
        programs = await rows.read(dispatch.shown_programs)
        assert sorted(one.name for one in programs) == ["Peak", "Peak (other)"]
        event = await dispatch.event(rows, "hot")
        assert (event.target_kw, event.request.program_id, event.modified_at) == (60.0, "peak", NOW)
        assert event.request.interval_period.start == "2026-07-15T17:00:00Z"  # type: ignore[union-attr]
        assert [one.name for one in await reads.vens(rows)] == ["Home", "Home (home-2)"]
        resources = await rows.read(openadr.resources)
        assert [(one.ven_id, one.resource_name) for one in sorted(resources, key=lambda r: r.ven_id)] == [
            ("home-1", "EV"),
            ("home-2", "EV"),
        ]
        assert len({one.id for one in resources}) == 2


async def test_every_ven_that_is_not_retired_has_a_credential(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    engine = at_revision(path, "0007")
    with engine.begin() as connection:
        site = {"site_id": "s", "name": "S", "zone": "UTC", "latitude": 0.0, "longitude": 0.0, "panel_a": 200.0}
        insert(connection, "site", **site, created_at=MICROS)
        for ven_id, retired_at in (("device", None), ("by-openadr", None), ("gone", MICROS)):
            ven = {"ven_id": ven_id, "name": ven_id, "site_id": "s", "created_at": MICROS, "modified_at": MICROS}
            insert(connection, "ven", **ven, named=True, retired_at=retired_at)
        for ven_id, revoked_at in (("device", None), ("gone", MICROS)):
            digest = model.digest(ven_id)
            insert(connection, "credential", subject=ven_id, secret_digest=digest, issued_at=0, revoked_at=revoked_at)
    engine.dispose()
    async with SqliteRows(path, VirtualClock(NOW)) as rows:
        await rows.migrate()
        found = await identity.credentials(rows, new_at=NOW)
        assert [(one.ven_id, one.generation, one.issued_at) for one in found] == [
            ("by-openadr", 1, NOW),
            ("device", 1, EPOCH),
        ]
        held = await rows.read(lambda reader: identity.held(reader, "device"))
        assert held is not None
        assert model.matches("device", held.secret_digest)
        with pytest.raises(NotFound):
            await rows.transaction(lambda tx: claims.add(tx, "gone", 1, timedelta(hours=1), NOW))
