"""Energy by integration: readings of a fleet onto a grid of steps, exactly time-weighted; a gap is counted, not filled.

A reading is the mean over an interval; its stamp says which edge of it `at` marks, and `hold_s` bounds its length:

    END       hold_s       t1            t2    hold_s     t3      a reading covers back to the one before it
              |============|=============|     |==========|       |= covered, blank: a gap
    START     t1           t2    hold_s        t3    hold_s       a reading covers on to the next
              |============|=============|     |==========|
    steps   e0      e1      e2      e3      e4      e5      e6    [e0, e1), [e1, e2), …

So that nothing at the edges of the grid is missed, the caller reads `hold_s` beyond them on both sides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.base.series import Stamp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MICROS = 1_000_000
MICROS_AN_HOUR = 3600 * MICROS


@dataclass(frozen=True)
class Integrated:
    """Energy and covered seconds of each step, [series, steps]; what a step does not cover of itself is a gap."""

    energy_kwh: Floats
    covered_s: Floats

    @property
    def mean_kw(self) -> Floats:
        """The mean power over the covered part of each step; NaN where nothing is covered."""
        covered = np.where(self.covered_s > 0, self.covered_s, np.nan)
        return self.energy_kwh * 3600 / covered


def integrate(at_us: Ints, value_kw: Floats, edges_us: Ints, *, stamp: Stamp, hold_s: float) -> Integrated:
    """One series onto the steps between `edges_us`: arrays [steps]. See `integrate_many`."""
    many = integrate_many(np.zeros(len(at_us), np.int64), at_us, value_kw, 1, edges_us, stamp=stamp, hold_s=hold_s)
    return Integrated(many.energy_kwh[0], many.covered_s[0])


def integrate_many(
    series_index: Ints,
    at_us: Ints,
    value_kw: Floats,
    n_series: int,
    edges_us: Ints,
    *,
    stamp: Stamp,
    hold_s: float,
) -> Integrated:
    """Many series onto the same steps: arrays [n_series, steps].

    One row a reading: which series (0 to n_series - 1), when (microseconds since 1970 UTC), mean power. Rows may come
    in any order, but a series has at most one at an instant. `edges_us` increases; steps may differ in length.
    No series touches another's sums, so a huge fleet may be given in portions.
    """
    series_index, at_us, value_kw = _in_order(series_index, at_us, value_kw)
    begin, end = _intervals(series_index, at_us, stamp, round(hold_s * MICROS))
    np.clip(begin, edges_us[0], edges_us[-1], out=begin)
    np.clip(end, edges_us[0], edges_us[-1], out=end)
    inside = end > begin
    begin, end = begin[inside], end[inside]
    row, step = _pieces(begin, end, edges_us)
    lasting = (np.minimum(end[row], edges_us[step + 1]) - np.maximum(begin[row], edges_us[step])).astype(np.float64)
    shape = (n_series, len(edges_us) - 1)
    cell = series_index[inside][row] * shape[1] + step
    # Summed cell by cell rather than as differences of one running sum: a wild value spoils its own steps alone.
    covered = np.bincount(cell, lasting, minlength=shape[0] * shape[1])
    energy = np.bincount(cell, lasting * value_kw[inside][row], minlength=shape[0] * shape[1])
    return Integrated((energy / MICROS_AN_HOUR).reshape(shape), (covered / MICROS).reshape(shape))


def contributing(
    series_index: Ints, at_us: Ints, start_us: int, end_us: int, *, stamp: Stamp, hold_s: float
) -> NDArray[np.bool_]:
    """Which readings cover some of a span: these alone integrate to the same. Rows by series, then by instant."""
    begin, end = _intervals(series_index, at_us, stamp, round(hold_s * MICROS))
    return np.minimum(end, end_us) > np.maximum(begin, start_us)


def _in_order(series_index: Ints, at_us: Ints, value_kw: Floats) -> tuple[Ints, Ints, Floats]:
    """The rows by series, then by instant; as they are when they already stand so."""
    onward = at_us[1:] > at_us[:-1]
    if bool(np.all((series_index[1:] > series_index[:-1]) | ((series_index[1:] == series_index[:-1]) & onward))):
        return series_index, at_us, value_kw
    order = np.lexsort((at_us, series_index))
    return series_index[order], at_us[order], value_kw[order]


def _intervals(series_index: Ints, at_us: Ints, stamp: Stamp, hold_us: int) -> tuple[Ints, Ints]:
    """Where each reading begins and ends to count: up to its neighbour in the same series, but no longer than held."""
    begin, end = at_us.copy(), at_us.copy()
    neighbours = series_index[1:] == series_index[:-1]
    if stamp is Stamp.END:
        begin -= hold_us
        np.maximum(begin[1:], at_us[:-1], out=begin[1:], where=neighbours)
    else:
        end += hold_us
        np.minimum(end[:-1], at_us[1:], out=end[:-1], where=neighbours)
    return begin, end


def _pieces(begin: Ints, end: Ints, edges_us: Ints) -> tuple[Ints, Ints]:
    """Each interval cut at the edges it crosses: for every piece, its interval's row and the step it lies in."""
    first = np.searchsorted(edges_us, begin, side="right") - 1
    count = np.searchsorted(edges_us, end, side="left") - first
    row = np.repeat(np.arange(len(begin)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, first[row] + nth
