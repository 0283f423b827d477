"""The return of a fleet, staggered: what was held back is wanted again, and at once it would make a new peak.

kW  cap ─────────┬──────┬─────────────
          ┌──────┤      ├──────┐            each load draws its rebound for a while after it is back,
    ┌─────┤ 2nd  │ 3rd  │ 4th  └──────      then what it usually draws: that makes room for the next
    │ 1st └──────┴──────┴────────────
"""

import math

import numpy as np

from tieline.dispatch.planning.arrays import ROUNDING, Floats, Ints

CAP_STEP = 1e-5


def staggered(
    kw: Floats, rebound_kw: Floats, *, rebound_s: float, cap_kw: float, step_s: float, longest_s: float
) -> Floats:
    """When to give back each load, in seconds from now: multiples of `step_s`, at most `longest_s`, none before one of
    a smaller index. So put first who shall be first: who was down the longest, or called the most.

    A load draws `rebound_kw` for `rebound_s` once it is back, `kw` from then on. Together those that are back draw at
    most `cap_kw`; where that would keep some down for longer than `longest_s`, the lowest cap that does not.
    """
    draws_kw = np.maximum(kw, rebound_kw)
    begun_kw = np.concatenate([[0.0], np.cumsum(draws_kw)])  # what the first n draw, each at its rebound
    eased_kw = np.concatenate([[0.0], np.cumsum(draws_kw - kw)])  # what they draw less once it is over
    steps, lasts = int(longest_s // step_s) + 1, math.ceil(rebound_s / step_s - ROUNDING)
    cap_kw = _lowest_cap(begun_kw, eased_kw, cap_kw, steps, lasts)
    back = _back(begun_kw, eased_kw, cap_kw, steps, lasts)
    return np.asarray(np.searchsorted(back, np.arange(len(kw)), side="right") * step_s, np.float64)


def _lowest_cap(begun_kw: Floats, eased_kw: Floats, cap_kw: float, steps: int, lasts: int) -> float:
    """The cap that is asked for, or the lowest, to a hundred-thousandth, under which all are back after those steps."""
    everyone = len(begun_kw) - 1
    low, high = max(cap_kw, 0.0), float(begun_kw[-1])
    if _back(begun_kw, eased_kw, low, steps, lasts)[-1] == everyone:
        return low
    while high - low > high * CAP_STEP:
        middle = (low + high) / 2
        enough = _back(begun_kw, eased_kw, middle, steps, lasts)[-1] == everyone
        low, high = (low, middle) if enough else (middle, high)
    return high


def _back(begun_kw: Floats, eased_kw: Floats, cap_kw: float, steps: int, lasts: int) -> Ints:
    """How many are back after each step: as many as the cap admits beside those before them."""
    back = np.zeros(steps, np.int64)
    for step in range(steps):
        over = back[step - lasts] if step >= lasts else 0
        back[step] = np.searchsorted(begun_kw, cap_kw + eased_kw[over], side="right") - 1
    return back
