"""What stands behind a statement's line: its intervals, and what the loads themselves drew where they are metered."""

import asyncio
from datetime import date, datetime, timedelta

import msgspec
import numpy as np

from tieline.base.errors import Conflict, NotFound
from tieline.base.names import power_series
from tieline.base.series import Declaration
from tieline.base.time import micros
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import LedgerRow
from tieline.ports import Blobs, Reader, Rows, Series
from tieline.registry import reads as registry
from tieline.settlement import metering, reads
from tieline.settlement.intervals import MILLIWATT_HOURS, Interval, Intervals, intervals_in, unpacked
from tieline.settlement.model import Calibration, SeriesUsed, Statement, StatementLine, Stood, settled

BEFORE = timedelta(hours=1)


class Behind(msgspec.Struct, frozen=True):
    """Where the numbers of a statement's line come from. `factor` adjusts the mean of `days`, by the rule; `beside` is
    what the baseline was made of beside meters, `outages` those that it heeded, of any VEN. `stood` and
    `calibration` say how sure it is; None where nothing was kept of that."""

    event_id: str
    statement_id: str
    statement_digest: str
    rule: str
    days: list[date]
    factor: float
    baseline_known_at: datetime
    known_at: datetime
    readings: int
    note: str
    beside: list[SeriesUsed]
    outages: list[str]
    stood: Stood | None
    calibration: Calibration | None


class LineExplained(Behind, frozen=True):
    """A line down to its intervals; none where none were kept."""

    line: StatementLine
    intervals: list[Interval]


class LoadProof(msgspec.Struct, frozen=True):
    """One called load by its own meter: its mean power in the hour before the event and in it; None where nothing was
    read. What is not `metered` has no series of its own."""

    resource_id: str
    state: str
    planned_kw: float
    metered: bool
    before_kw: float | None = None
    during_kw: float | None = None
    used_kwh: float = 0.0
    covered_s: float = 0.0


async def intervals_of(statement: Statement, blobs: Blobs) -> Intervals:
    """Raises `Conflict` for a statement that kept none."""
    if not statement.intervals_digest:
        raise Conflict(
            f"statement {statement.statement_id} kept no intervals: POST /v1/events/{statement.event_id}/settle makes "
            "one that does"
        )
    return await asyncio.to_thread(unpacked, await blobs.get(statement.intervals_digest))


async def intervals(rows: Rows, blobs: Blobs, statement_id: str, ven_id: str | None) -> list[Interval]:
    """In order: of a VEN (none where it has no baseline), or of all that are settled. Raises `NotFound`, `Conflict`."""
    statement = await rows.read(lambda reader: reads.the_statement(reader, statement_id))
    if ven_id is None:
        return _together(statement, await intervals_of(statement, blobs))
    the_line(statement, ven_id)
    return (await intervals_of(statement, blobs)).of(ven_id)


def _together(statement: Statement, kept: Intervals) -> list[Interval]:
    """Their sums; but the ends of the baseline are from errors of sums."""
    those = [kept.place[ven_id] for ven_id in settled(statement)]
    gap_us = np.diff(kept.edges_us) - kept.covered_us
    blocks = (kept.baseline_mwh, kept.used_mwh, kept.delivered_mwh, kept.covered_us, gap_us)
    columns = [block[those].sum(axis=0) / MILLIWATT_HOURS for block in blocks]
    ends = [np.array(end) for end in (statement.low_kwh, statement.high_kwh) if end is not msgspec.UNSET]
    return intervals_in(kept.edges_us, [*columns, *ends])


def behind(reader: Reader, statement: Statement, ven_id: str) -> Behind:
    """Raises `NotFound`."""
    line = the_line(statement, ven_id)
    frozen = reads.the_baseline(reader, statement.event_id)
    baseline = next((one for one in frozen.vens if one.ven_id == ven_id), None)
    return Behind(
        event_id=statement.event_id,
        statement_id=statement.statement_id,
        statement_digest=statement.digest,
        rule=statement.rule,
        days=baseline.days if baseline else [],
        factor=baseline.factor if baseline else 1.0,
        baseline_known_at=statement.baseline_known_at,
        known_at=statement.known_at,
        readings=line.readings,
        note=line.note,
        beside=frozen.beside or [],
        outages=frozen.outages or [],
        stood=(baseline.stood or None) if baseline else None,
        calibration=statement.calibration or None,
    )


async def explain(rows: Rows, blobs: Blobs, statement_id: str, ven_id: str) -> LineExplained:
    """A line with all that is behind it. Raises `NotFound`."""

    def work(reader: Reader) -> tuple[Statement, Behind]:
        statement = reads.the_statement(reader, statement_id)
        return statement, behind(reader, statement, ven_id)

    statement, found = await rows.read(work)
    kept = (await intervals_of(statement, blobs)).of(ven_id) if statement.intervals_digest else []
    line = the_line(statement, ven_id)
    return LineExplained(**msgspec.structs.asdict(found), line=line, intervals=kept)


def the_line(statement: Statement, ven_id: str) -> StatementLine:
    """Raises `NotFound`."""
    found = next((line for line in statement.lines if line.ven_id == ven_id), None)
    if found is None:
        raise NotFound(f"statement {statement.statement_id} has no line of a VEN {ven_id!r}")
    return found


async def loads(rows: Rows, series: Series, statement_id: str, ven_id: str) -> list[LoadProof]:
    """Each load that was called, in order, as known when the statement was made. Raises `NotFound`."""

    def work(reader: Reader) -> tuple[Statement, list[tuple[LedgerRow, Declaration | None]]]:
        statement = reads.the_statement(reader, statement_id)
        the_line(statement, ven_id)
        called = dispatch.rows_of(reader, statement.event_id, ven_id)
        by_load = sorted(called, key=lambda row: row.resource_id)
        return statement, [(row, _declared(reader, ven_id, row.resource_id)) for row in by_load]

    statement, called = await rows.read(work)
    return [await _load(statement, row, declared, series) for row, declared in called]


def _declared(reader: Reader, ven_id: str, resource_id: str) -> Declaration | None:
    try:
        return registry.the_series(reader, power_series(ven_id, resource_id))
    except NotFound:
        return None


async def _load(statement: Statement, row: LedgerRow, declared: Declaration | None, series: Series) -> LoadProof:
    if declared is None:
        return LoadProof(row.resource_id, row.state, row.planned_kw, metered=False)
    edges = [statement.start_at - BEFORE, statement.start_at, statement.end_at]
    edges_us = np.array([micros(at) for at in edges], np.int64)
    found = await metering.integrated(series, declared, edges_us, statement.known_at)
    before_kw, during_kw = (None if np.isnan(kw) else round(kw, 6) for kw in found.mean_kw.tolist())
    used_kwh, covered_s = round(float(found.energy_kwh[1]), 6), float(found.covered_s[1])
    return LoadProof(
        row.resource_id,
        row.state,
        row.planned_kw,
        bool(found.covered_s.any()),
        before_kw,
        during_kw,
        used_kwh,
        covered_s,
    )
