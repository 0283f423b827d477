"""Series: how one declares itself, and the columns in which readings of all of them stand."""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from tieline.base.names import SeriesId

INSTANT = pa.timestamp("us", tz="UTC")

_COLUMNS: list[pa.Field[Any]] = [
    pa.field("series_id", pa.string(), nullable=False),
    pa.field("at", INSTANT, nullable=False),  # valid time
    pa.field("value", pa.float64(), nullable=False),
    pa.field("flags", pa.int16(), nullable=False),  # a union of Flag
    pa.field("known_at", INSTANT, nullable=False),  # knowledge time
    pa.field("seq", pa.int64(), nullable=False),  # where it stood in what brought it: breaks ties of known_at
]
READINGS = pa.schema(_COLUMNS)
"""One row a reading. A correction is a row with a later (known_at, seq); nothing is overwritten."""

_ROLLED: list[pa.Field[Any]] = [
    pa.field("series_id", pa.string(), nullable=False),
    pa.field("at", INSTANT, nullable=False),  # the start of the step
    pa.field("integral", pa.float64(), nullable=False),  # value x hours over what is covered: of kW it is kWh
    pa.field("covered_s", pa.float64(), nullable=False),  # the rest of the step is a gap
    pa.field("low", pa.float64(), nullable=False),
    pa.field("high", pa.float64(), nullable=False),
    pa.field("first", pa.float64(), nullable=False),
    pa.field("last", pa.float64(), nullable=False),
    pa.field("count", pa.int64(), nullable=False),  # readings stamped in the step: each in one
    pa.field("flags", pa.int16(), nullable=False),  # the union of those that cover some of it
    pa.field("known_at", INSTANT, nullable=False),  # when it was made
    pa.field("seq", pa.int64(), nullable=False),
]
ROLLUPS = pa.schema(_ROLLED)
"""One row a series and step. A step made again is a row with a later (known_at, seq)."""


class Stamp(enum.StrEnum):
    """Which edge of its interval a reading's `at` marks."""

    START = "start"
    END = "end"


class Flag(enum.IntFlag):
    """What is odd about a reading. It is never altered for it."""

    GOOD = 0
    LATE = 1  # arrived long after its instant
    AHEAD = 2  # stamped a little ahead of our clock
    BEYOND_RATING = 4  # more power than its panel or nameplate allows
    SHED = 8  # held down by a command of ours
    AMBIGUOUS = 16  # its local time happened twice, and the source does not say which one it means
    ESTIMATED = 32  # not measured: who sent it says so
    DOUBTED = 64  # known or suspected to be wrong: who sent it says so
    SPREAD = 128  # the mean of a longer interval, of which this is a part


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a series is.

    A value is the mean over its interval; `stamp` says which edge of that interval `at` marks, `step_s` how long it
    normally is, `hold_s` how long a single value may stand where neighbours are missing: beyond it is a gap.
    """

    series_id: SeriesId
    unit: str
    step_s: int
    zone: str
    stamp: Stamp
    hold_s: int
    source: str
    ven_id: str | None = None
    resource_id: str | None = None


def readings(
    series_id: Sequence[str],
    at: Sequence[datetime] | Sequence[int],
    value: Sequence[float],
    *,
    known_at: datetime,
    seq: int | Sequence[int] = 0,
    flags: Sequence[int] | None = None,
) -> pa.Table:
    """Columns of the READINGS shape; `at` in aware datetimes or microseconds since 1970 UTC."""
    n = len(value)
    columns: list[pa.Array[Any] | pa.ChunkedArray[Any]] = [
        pa.array(series_id, pa.string()),
        pa.array(at, INSTANT),
        pa.array(value, pa.float64()),
        pa.array(flags if flags is not None else [0] * n, pa.int16()),
        pa.array([known_at] * n, INSTANT),
        pa.array([seq] * n if isinstance(seq, int) else seq, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=READINGS)


def empty() -> pa.Table:
    return READINGS.empty_table()
