"""Reports as documents: each verb within a transaction, told when it commits. `intake` takes in what they hold."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tieline.base.errors import Conflict, NotFound
from tieline.base.names import new_id
from tieline.base.time import later
from tieline.dispatch import reads as dispatch
from tieline.ports import Reader, Transaction
from tieline.vtn import store
from tieline.vtn.privacy import Viewer
from tieline.vtn.selection import Query
from tieline.vtn.store import report as table
from tieline.wires.openadr31.change import Change
from tieline.wires.openadr31.messages import Operation, Report, ReportRequest


def found(reader: Reader, viewer: Viewer, query: Query) -> list[tuple[Report, str]]:
    """A page of those that the viewer may see, in order of creation and id, each with the program of its event."""
    wanted = sa.select(table).order_by(table.c.created_at, table.c.report_id)
    if not viewer.business:
        wanted = wanted.where(table.c.client_id == viewer.client_id)
    for name in ("program_id", "event_id", "client_name"):
        if (asked := getattr(query, name)) is not None:
            wanted = wanted.where(table.c[name] == asked)
    return [(_shown(row), row.program_id) for row in reader.execute(wanted.offset(query.skip).limit(query.limit))]


def find(reader: Reader, report_id: str) -> Report | None:
    row = reader.execute(sa.select(table).where(table.c.report_id == report_id)).first()
    return None if row is None else _shown(row)


def program_of(reader: Reader, report_id: str) -> str | None:
    found: str | None = reader.execute(sa.select(table.c.program_id).where(table.c.report_id == report_id)).scalar()
    return found


def the(reader: Reader, report_id: str) -> Report:
    """Raises `NotFound`."""
    if (report := find(reader, report_id)) is None:
        raise NotFound(f"there is no report {report_id!r}")
    return report


def create(tx: Transaction, request: ReportRequest, client_id: str, now: datetime) -> Report:
    """Raises `Conflict` for an event that does not exist."""
    program_id = _program_of(tx, request)
    id_ = new_id()
    store.add(
        tx,
        table,
        report_id=id_,
        event_id=request.event_id,
        program_id=program_id,
        client_id=client_id,
        client_name=request.client_name,
        created_at=now,
        modified_at=now,
        request=request,
    )
    return _told(tx, the(tx, id_), program_id, Operation.CREATE, now)


def update(tx: Transaction, report_id: str, request: ReportRequest, now: datetime) -> Report:
    """Raises `NotFound`, and `Conflict` for an event that does not exist."""
    old = the(tx, report_id)
    program_id = _program_of(tx, request)
    store.set_(
        tx,
        table,
        report_id,
        event_id=request.event_id,
        program_id=program_id,
        client_name=request.client_name,
        modified_at=later(now, than=old.modification_date_time),
        request=request,
    )
    return _told(tx, the(tx, report_id), program_id, Operation.UPDATE, now)


def delete(tx: Transaction, report_id: str, now: datetime) -> Report:
    """Raises `NotFound`."""
    old = the(tx, report_id)
    event = dispatch.find_event(tx, old.event_id)
    store.remove(tx, table, report_id)
    return _told(tx, old, event.program_id if event else None, Operation.DELETE, now)


def _program_of(tx: Transaction, request: ReportRequest) -> str:
    event = dispatch.find_event(tx, request.event_id)
    if event is None:
        raise Conflict(f"there is no event {request.event_id!r}: report on one that exists")
    return event.program_id


def _shown(row: sa.Row[Any]) -> Report:
    return Report(
        **msgspec.structs.asdict(row.request),
        id=row.report_id,
        client_id=row.client_id,
        created_date_time=row.created_at,
        modification_date_time=row.modified_at,
    )


def _told(tx: Transaction, told: Report, program_id: str | None, operation: Operation, now: datetime) -> Report:
    change = Change.of(operation, told, now, program_id=program_id)
    tx.say(change.subject, change.encoded())
    return told
