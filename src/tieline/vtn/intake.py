"""Takes in what reports hold: readings to the Log, opt-outs to the ledger, and that they came at all.

    Log: news.openadr.report.* ─▶ understand (a read) ─▶ bytes of what is refused to Blobs
                                                     └─▶ one transaction: taken_at of that state of the report,
                                                         readings, dead letters, ledger, expectations ─▶ done

A crash before the commit leaves nothing, one after it a state that is taken already: delivered again, it is passed
over. So is a state that a later one has overtaken, and a report that was deleted before anyone had read it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa
import structlog

from tieline import metrics
from tieline.base.errors import Refused, Unready
from tieline.base.time import Clock
from tieline.dispatch import actions as dispatch
from tieline.ports import Blobs, Entry, Log, Reader, Rows, Transaction
from tieline.registry import openadr
from tieline.registry import reads as registry
from tieline.telemetry import reported
from tieline.telemetry.actions import refuse, refuse_within
from tieline.telemetry.model import Dead, Limits, Reported, believed
from tieline.vtn import readings, store, tracking
from tieline.vtn.expectations import GRACE_S, State
from tieline.vtn.readings import Home, Told
from tieline.wires.mqtt.messages import OptOut
from tieline.wires.openadr31.change import Change, subjects
from tieline.wires.openadr31.messages import Event, ObjectType, Operation, Program, Report, decode

SUBJECT = subjects(ObjectType.REPORT)
GROUP = "vtn.reports"
AT_ONCE = 50
TOGETHER = 16
_TAKEN = (Operation.CREATE, Operation.UPDATE)
log = structlog.get_logger(__name__)


class _Understood(msgspec.Struct, frozen=True):
    """A report with what it answers, and what of it can be taken."""

    report: Report
    event: Event
    program: Program | None
    told: Told
    readings: Sequence[Reported]
    refused: Sequence[Dead]


class _Entered(msgspec.Struct, frozen=True):
    taken: Sequence[Reported]
    states: Sequence[State]


class Intake:
    """Several processes may take reports in; each state of a report is taken by one of them."""

    def __init__(
        self, log: Log, rows: Rows, blobs: Blobs, clock: Clock, limits: Limits, grace_s: float = GRACE_S
    ) -> None:
        self._log = log
        self._rows = rows
        self._blobs = blobs
        self._clock = clock
        self._limits = limits
        self._grace = timedelta(seconds=grace_s)

    async def run(self) -> None:
        async for delivery in self._log.work(SUBJECT, group=GROUP, at_once=AT_ONCE):
            gate = asyncio.Semaphore(TOGETHER)
            async with asyncio.TaskGroup() as group:
                for entry in delivery.entries:
                    group.create_task(self._gated(gate, entry))
            await delivery.done()

    async def _gated(self, gate: asyncio.Semaphore, entry: Entry) -> None:
        async with gate:
            try:
                await self.take(entry)
            except Unready:
                raise
            except Exception as error:  # one report that nobody thought of would hold up all the others for ever
                log.error("a report cannot be taken in", position=entry.position, exc_info=error)
                dead = Dead("failed", f"{type(error).__name__}: {error}")
                await refuse(self._log, self._blobs, self._clock, entry, "", dead)

    async def take(self, entry: Entry) -> None:
        """One change of a report; again changes nothing."""
        try:
            change = decode(Change, entry.data)
        except Refused as error:
            await refuse(self._log, self._blobs, self._clock, entry, "", Dead("malformed", str(error)))
            return
        if change.operation not in _TAKEN or not isinstance(change.object, Report):
            return
        now, report = self._clock.now(), change.object
        understood = await self._rows.read(lambda reader: _understood(reader, report, now, self._limits))
        if understood is None:
            return
        digest = await self._blobs.put(entry.data) if understood.refused else ""
        entered = await self._rows.transaction(lambda tx: _enter(tx, entry, understood, digest, now, self._grace))
        if entered is not None:
            _count(entered, understood.refused)


def _understood(reader: Reader, report: Report, now: datetime, limits: Limits) -> _Understood | None:
    """None for what is taken already, overtaken or gone."""
    context = tracking.context(reader, report.event_id)
    if context is None or not _is_new(reader, report):
        return None
    homes = [
        Home(ven, registry.resources_of(reader, ven_id))
        for ven_id in openadr.vens_of(reader, report.client_id)
        if (ven := registry.find_ven(reader, ven_id)) is not None
    ]
    told = readings.told(report, homes, *context)
    taken, unbelievable = believed(told.readings, now, limits)
    return _Understood(report, *context, told, taken, [*told.refused, *readings.together(unbelievable)])


def _is_new(reader: Reader, report: Report) -> bool:
    table = store.report
    row = reader.execute(sa.select(table.c.taken_at).where(table.c.report_id == report.id)).first()
    return row is not None and (row.taken_at is None or row.taken_at < report.modification_date_time)


def _enter(
    tx: Transaction, entry: Entry, understood: _Understood, digest: str, now: datetime, grace: timedelta
) -> _Entered | None:
    report, told = understood.report, understood.told
    if not _is_new(tx, report):
        return None
    stated_at = report.modification_date_time
    store.set_(tx, store.report, report.id, taken_at=stated_at)
    taken = reported.take(tx, understood.readings, stated_at=stated_at, position=entry.position, now=now)
    ven_id = next(iter(told.answered)) if len(told.answered) == 1 else None
    for dead in understood.refused:
        refuse_within(tx, entry, digest, ven_id, dead, now)
    for out in told.opted_out:
        cause = f"report {report.id}: {out.state}" + (f" ({report.report_name})" if report.report_name else "")
        opt_outs = [OptOut(load, out.from_at, reason=cause) for load in out.loads]
        dispatch.opt_out(tx, report.event_id, out.ven_id, opt_outs, now)
    states = tracking.enter(tx, understood.event, understood.program, report, told.answered, grace)
    return _Entered(taken, states)


def _count(entered: _Entered, refused: Sequence[Dead]) -> None:
    reported.counted(entered.taken)
    for dead in refused:
        metrics.DEAD_LETTERS.labels(dead.reason).inc()
    for state in entered.states:
        metrics.REPORTS.labels(state).inc()
