"""An event that was under way when Tieline was brought up to date goes on: its commands had no numbers yet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.integration.dispatch_world import Floor
from tieline.adapters.sql import migrations
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock, micros
from tieline.dispatch import reads
from tieline.dispatch.model import EventState, RowState
from tieline.wires.mqtt.messages import Ack, Answer, Op

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
ENDS = NOW + timedelta(minutes=30)
REQUEST = (
    '{"programID":"peak","intervalPeriod":{"start":"2026-07-15T17:00:00Z","duration":"PT30M"},'
    '"intervals":[{"id":0,"payloads":[{"type":"FLEET_REDUCTION","values":[4.0]}]}]}'
)


def insert(connection: sa.Connection, table: str, **values: Any) -> None:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in values]
    connection.execute(sa.insert(sa.table(table, *columns)).values(**values))


def as_revision_10_left_it(path: Path) -> None:
    """Two homes were called: one has accepted, the other has not answered yet."""
    engine, now = sa.create_engine(f"sqlite:///{path}"), micros(NOW)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        command.upgrade(config, "0010")
        made = {"created_at": now, "modified_at": now}
        insert(connection, "program", program_id="peak", name="Peak", request='{"programName":"peak"}', **made)
        window = {"start_at": now, "end_at": micros(ENDS), "planned_at": now, "started_at": now}
        insert(
            connection, "event", event_id="hot", program_id="peak", target_kw=4.0, state="active", request=REQUEST,
            **window, **made,
        )  # fmt: skip
        sent = {"planned_kw": 2.0, "cause": "", "planned_at": now, "sent_at": now, "last_send_at": now}
        row = {"event_id": "hot", "resource_id": "ev", **sent}
        acted = {"state": "acting", "answer": "accepted", "acked_at": now, "acting_at": now}
        insert(connection, "ledger", ven_id="home-00", **row, **acted)
        insert(connection, "ledger", ven_id="home-01", **row, state="sent")
    engine.dispose()


async def test_what_was_in_flight_goes_on_and_is_given_back(tmp_path: Path) -> None:
    as_revision_10_left_it(tmp_path / "rows.sqlite")
    clock = VirtualClock(NOW + timedelta(seconds=10))
    async with SqliteRows(tmp_path / "rows.sqlite", clock) as rows:
        await rows.migrate()
        floor = Floor(rows, clock, homes=2)
        call = await rows.read(lambda reader: reads.calls_to(reader, "hot", ["home-01"]).get("home-01"))
        assert call is not None
        assert (call.command_id, set(call.loads), call.end_at) == ("hot:home-01:event", {"ev"}, ENDS)
        await floor.answer("home-01", Ack("hot:home-01:event", Answer.ACCEPTED, clock.now()))
        await floor.pass_time(10)
        assert {row.state for row in await floor.ledger("hot")} <= {RowState.ACTING, RowState.METERED}
        await floor.pass_time(35 * 60, step=30)
        view = await floor.view("hot")
        assert (view.state, view.rows["restored"]) == (EventState.ENDED, 2)
        assert {(one.op, one.command_id.rpartition(":")[2]) for one in floor.retained.values()} == {(Op.RESTORE, "1")}
