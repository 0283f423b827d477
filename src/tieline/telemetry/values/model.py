"""What is asked of values, which level answers it best, and in how many portions it is read. Pure."""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import enum
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from tieline.base.errors import Refused
from tieline.base.series import INSTANT, READINGS, Declaration
from tieline.base.time import Span
from tieline.telemetry.integration import MICROS
from tieline.telemetry.rollups.model import WIDTH_US, bounded
from tieline.telemetry.rollups.model import Resolution as Step
from tieline.telemetry.values.thinning import A_COLUMN, THINNED

RAW_ROWS = 100_000
"""So many readings are thinned as they are; of more, steps that are narrower than a pixel column."""
PORTION_ROWS = 500_000
"""Held in memory together, of what is written to a file."""
MOST_ROWS = 500_000
"""Of an answer in JSON, which is made whole."""
MOST_FILE_ROWS = 500_000_000
_DAY_S = 86_400


class Detail(enum.StrEnum):
    """Readings as they came, steps of a length (days and months are those of a zone), or what a chart can show."""

    RAW = "raw"
    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "1mo"
    AUTO = "auto"


STEP_S = {Detail(one): width // MICROS for one, width in WIDTH_US.items()} | {
    Detail.DAY: _DAY_S,
    Detail.MONTH: 28 * _DAY_S,
}
"""Seconds; of days and months about."""
_KEPT = (Detail.HOUR, Detail.FIVE_MINUTES)


class Asked(msgspec.Struct, frozen=True):
    """Values in a span, as known at `as_of`; days are those of the zone, by default each series' own. `points` bounds
    what `auto` gives of a series."""

    span: Span
    as_of: datetime | None = None
    resolution: Detail = Detail.RAW
    zone: str | None = None
    points: int = 1000

    def __post_init__(self) -> None:
        if self.resolution is not Detail.RAW:
            bounded(self.span)
        if self.zone is not None:
            try:
                zoneinfo.ZoneInfo(self.zone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                raise Refused(f"zone {self.zone[:80]!r} is not an IANA time zone, such as Europe/Lisbon") from None

    @property
    def step(self) -> Step:
        """Of a resolution that has one."""
        return Step(self.resolution.value)


_RAW: list[pa.Field[Any]] = [READINGS.field(name) for name in ("at", "value", "flags", "known_at")]
_STEPS: list[pa.Field[Any]] = [
    pa.field("at", INSTANT, nullable=False),
    *[pa.field(name, pa.float64()) for name in ("value", "low", "high", "first", "last", "integral", "covered_s")],
    pa.field("count", pa.int64(), nullable=False),
    pa.field("flags", pa.int16(), nullable=False),
]


def shape(resolution: Detail, *, many: bool) -> pa.Schema:
    """The columns of an answer, `series_id` before them where it is of many. `value` of a step is its mean."""
    fields = {Detail.RAW: _RAW, Detail.AUTO: list(THINNED)}.get(resolution, _STEPS)
    return pa.schema([READINGS.field("series_id"), *fields] if many else fields)


def level(declared: Declaration, asked: Asked) -> Detail:
    """What `auto` reads of a series: its readings, where they are few or what `as_of` asks for; else the longest steps
    kept that are narrower than a pixel column."""
    column_s = asked.span.seconds / (asked.points / A_COLUMN)
    few = asked.span.seconds / declared.step_s <= RAW_ROWS
    coarse = (one for one in _KEPT if declared.step_s < STEP_S[one] <= column_s)
    return Detail.RAW if few or asked.as_of is not None else next(coarse, Detail.RAW)


def rows_each(declared: Declaration, asked: Asked) -> int:
    """About how many rows a series gives, or are read of it to be thinned."""
    resolution = level(declared, asked) if asked.resolution is Detail.AUTO else asked.resolution
    return int(asked.span.seconds / STEP_S.get(resolution, declared.step_s)) + 1


def portions(declared: Sequence[Declaration], asked: Asked) -> Iterator[tuple[list[Declaration], Span]]:
    """The question in parts of about PORTION_ROWS at most, in order of series, then of time. Raises `Refused`."""
    told = sum(rows_each(one, asked) for one in declared)
    if told > MOST_FILE_ROWS:
        raise Refused(f"about {told:,} values: ask for {MOST_FILE_ROWS:,} at once, or for longer steps")
    some, rows = list[Declaration](), 0
    for one in sorted(declared, key=lambda each: each.series_id):
        each = rows_each(one, asked)
        if some and rows + each > PORTION_ROWS:
            yield some, asked.span
            some, rows = [], 0
        if each > PORTION_ROWS and asked.resolution is not Detail.AUTO:
            days = int(asked.span.seconds / _DAY_S * PORTION_ROWS / each)
            yield from (([one], span) for span in _days(asked.span, max(1, days)))
            continue
        some, rows = [*some, one], rows + each
    if some:
        yield some, asked.span


def _days(span: Span, days: int) -> Iterator[Span]:
    """Cut at midnights of UTC, which are the ends of steps, too."""
    start, length = span.start, timedelta(days=days)
    while span.end - start > length:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + length
        yield Span(start, midnight)
        start = midnight
    yield Span(start, span.end)
