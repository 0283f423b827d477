"""Which of several readings of one instant counts, whatever order they came in: the one that was sent last.

Series lets the one count that was known last. That comes to the same while messages are taken in their order; where
several processes take them, or one is delivered again, an older message may be said after a newer one. Then its
readings are entered as known no later than what outranks them: every question as of any instant is answered as before.

    what is known of an instant     what comes, and where its message stood     entered
    nothing                         any                                         as it is
    position 20                     position 20                                 not again
    position 20, known at 12:00     position 10, said at 12:05                  as known at 12:00: position 20 counts
    position 10, known at 12:05     position 20, said at 12:00 (another clock)  as known at 12:05: position 20 counts
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from tieline.base.time import MICROSECOND, from_micros, micros
from tieline.ports import Series
from tieline.telemetry.batch import Columns, Whole

MOST_ROWS = 4_000_000
"""So many a scan may give, were there a reading each second."""
DAY_US = 86_400_000_000
Known = dict[tuple[str, int], tuple[int, int]]


async def ranked(series: Series, columns: Columns, unsure: Whole) -> tuple[Whole, Whole, Whole]:
    """When each reading is entered as known, in µs since 1970 UTC; which are entered; and which of them count. Only of
    those that are `unsure`, by index, may something be known of their instant."""
    known_us, entered = np.full(len(columns), micros(columns.known_at), np.int64), np.ones(len(columns), bool)
    counts = entered.copy()
    if len(unsure):
        known = await _known(series, columns.part(unsure))
        for index in unsure.tolist():
            key = columns.names[columns.series[index]], int(columns.at[index])
            if (found := known.get(key)) is None:
                continue
            other_us, other_seq = found
            seq = int(columns.seq[index])
            entered[index], counts[index] = seq != other_seq, seq > other_seq
            known_us[index] = (max if seq > other_seq else min)(int(known_us[index]), other_us)
    return known_us, np.flatnonzero(entered), np.flatnonzero(counts)


async def _known(series: Series, columns: Columns) -> Known:
    """What counts now at the instants of some readings: when it was known, and where its message stood."""
    found: Known = {}
    for names, start, end in _spans(columns):
        rows = await series.scan(names, from_micros(start), from_micros(end) + MICROSECOND)
        at, known_us, seq = (rows[name].cast(pa.int64()).to_numpy().tolist() for name in ("at", "known_at", "seq"))
        series_ids: list[Any] = rows["series_id"].to_pylist()
        found |= dict(zip(zip(series_ids, at, strict=True), zip(known_us, seq, strict=True), strict=True))
    return found


def _spans(columns: Columns) -> Iterator[tuple[Sequence[str], int, int]]:
    """Series that are asked for together: those whose readings are of the same days, as many as one scan may give."""
    groups: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for code in np.unique(columns.series).tolist():
        at = columns.at[columns.series == code]
        first, last = int(at.min()), int(at.max())
        groups.setdefault((first // DAY_US, last // DAY_US), []).append((code, first, last))
    for group in groups.values():
        start, end = min(first for _, first, _ in group), max(last for *_, last in group)
        at_once = max(1, int(MOST_ROWS / (1 + timedelta(microseconds=end - start).total_seconds())))
        for chosen in range(0, len(group), at_once):
            yield [columns.names[code] for code, *_ in group[chosen : chosen + at_once]], start, end
