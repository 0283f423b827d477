"""Readings that come in reports: onto the readings stream as devices' readings are, and each value once.

    report ──▶ believed ──▶ what reports said last of (series, at) ──▶ new or corrected ──▶ Log: readings ──▶ tail
                                    Rows, one transaction

A device's message is forgotten once it is said. A report may be sent again, changed, or overlap the one before, as
every rolling one does: only what it says otherwise becomes a new vintage, whichever process takes it, and however
often. What an older report says never comes over what a newer one said.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from tieline import metrics
from tieline.base.series import Flag
from tieline.base.time import Clock
from tieline.ports import Reader, Rows, Transaction
from tieline.registry import actions as registry
from tieline.telemetry import store
from tieline.telemetry.model import Batch, Limits, Reported

SUBJECT = "readings.openadr"
MOST_READINGS = 20_000  # of a batch: well within what a transaction may say
_ENCODER = msgspec.msgpack.Encoder()
_OF_ARRIVAL = Flag.LATE | Flag.AHEAD
_Key = tuple[str, datetime]


def take(
    tx: Transaction, readings: Sequence[Reported], *, stated_at: datetime, position: int, now: datetime
) -> list[Reported]:
    """Those that are new or corrected, said on the Log if the caller's transaction commits; their series are declared.

    `stated_at` is when the report was made or changed, `position` where that stands in the Log.
    """
    new = {(one.series.series_id, one.at): one for one in readings}
    known = _known(tx, new)
    newer = [key for key in new if key not in known or known[key].stated_at <= stated_at]
    store.put_reported(tx, [_row(new[key], stated_at) for key in newer])
    said = [new[key] for key in newer if key not in known or _differs(new[key], known[key])]
    registry.declare_series(tx, list({one.series.series_id: one.series for one in said}.values()), now)
    for first in range(0, len(said), MOST_READINGS):
        tx.say(SUBJECT, _ENCODER.encode(_batch(said[first : first + MOST_READINGS], position, now)))
    return said


def counted(taken: Iterable[Reported]) -> None:
    """After the commit: a transaction may run more than once."""
    for one in taken:
        metrics.READINGS.inc()
        for flag in one.flags:
            metrics.FLAGGED.labels(str(flag.name).lower()).inc()


async def forget(rows: Rows, clock: Clock, limits: Limits) -> None:
    """What is too old to be taken again needs no remembering."""
    before = clock.now() - timedelta(seconds=limits.stale_s) - timedelta(days=1)
    await rows.transaction(lambda tx: store.forget_reported(tx, before))


def _known(reader: Reader, keys: Iterable[_Key]) -> dict[_Key, sa.Row[tuple[object, ...]]]:
    """What reports said last, of each series from the first to the last instant asked for."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for series_id, at in keys:
        first, last = spans.get(series_id, (at, at))
        spans[series_id] = (min(first, at), max(last, at))
    found: dict[_Key, sa.Row[tuple[object, ...]]] = {}
    table = store.reported
    for series_id, (first, last) in spans.items():
        query = sa.select(table).where(table.c.series_id == series_id, table.c.at.between(first, last))
        found |= {(series_id, row.at): row for row in reader.execute(query)}
    return found


def _differs(one: Reported, known: sa.Row[tuple[object, ...]]) -> bool:
    return (one.value, _quality(one)) != (known.value, known.flags)


def _quality(one: Reported) -> int:
    """How late it came is no change of what it says."""
    return int(one.flags & ~_OF_ARRIVAL)


def _row(one: Reported, stated_at: datetime) -> dict[str, object]:
    return {
        "series_id": one.series.series_id,
        "at": one.at,
        "value": one.value,
        "flags": _quality(one),
        "stated_at": stated_at,
    }


def _batch(readings: Sequence[Reported], position: int, now: datetime) -> Batch:
    batch = Batch(now)
    names: dict[str, int] = {}
    for one in readings:
        series_id = one.series.series_id
        if series_id not in names:
            names[series_id] = batch.named(series_id)
        batch.add(names[series_id], one.at, one.value, one.flags, position)
    return batch
