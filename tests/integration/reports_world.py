"""A small gateway for the tests of reports: rows, blobs and a clock; business logic that asks, VENs that report."""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import sqlalchemy as sa
from litestar import Litestar
from litestar.di import Provide

from tests.servers.rows import with_tables
from tieline import doors
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.sql.outbox import OUTBOX
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.base.time import VirtualClock, from_micros, iso
from tieline.dispatch import publishing
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import LedgerRow
from tieline.ports import Entry, Rows, Transaction
from tieline.registry import openadr as registry
from tieline.telemetry.model import Batch, DeadLetter, Limits
from tieline.vtn import reports, v1
from tieline.vtn.intake import Intake
from tieline.vtn.overdue import Overdue
from tieline.vtn.tracking import Missing
from tieline.vtn.view import View
from tieline.wires.openadr31.messages import (
    BlResourceRequest,
    BlVenRequest,
    EventRequest,
    Interval,
    IntervalPeriod,
    ProgramRequest,
    Report,
    ReportDescriptor,
    ReportRequest,
    decode,
)

T = TypeVar("T")
NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRACE_S = 900.0
USAGE = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "USAGE", "units": "KWH"}
STATE = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "OPERATING_STATE"}
Read = tuple[str, datetime, float]


class Desk:
    """Rows, and what people do to them."""

    def __init__(self, rows: Rows, blobs: ObjectBlobs, clock: VirtualClock) -> None:
        self.rows, self.blobs, self.clock = rows, blobs, clock
        self._heard = 0
        self._names = itertools.count()

    async def do(self, work: Callable[[Transaction], T]) -> T:
        return await self.rows.transaction(work)

    # --- business logic ---

    async def program(self) -> str:
        now, asked = self.clock.now(), ProgramRequest(program_name=f"program {next(self._names)}")
        return (await self.do(lambda tx: publishing.create_program(tx, asked, now))).program_id

    async def event(self, *descriptors: ReportDescriptor, hours: int = 4, start: datetime = NOW, **more: Any) -> str:
        """An event of hourly intervals that asks for reports."""
        now = self.clock.now()
        asked = EventRequest(
            program_id=await self.program(),
            interval_period=IntervalPeriod(start=iso(start), duration="PT1H"),
            intervals=tuple(Interval(id=n, payloads=()) for n in range(hours)),
            report_descriptors=descriptors or (ReportDescriptor(payload_type="USAGE"),),
            **more,
        )
        return (await self.do(lambda tx: publishing.create_event(tx, asked, now))).event_id

    async def ven(self, client_id: str, *resources: str, targets: Sequence[str] = (), name: str | None = None) -> str:
        """A VEN of a client, with resources of these names."""
        now = self.clock.now()
        asked = BlVenRequest(
            client_id=client_id, ven_name=name or f"VEN of {client_id}", targets=tuple(targets) or None
        )

        def work(tx: Transaction) -> str:
            ven_id = registry.create_ven(tx, asked, "UTC", now, named=True).id
            for one in resources:
                request = BlResourceRequest(client_id=client_id, resource_name=one, ven_id=ven_id)
                registry.create_resource(tx, request, now, named=True)
            return ven_id

        return await self.do(work)

    # --- VENs ---

    async def report(
        self, event_id: str, client_id: str, *resources: Any, report_id: str | None = None, **more: Any
    ) -> Report:
        """Post a report, or put a new state of one."""
        now = self.clock.now()
        said = {"eventID": event_id, "clientName": client_id, "payloadDescriptors": [USAGE], "resources": resources}
        request: ReportRequest = decode(ReportRequest, msgspec.json.encode(said | more))
        if report_id is None:
            return await self.do(lambda tx: reports.create(tx, request, client_id, now))
        return await self.do(lambda tx: reports.update(tx, report_id, request, now))

    # --- what was said ---

    async def said(self, subject: str, kind: type[T], after: int = 0) -> list[T]:
        found = await self._outbox(subject, after)
        decoder = msgspec.msgpack if subject.startswith("readings") else msgspec.json
        return [decoder.decode(one.data, type=kind) for one in found]

    async def entries(self) -> list[Entry]:
        """What was said of reports since last asked."""
        found = await self._outbox("news.openadr.report.", self._heard)
        self._heard = found[-1].id if found else self._heard
        return [Entry(one.id, one.subject, one.data, one.said_at) for one in found]

    async def _outbox(self, subject: str, after: int) -> list[Any]:
        query = sa.select(OUTBOX).where(OUTBOX.c.subject.startswith(subject), OUTBOX.c.id > after)
        return await self.rows.read(lambda reader: list(reader.execute(query.order_by(OUTBOX.c.id))))

    async def vintages(self) -> list[Read]:
        """Every reading said, in the order in which it was."""
        return [
            (batch.names[index], from_micros(at), value)
            for batch in await self.said("readings.openadr", Batch)
            for index, at, value in zip(batch.series, batch.at, batch.value, strict=True)
        ]

    async def dead(self) -> list[DeadLetter]:
        return await self.said("dead.", DeadLetter)

    async def missing(self) -> list[Missing]:
        return await self.said("news.report.missing", Missing)

    async def ledger(self, event_id: str) -> dict[str, list[LedgerRow]]:
        found = defaultdict(list)
        for row in await self.rows.read(lambda reader: dispatch.ledger_of(reader, event_id)):
            found[row.ven_id].append(row)
        return dict(found)


