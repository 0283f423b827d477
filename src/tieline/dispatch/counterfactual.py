"""What loads would draw were they left alone: as others of their kind went on that had run as long. Pure.

    minutes         s-16 … s-1   s   s+1 …        a load is called at s: it had run for 17 minutes
    a load called   ▂ █ █ █ █ █ █ │ ? ? ? ? ?     ? = its draw × the share below
    others like it    ▂ █ █ █ █ █ │ █ █ ▂ _ _     kind and run alike, at any minute of the last hours, and not held
                                    1 1 ½ 0 0     the mean over them, of what each drew at s: the share

A thermostat's cycle, a tank that gets hot, a car that is full: each ends after a while, and whom one calls is running.
Their kind's mean draw knows nothing of that; docs/decisions/0011 has what it costs to leave it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RUNNING_KW = 0.1
SETTLED_MIN = 5
"""What a load draws while it runs is the most of so many minutes."""
RUN_MIN = np.array([4, 7, 10, 13, 17, 21, 26, 31, 41, 61, 91])
"""Runs between two of these minutes count as alike."""
FURTHEST_MIN = 120
RECENT_MIN = 25.0
"""Examples so much older than the newest weigh a third."""
EVERY_MIN = 2
DOUBT = 3.0
"""So many examples of every kind are taken to have gone on as before, and of each run to have done as their kind."""
MOST_ALIKE = 2000
"""Loads of one kind that are learnt from."""
WILDEST = 2.0


@dataclass(frozen=True)
class Running:
    """Of each load at one minute: what it draws while it runs, and for how many minutes it has; 0, 0: it does not."""

    kw: Floats
    minutes: Ints


@dataclass(frozen=True)
class Persistence:
    """The share of its draw that a load of a kind still draws, by how long it had run and how long ago that was."""

    kinds: Sequence[str]
    shares: Floats  # [kinds, runs, minutes since]

    def share(self, kinds: Sequence[str], run_min: Ints, since_min: Floats) -> Floats:
        """Of each load; beyond the furthest minute as at it. Kinds that were not learnt go on for ever."""
        if not self.kinds:
            return np.ones(len(kinds))
        index = np.array([self.kinds.index(kind) if kind in self.kinds else -1 for kind in kinds], dtype=np.int64)
        since = np.clip(since_min, 0, self.shares.shape[2] - 1)
        before, part = np.floor(since).astype(np.int64), since % 1
        after = np.minimum(before + 1, self.shares.shape[2] - 1)
        run = np.searchsorted(RUN_MIN, run_min, side="right")
        found = self.shares[index, run, before] * (1 - part) + self.shares[index, run, after] * part
        return np.where(index < 0, 1.0, found)


def running(minute_kw: Floats) -> Running:
    """At the last minute of [loads, minutes]; NaN where nothing is known."""
    if not minute_kw.size:
        return Running(np.zeros(len(minute_kw)), np.zeros(len(minute_kw), np.int64))
    runs, levels = _runs(minute_kw[:, -FURTHEST_MIN:]), _levels(minute_kw[:, -SETTLED_MIN:])
    return Running(np.where(runs[:, -1] > 0, levels[:, -1], 0.0), runs[:, -1])


def learnt(minute_kw: Floats, kinds: Sequence[str]) -> Persistence:
    """From [loads, minutes], NaN where nothing is known or a load was held; `kinds` of the loads."""
    rows: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        rows.setdefault(kind, []).append(index)
    names = sorted(rows)
    furthest = min(FURTHEST_MIN, max(minute_kw.shape[1] - 1, 0))
    shares = [_shares(minute_kw[_some(rows[name])], furthest) for name in names]
    return Persistence(names, np.array(shares) if shares else np.ones((0, 1, 1)))


def _some(rows: Sequence[int]) -> Sequence[int]:
    """Evenly of all."""
    return rows if len(rows) <= MOST_ALIKE else [rows[i * len(rows) // MOST_ALIKE] for i in range(MOST_ALIKE)]


def _shares(minute_kw: Floats, furthest: int) -> Floats:
    """[runs, minutes since] of one kind."""
    runs, levels, last = _runs(minute_kw), _levels(minute_kw), minute_kw.shape[1] - 1
    drawn, seen = np.zeros((len(RUN_MIN) + 1, furthest + 1)), np.zeros((len(RUN_MIN) + 1, furthest + 1))
    for start in range(last, -1, -EVERY_MIN):
        here = np.flatnonzero(runs[:, start] > 1)  # in its first minute nobody knows what it draws
        if not len(here):
            continue
        here = here[np.argsort(runs[here, start], kind="stable")]
        alike, first = np.unique(np.searchsorted(RUN_MIN, runs[here, start], side="right"), return_index=True)
        until = min(start + furthest, last) + 1
        went_on = np.clip(minute_kw[here, start:until] / levels[here, start, None], 0.0, WILDEST)
        known = np.isfinite(went_on)
        age = last - start - np.arange(until - start)
        weight = np.exp(-age / RECENT_MIN)
        drawn[alike, : until - start] += weight * np.add.reduceat(np.where(known, went_on, 0.0), first, axis=0)
        seen[alike, : until - start] += weight * np.add.reduceat(known.astype(np.float64), first, axis=0)
    of_kind = (drawn.sum(axis=0) + DOUBT) / (seen.sum(axis=0) + DOUBT)
    return np.asarray((drawn + DOUBT * of_kind) / (seen + DOUBT))


def _runs(minute_kw: Floats) -> Ints:
    """For how many minutes each load has run at each minute; 0 where it does not, or nobody knows."""
    on = minute_kw > RUNNING_KW  # NaN is not
    runs = on.astype(np.int64)
    for minute in range(1, minute_kw.shape[1]):
        runs[:, minute] += np.where(on[:, minute], runs[:, minute - 1], 0)
    return runs


def _levels(minute_kw: Floats) -> Floats:
    known = np.nan_to_num(minute_kw, nan=0.0)
    levels = known.copy()
    for back in range(1, min(SETTLED_MIN, known.shape[1])):
        np.maximum(levels[:, back:], known[:, :-back], out=levels[:, back:])
    return np.maximum(levels, 1e-9)
