"""Steps of time on the clock of a place: a row for each local day, a column for each quarter hour. Pure.

An hour that the clock skips is a gap in its day; one that it repeats is told apart by nobody who sleeps: its two values
are averaged, and its two forecasts are the same.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.time import Span, micros
from tieline.forecasts.model import STEP, STEP_S, Floats, Ints

SLOTS = 86400 // STEP_S
STEP_US = STEP_S * 1_000_000


@dataclass(frozen=True)
class LocalDays:
    """The local days that a span touches. `places` numbers the quarter hour of each step of the span from the first
    midnight of them."""

    start_us: int
    first: date
    days: int
    places: Ints

    def laid(self, at_us: Ints, value: Floats) -> Floats:
        """Values of steps of the span, by the start of each, as [days, slots]; NaN where there is none."""
        place = self.places[(at_us - self.start_us) // STEP_US]
        size = self.days * SLOTS
        count = np.bincount(place, minlength=size)
        mean: Floats = np.bincount(place, value, minlength=size) / np.where(count > 0, count, np.nan)
        return mean.reshape(self.days, SLOTS)

    def place(self, at: datetime) -> int:
        """Of the step that an instant of the span is in."""
        return int(self.places[(micros(at) - self.start_us) // STEP_US])


def local_days(span: Span, zone: str) -> LocalDays:
    """Of a span of whole steps."""
    there = ZoneInfo(zone)
    clocks = [(span.start + n * STEP).astimezone(there) for n in range(round(span.seconds / STEP_S))]
    first = clocks[0].date()
    day = np.array([one.toordinal() for one in clocks], np.int64) - first.toordinal()
    slot = np.array([(one.hour * 3600 + one.minute * 60) // STEP_S for one in clocks], np.int64)
    return LocalDays(micros(span.start), first, int(day[-1]) + 1, day * SLOTS + slot)


def starts(span: Span) -> list[datetime]:
    """The start of each step of a span."""
    return [(span.start + n * STEP).astimezone(UTC) for n in range(round(span.seconds / STEP_S))]
