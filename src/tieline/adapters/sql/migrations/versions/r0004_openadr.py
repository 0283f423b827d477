"""Programs, events, VENs and resources as OpenADR objects: their documents, targets, owners and times of change."""

import json
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from tieline.columns import Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _programs()
    _events()
    _vens()
    _resources()


def _programs() -> None:
    _distinct_names("program", "program_id")
    _add("program", sa.Column("modified_at", Instant), sa.Column("deleted_at", Instant), sa.Column("request", sa.Text))
    rows = _rows("program", "program_id", "name", "created_at")
    _fill("program", ["program_id"], [_program(*row) for row in rows])
    with op.batch_alter_table("program") as table:
        table.alter_column("name", existing_type=sa.String(200), type_=sa.String(128))
    _require("program", {"modified_at": Instant(), "request": sa.Text()})
    op.create_index("program_by_creation", "program", ["created_at", "program_id"])
    _unique_name("program", "deleted_at")


def _program(program_id: str, name: str, created_at: Any) -> dict[str, Any]:
    return {"program_id": program_id, "modified_at": created_at, "request": json.dumps({"programName": name})}


def _events() -> None:
    _add("event", sa.Column("modified_at", Instant), sa.Column("deleted_at", Instant), sa.Column("request", sa.Text))
    rows = _rows("event", "event_id", "program_id", "start_at", "end_at", "target_kw", "created_at")
    _fill("event", ["event_id"], [_event(*row) for row in rows])
    stopped = _rows("event", "event_id", "created_at", "ended_at", "state")
    gone = [(key, ended_at or created_at) for key, created_at, ended_at, state in stopped if state == "cancelled"]
    _fill("event", ["event_id"], [{"event_id": key, "deleted_at": at} for key, at in gone])
    _require("event", {"modified_at": Instant(), "request": sa.Text()})
    op.create_index("event_by_creation", "event", ["created_at", "event_id"])
    op.create_index("event_by_state", "event", ["state", "start_at"])
    op.create_index("event_by_program", "event", ["program_id"])


def _event(event_id: str, program_id: str, start_at: Any, end_at: Any, kw: float, created_at: Any) -> dict[str, Any]:
    period = {
        "start": start_at.isoformat().replace("+00:00", "Z"),
        "duration": f"PT{(end_at - start_at).total_seconds():.6f}".rstrip("0").rstrip(".") + "S",
    }
    payloads = [{"type": "SIMPLE", "values": [1]}, {"type": "FLEET_REDUCTION", "values": [kw]}]
    units = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "FLEET_REDUCTION", "units": "KW"}
    request = {
        "programID": program_id,
        "payloadDescriptors": [units],
        "intervalPeriod": period,
        "intervals": [{"id": 0, "payloads": payloads}],
    }
    return {"event_id": event_id, "modified_at": created_at, "request": json.dumps(request)}


def _vens() -> None:
    _distinct_names("ven", "ven_id")
    _add(
        "ven",
        sa.Column("modified_at", Instant),
        sa.Column("retired_at", Instant),
        sa.Column("client_id", sa.String(128)),
        sa.Column("named", sa.Boolean),
        sa.Column("targets", sa.Text),
        sa.Column("attributes", sa.Text),
    )
    _fill(
        "ven",
        ["ven_id"],
        [{"ven_id": k, "modified_at": at, "named": True} for k, at in _rows("ven", "ven_id", "created_at")],
    )
    _require("ven", {"modified_at": Instant(), "named": sa.Boolean()})
    op.create_index("ven_by_client", "ven", ["client_id"])
    op.create_index("ven_by_creation", "ven", ["created_at", "ven_id"])
    _unique_name("ven", "retired_at")


def _resources() -> None:
    _add(
        "resource",
        sa.Column("object_id", sa.String(64)),
        sa.Column("created_at", Instant),
        sa.Column("modified_at", Instant),
        sa.Column("client_id", sa.String(128)),
        sa.Column("named", sa.Boolean),
        sa.Column("targets", sa.Text),
        sa.Column("attributes", sa.Text),
    )
    created = dict(_rows("ven", "ven_id", "created_at"))
    _fill(
        "resource",
        ["ven_id", "resource_id"],
        [
            {
                "ven_id": ven_id,
                "resource_id": resource_id,
                "object_id": secrets.token_hex(12),
                "created_at": created[ven_id],
                "modified_at": created[ven_id],
                "named": True,
            }
            for ven_id, resource_id in _rows("resource", "ven_id", "resource_id")
        ],
    )
    required = {"object_id": sa.String(64), "created_at": Instant(), "modified_at": Instant(), "named": sa.Boolean()}
    _require("resource", required)
    op.create_index("resource_by_object_id", "resource", ["object_id"], unique=True)
    op.create_index("resource_by_client", "resource", ["client_id"])
    op.create_index("resource_by_creation", "resource", ["created_at", "object_id"])


# --- steps that every table takes -------------------------------------------------------------------------------------


def _table(name: str, *columns: str) -> sa.TableClause:
    kinds = {one: Instant() for one in columns if one.endswith("_at")}
    return sa.table(name, *[sa.column(one, kinds.get(one)) for one in columns])


def _rows(name: str, *columns: str) -> list[Any]:
    table = _table(name, *columns)
    return list(op.get_bind().execute(sa.select(*[table.c[one] for one in columns])))


def _add(name: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(name, column)


def _fill(name: str, key: list[str], rows: list[dict[str, Any]]) -> None:
    for row in rows:
        table = _table(name, *row)
        same = sa.and_(*[table.c[one] == row[one] for one in key])
        op.get_bind().execute(sa.update(table).where(same).values({k: v for k, v in row.items() if k not in key}))


def _require(name: str, columns: dict[str, Any]) -> None:
    with op.batch_alter_table(name) as table:
        for column, kind in columns.items():
            table.alter_column(column, existing_type=kind, nullable=False)


def _distinct_names(name: str, key: str) -> None:
    """Names become unique: those that were given twice get their id behind them."""
    seen: set[str] = set()
    for row_key, text in _rows(name, key, "name"):
        table, short = _table(name, key, "name"), text[:128]
        kept = short if short not in seen else f"{text[:60]} ({row_key})"
        seen.add(kept)
        if kept != text:
            op.get_bind().execute(sa.update(table).where(table.c[key] == row_key).values(name=kept))


def _unique_name(name: str, gone: str) -> None:
    there = sa.column(gone).is_(None)
    op.create_index(f"{name}_by_name", name, ["name"], unique=True, sqlite_where=there, postgresql_where=there)
