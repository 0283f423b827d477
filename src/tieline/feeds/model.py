"""What a loaded file is, and which of its readings are news."""

import enum
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from tieline.base.series import INSTANT, READINGS
from tieline.base.time import later
from tieline.wires.sources.files import VERSION
from tieline.wires.sources.parsed import Finding, Parsed, Quarantined

pc: Any = pyarrow.compute  # the stubs know only some forms of its functions


class State(enum.StrEnum):
    """How a file ended."""

    LOADED = "loaded"
    PARTLY_LOADED = "partly_loaded"  # some rows are quarantined
    FAILED = "failed"  # nothing of it could be taken


class FileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A file and how it ended. `rows` are the readings it holds, of so many `series`; `quarantined` counts the rows
    that were not taken; `reason` says why the state is not `loaded`; `mapping` is the digest of what said how to read
    it, where its form is not one that is known."""

    digest: str
    name: str
    dataset: str
    version: int
    state: State
    rows: int
    series: int
    quarantined: int
    reason: str | None
    loaded_at: datetime
    mapping: str | None = None


class LoadedFile(FileSummary, frozen=True, kw_only=True):
    """With the first of the quarantined rows and the findings."""

    quarantined_rows: tuple[Quarantined, ...]
    findings: tuple[Finding, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What loading did: `stored` readings were new or different; `again` when the same bytes were loaded before."""

    file: LoadedFile
    stored: int
    again: bool


NOTHING = Parsed((), pa.table({}), (), 0, (), ())


def account(
    digest: str, name: str, parsed: Parsed | None, now: datetime, reason: str | None = None, mapping: str | None = None
) -> LoadedFile:
    """The record of a file: partly loaded when some of its rows are quarantined, failed when all are or it is none."""
    got = parsed or NOTHING
    if got.refused:
        first = got.quarantined[0]
        rows = "1 row" if got.refused == 1 else f"{got.refused} rows"
        reason = f"{rows} quarantined; the first: line {first.line} of {first.file}: {first.reason}"
    troubled = State.PARTLY_LOADED if got.rows.num_rows else State.FAILED
    return LoadedFile(
        digest=digest,
        name=name,
        dataset=", ".join(got.datasets),
        version=VERSION,
        state=troubled if reason else State.LOADED,
        rows=got.rows.num_rows,
        series=len(got.declarations),
        quarantined=got.refused,
        reason=reason,
        loaded_at=now,
        mapping=mapping,
        quarantined_rows=got.quarantined,
        findings=got.findings,
    )


def extent(rows: pa.Table) -> tuple[list[str], datetime, datetime]:
    """The series of parsed rows, and their first and last instant."""
    both = pc.min_max(rows["at"]).as_py()
    return pc.unique(rows["series_id"].cast(pa.string())).to_pylist(), both["min"], both["max"]


def news(rows: pa.Table, latest: pa.Table, now: datetime) -> pa.Table:
    """Of parsed rows, those whose value is not yet the latest known one, in the READINGS shape.

    A different value for a known reading is a new vintage: it is known later than what it replaces, even where the
    clock stands still.
    """
    fresh = _beside(rows, latest)
    fresh = fresh.filter(pc.fill_null(pc.not_equal(fresh["value"], fresh["was"]), True))
    replaced_at = pc.max(fresh["was_known_at"]).as_py()
    known_at = pa.scalar(later(now, than=replaced_at) if replaced_at else now, INSTANT)
    fresh = fresh.append_column("known_at", pa.repeat(known_at, fresh.num_rows)).rename_columns({"line": "seq"})
    readings: pa.Table = fresh.select(READINGS.names).cast(READINGS)
    return readings


def _beside(rows: pa.Table, latest: pa.Table) -> Any:
    """The rows with what was known of each, null where nothing was, in order of (series, at)."""
    ours = rows.set_column(0, "series_id", rows["series_id"].cast(pa.string()))
    was = latest.select(["series_id", "at", "value", "known_at"])
    was = was.rename_columns(["series_id", "at", "was", "was_known_at"])
    if not was.num_rows:
        nothing = [pa.nulls(len(ours), was.schema.field(name).type) for name in ("was", "was_known_at")]
        return ours.append_column("was", nothing[0]).append_column("was_known_at", nothing[1])
    return ours.join(was, keys=["series_id", "at"]).sort_by([("series_id", "ascending"), ("at", "ascending")])