class World(Desk):
    """The desk with what takes reports in and looks for those that do not come."""

    def __init__(self, rows: Rows, blobs: ObjectBlobs, clock: VirtualClock) -> None:
        super().__init__(rows, blobs, clock)
        self.intake, self.overdue = self.new_intake(), self.new_overdue()

    def new_intake(self, rows: Rows | None = None) -> Intake:
        log: Any = None  # only the worker's loop asks it
        return Intake(log, rows or self.rows, self.blobs, self.clock, Limits(), GRACE_S)

    def new_overdue(self) -> Overdue:
        log: Any = None  # its view is loaded afresh for each sweep
        return Overdue(View(log, self.rows), self.rows, self.clock, GRACE_S)

    async def take(self) -> list[Entry]:
        """All that was said of reports since the last time; given back, so that it can be delivered again."""
        entries = await self.entries()
        for entry in entries:
            await self.intake.take(entry)
        return entries

    async def sweep(self) -> None:
        await self.new_overdue().sweep()

    async def tracked(self, event_id: str, **query: Any) -> list[dict[str, Any]]:
        """What the door lists, page by page."""
        async with self.door() as door:
            found: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                answer = await door.get(f"/v1/events/{event_id}/reports", params={**query, **cursor})
                assert answer.status_code == 200, answer.text
                found += answer.json()["items"]
                if answer.json()["next_cursor"] is None:
                    return found
                cursor = {"cursor": answer.json()["next_cursor"]}

    async def states(self, event_id: str) -> list[tuple[float | None, str]]:
        """The hour at which each was due, and what became of it."""
        return [
            (None if one["due_at"] is None else (datetime.fromisoformat(one["due_at"]) - NOW) / HOUR, one["state"])
            for one in await self.tracked(event_id)
        ]

    def door(self) -> httpx.AsyncClient:
        provided = {
            "rows": Provide(lambda: self.rows, sync_to_thread=False),
            "clock": Provide(lambda: self.clock, sync_to_thread=False),
        }
        app: Any = Litestar(
            [v1.event_reports], dependencies=provided, exception_handlers=dict[Any, Any](doors.PROBLEMS)
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tieline")


@contextlib.asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    clock = VirtualClock(NOW - HOUR)
    async with SqliteRows(with_tables(folder / "rows.sqlite"), clock) as rows:
        yield World(rows, ObjectBlobs.folder(folder / "blobs"), clock)


@contextlib.asynccontextmanager
async def world_on_postgres(url: str, folder: Path) -> AsyncIterator[World]:
    clock = VirtualClock(NOW - HOUR)
    async with PostgresRows(url, clock) as rows:
        yield World(rows, ObjectBlobs.folder(folder / "blobs"), clock)


def used(name: str, *kwh: float, start: datetime = NOW, each: str = "PT15M") -> dict[str, Any]:
    """What a resource used in intervals from `start` on."""
    intervals = [{"id": n, "payloads": [{"type": "USAGE", "values": [one]}]} for n, one in enumerate(kwh)]
    return {"resourceName": name, "intervalPeriod": {"start": iso(start), "duration": each}, "intervals": intervals}


def state(name: str, *said: str) -> dict[str, Any]:
    payloads = [{"type": "OPERATING_STATE", "values": list(said)}]
    return {"resourceName": name, "intervals": [{"id": 0, "payloads": payloads}]}
