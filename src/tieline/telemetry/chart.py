"""A series thinned for a chart: pure; no spike is lost, no gap is bridged."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tieline.base.series import Declaration, Stamp
from tieline.base.time import Span, micros


class Chart(msgspec.Struct, frozen=True):
    """Points in seconds since 1970; `value` the mean, `low` and `high` the extremes of each; None is a gap."""

    series: Declaration
    start: datetime
    end: datetime
    at: list[float]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]
    flagged: list[float]


MOST_FLAGGED = 1000


def chart(series: Declaration, span: Span, rows: pa.Table, points: int) -> Chart:
    """At most `points` points (and the ends of gaps) out of readings in order of `at`.

    A point stands at the start of its readings' intervals, whichever edge the series stamps.
    """
    at = rows["at"].cast(pa.int64()).to_numpy() / 1e6
    if series.stamp is Stamp.END:
        at = at - series.step_s
    value, flags = rows["value"].to_numpy(), rows["flags"].to_numpy()
    odd = at[flags != 0][:MOST_FLAGGED]
    if len(value) > points:
        width = span.seconds / points
        which = ((at - micros(span.start) / 1e6) // width).astype(np.int64)
        firsts = np.flatnonzero(np.diff(which, prepend=which[0] - 1))
        counts = np.diff(np.append(firsts, len(which)))
        mean, low, high = (
            np.add.reduceat(value, firsts) / counts,
            np.minimum.reduceat(value, firsts),
            np.maximum.reduceat(value, firsts),
        )
        at = at[firsts]
    else:
        width, mean, low, high = 0.0, value, value, value
    longest = max(series.hold_s, series.step_s) + width
    times, means, lows, highs = _gapped(at, longest, mean, low, high)
    return Chart(series, span.start, span.end, times, means, lows, highs, [float(one) for one in odd])


def _gapped(at: Any, longest_s: float, *columns: Any) -> list[list[Any]]:
    """The columns with a None after each point that is followed by more than `longest_s` of nothing."""
    breaks = np.flatnonzero(np.diff(at) > longest_s) + 1
    out: list[list[Any]] = [[float(one) for one in np.insert(at, breaks, at[breaks - 1] + longest_s)]]
    for column in columns:
        out.append([None if np.isnan(one) else round(float(one), 6) for one in np.insert(column, breaks, np.nan)])
    return out
