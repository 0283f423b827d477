"""What loads would draw were they left alone: as others of their kind went on that were as far from their end. Pure.

    minutes         s-16 … s-1   s   s+1 …        a load is called at s: it had run for 17 minutes of its usual 25
    a load called   ▂ █ █ █ █ █ █ │ ? ? ? ? ?     ? = its level × the share below
    others like it    ▂ █ █ █ █ █ │ █ █ ▂ _ _     kind, time left and pause alike, in the last hours, and not held
                                    1 1 ½ 0 0     the share of them that ran

    its level       α · what it drew + β · what it usually draws: as of those that ran at s, run now, were not called

A thermostat's cycle, a tank that gets hot, a car that is full: each ends after a while, each in its own time, and whom
one calls is running. docs/decisions/0011 and 0013 have what it costs to leave that out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tieline.dispatch.habits import RUNNING_KW, Floats, Habits, Ints, Traces, lived

Floats32 = NDArray[np.float32]
MINUTE = timedelta(minutes=1)
SETTLED_MIN = 5
"""What a load draws while it runs is the most of so many minutes."""
LEFT_MIN = np.array([-20, -10, -6, -3, -1, 1, 3, 5, 7, 9, 12, 15, 18, 22, 27, 33, 40, 50, 65, 90, 130])
"""Loads whose usual run is over in so many minutes; between two of these they count as alike."""
OVERDUE, OVERDUE_MIN = 1.6, 10.0
"""A run so many times as long as usual, and so many minutes more, is another kind of run."""
RUN_MIN = np.array([4, 7, 10, 13, 17, 21, 26, 31, 41, 61, 91])
"""Of whom no usual run is known, or runs for longer: how long it has."""
PAUSE_MIN = np.array([20, 26, 32, 38, 45, 60, 120])
LASTS = len(LEFT_MIN) + 1 + len(RUN_MIN) + 1
PAUSES = len(PAUSE_MIN) + 2  # the last: unknown
FURTHEST_MIN = 120
RECENT_MIN = 25.0
"""Examples so much older than the newest weigh a third."""
EVERY_MIN = 3
"""Examples begin at every third minute of the clock: each look has those of the one before. Counted back from the
newest minute, three sets would take turns, and the estimate with them."""
DOUBT = 3.0
"""So many examples of every kind are taken to have gone on as before; of each time left, to have run until then and
done as their kind from then on; of each pause, to have done as those with as much time left."""
ABOUT = 0.25
"""A run ends within so much of the time that is left, for one in three sooner or later still."""
ALREADY = 0.1
"""When so many of those that are not known any more were gone, calling is taken to have begun."""
MOST_ALIKE = 2000
"""Loads of one kind that are learnt from."""
WILDEST = 2.0


@dataclass(frozen=True)
class Running:
    """Of each load at one minute: what it draws while it runs, and for how many minutes it has; 0, 0: it does not."""

    kw: Floats
    minutes: Ints


@dataclass(frozen=True)
class Called:
    """Loads by their index among all, -1 for one that is not among them, and how they were when they were first called:
    what each drew, for how long it had, and when that was, in minutes before the last one known."""

    index: Ints
    kw: Floats
    run_min: Ints
    ago_min: Floats


@dataclass(frozen=True)
class Counterfactual:
    """What is known of all loads up to `until`, and the share of those alike that still run so many minutes later."""

    until: datetime
    kinds: Ints  # of each load its place in `shares`
    traces: Traces
    free_kw: Floats  # [minutes, loads], NaN where nothing is known or it was held
    levels_kw: Floats  # the same, settled
    usual_kw: Floats
    shares: Floats  # [kinds, lasts · pauses, minutes since]
    _trends: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def unknown(cls, loads: int, until: datetime) -> Self:
        """Of whom nothing was ever read: all go on as they are."""
        return cls(until, *_empty(loads))

    def still(self, minutes: float) -> Floats:
        """The share of its draw that each is likely to draw so many minutes after the last one known."""
        if not len(self.free_kw):
            return np.ones(len(self.kinds))
        last = np.full(len(self.kinds), len(self.free_kw) - 1)
        return self._share(np.arange(len(self.kinds)), last, self.traces.run[-1], np.full(len(last), minutes))

    def would_kw(self, called: Called, at: datetime) -> Floats:
        """What each would draw at an instant."""
        found = called.kw.copy()
        some = np.flatnonzero(called.index >= 0)
        if not len(self.free_kw) or not len(some):
            return found
        index, ago = called.index[some], called.ago_min[some]
        then = np.clip(len(self.free_kw) - 1 - np.ceil(ago - 1e-6).astype(np.int64), 0, len(self.free_kw) - 1)
        since = ago + (at - self.until) / MINUTE
        shares = self._share(index, then, called.run_min[some].astype(np.float64), since)
        found[some] = shares * self._levels(index, then, called.kw[some])
        return found

    def _share(self, index: Ints, then: Ints, run: Floats, since_min: Floats) -> Floats:
        cells = _cells(run, self.traces.run_min[then, index], self.traces.pause_min[then, index])
        since = np.clip(since_min, 0, self.shares.shape[2] - 1)
        before, part = np.floor(since).astype(np.int64), since % 1
        after = np.minimum(before + 1, self.shares.shape[2] - 1)
        of = self.shares[self.kinds[index], cells]
        rows = np.arange(len(index))
        return np.asarray(of[rows, before] * (1 - part) + of[rows, after] * part)

    def _levels(self, index: Ints, then: Ints, kw: Floats) -> Floats:
        groups, place = np.unique(np.stack([self.kinds[index], then]), axis=1, return_inverse=True)
        trends = np.array([self._trend(kind, minute) for kind, minute in groups.T.tolist()])[place.ravel()]
        levels = trends[:, 0] * kw + trends[:, 1] * self.usual_kw[index]
        return np.clip(levels, 0.0, WILDEST * kw)

    @cached_property
    def _level_now_kw(self) -> Floats:
        """What each draws that runs, in its newest whole minute; else NaN. The last may be the one in which it ends:
        where few are left to be looked at, one such car would take a few percent off all."""
        on = (self.free_kw[-3:] > RUNNING_KW).all(axis=0) & (len(self.free_kw) >= 3)  # NaN is not
        return np.where(on, self.free_kw[-2:][0], np.nan)

    def _trend(self, kind: int, minute: int) -> tuple[float, float]:
        if (kind, minute) not in self._trends:
            peers = (self.kinds == kind) & (self.traces.run[minute] > 1) & np.isfinite(self._level_now_kw)
            then, usual, now = self.levels_kw[minute, peers], self.usual_kw[peers], self._level_now_kw[peers]
            self._trends[kind, minute] = _fitted(then, usual, now)
        return self._trends[kind, minute]


def running(minute_kw: Floats) -> Running:
    """At the last minute of [loads, minutes]; NaN where nothing is known."""
    if not minute_kw.size:
        return Running(np.zeros(len(minute_kw)), np.zeros(len(minute_kw), np.int64))
    on = minute_kw > RUNNING_KW  # NaN is not
    runs = np.where(on.all(axis=1), on.shape[1], np.argmin(on[:, ::-1], axis=1))
    levels = np.nan_to_num(minute_kw[:, -SETTLED_MIN:], nan=0.0).max(axis=1)
    return Running(np.where(runs > 0, levels, 0.0), runs.astype(np.int64))


def learnt(minute_kw: Floats, kinds: Sequence[str], habits: Habits, until: datetime) -> Counterfactual:
    """From [loads, minutes] up to an instant, NaN where nothing is known or a load was held; `kinds` of the loads, and
    their `habits` before."""
    if not minute_kw.size:
        return Counterfactual.unknown(len(minute_kw), until)
    names, codes = np.unique(np.array(kinds), return_inverse=True)
    now, traces = lived(habits, minute_kw)
    free = np.ascontiguousarray(minute_kw.T)
    furthest = min(FURTHEST_MIN, len(free) - 1)
    starts = range(len(free) - 1 - int(until.timestamp() // 60) % EVERY_MIN, -1, -EVERY_MIN)
    rows = [_some(np.flatnonzero(codes == kind)) for kind in range(len(names))]
    shares = [_shares(free, traces, alike, starts, furthest) for alike in rows]
    return Counterfactual(until, codes.astype(np.int64), traces, free, _settled(free), now.kw, np.array(shares))


def _some(rows: Ints) -> Ints:
    """Evenly of all."""
    return rows if len(rows) <= MOST_ALIKE else rows[np.arange(MOST_ALIKE) * len(rows) // MOST_ALIKE]


def _cells(run: Floats, run_min: Floats, pause_min: Floats) -> Ints:
    """Alike are those with as much time left and as long a pause; else those that have run as long."""
    usual = run <= OVERDUE * run_min + OVERDUE_MIN  # NaN is not
    left = np.searchsorted(LEFT_MIN, np.where(usual, run_min - run, 0.0), side="right")
    lasts = np.where(usual, left, len(LEFT_MIN) + 1 + np.searchsorted(RUN_MIN, run, side="right"))
    pauses = np.searchsorted(PAUSE_MIN, np.nan_to_num(pause_min), side="right")
    return np.asarray(lasts * PAUSES + np.where(usual & np.isfinite(pause_min), pauses, PAUSES - 1))


def _shares(free: Floats, traces: Traces, rows: Ints, starts: range, furthest: int) -> Floats:
    """[lasts · pauses, minutes since] of one kind.

    Whom one calls is running: of all that ran some time before, those that have ended since are left. What was called
    is therefore counted as it is likely to have gone on, by what nobody's call came between; not left out.
    """
    drawn = np.ascontiguousarray(free[:, rows].T)
    runs, known = _parts(drawn), np.isfinite(drawn).astype(np.float32)
    gone = np.flatnonzero((known[:, -1] == 0) & (known.sum(axis=1) > 0))
    ends = known.shape[1] - 1 - np.argmax(known[gone, ::-1], axis=1)
    ran = traces.run[ends, rows[gone]] > 0
    gone, ends = gone[ran], ends[ran]
    first = int(np.quantile(ends, ALREADY)) + 1 if len(gone) else len(free)
    shares = _examples(runs, known, traces, rows, starts, furthest, first)
    if not len(gone):
        return shares
    who = rows[gone]
    cells = _cells(traces.run[ends, who], traces.run_min[ends, who], traces.pause_min[ends, who])
    for row, end, cell in zip(gone.tolist(), ends.tolist(), cells.tolist(), strict=True):
        after = np.minimum(np.arange(1, len(free) - end), furthest)
        runs[row, end + 1 :], known[row, end + 1 :] = shares[cell, after], 1.0
    return _examples(runs, known, traces, rows, starts, furthest, len(free))


def _parts(drawn: Floats) -> Floats32:
    """[loads, minutes]: 1 where it ran, 0 where it did not; of a minute in which it began or ended, the part."""
    on, off = drawn > RUNNING_KW, drawn <= RUNNING_KW  # NaN is neither
    parts = on.astype(np.float32)
    rows, before = np.nonzero(on[:, 1:-1] & (off[:, :-2] | off[:, 2:]))
    kw = drawn[rows, before + 1]
    parts[rows, before + 1] = kw / np.fmax(kw, np.fmax(drawn[rows, before], drawn[rows, before + 2]))
    return parts


def _examples(
    runs: Floats32, known: Floats32, traces: Traces, rows: Ints, starts: range, furthest: int, called: int
) -> Floats:
    """Of those alike at some minute the share that ran later; none of whom `called`, a minute, came between."""
    last = runs.shape[1] - 1
    ran, seen = (np.zeros((LASTS * PAUSES, furthest + 1)) for _ in range(2))
    whole = np.ascontiguousarray((runs == 1).T)  # in its first minute nobody knows its draw; in its last it is over
    for start in starts:
        here = np.flatnonzero(whole[start] & (traces.run[start, rows] > 1))
        if not len(here):
            continue
        who = rows[here]
        cells = _cells(traces.run[start, who], traces.run_min[start, who], traces.pause_min[start, who])
        order = np.argsort(cells, kind="stable")
        alike, first = np.unique(cells[order], return_index=True)
        until = min(start + furthest, last, called - 1 if start < called else last) + 1
        weight, some = np.exp(-(last - np.arange(start, until)) / RECENT_MIN), here[order]
        ran[alike, : until - start] += weight * np.add.reduceat(runs[some, start:until], first, axis=0)
        seen[alike, : until - start] += weight * np.add.reduceat(known[some, start:until], first, axis=0)
    return _doubted(ran.reshape(LASTS, PAUSES, -1), seen.reshape(LASTS, PAUSES, -1)).reshape(LASTS * PAUSES, -1)


def _doubted(ran: Floats, seen: Floats) -> Floats:
    of_kind = (ran.sum(axis=(0, 1)) + DOUBT) / (seen.sum(axis=(0, 1)) + DOUBT)
    runs_on = _runs_on(ran.shape[2])
    of_last = (ran.sum(axis=1) + DOUBT * (runs_on + (1 - runs_on) * of_kind)) / (seen.sum(axis=1) + DOUBT)
    return np.asarray((ran + DOUBT * of_last[:, None]) / (seen + DOUBT))


def _runs_on(minutes: int) -> Floats:
    """[lasts, minutes since]: how likely the run is not over yet, by what is usual alone; 0 where nothing is."""
    left = np.concatenate([[0.0], (LEFT_MIN[1:] + LEFT_MIN[:-1]) / 2, [1.2 * LEFT_MIN[-1]]]).clip(0.0)[:, None]
    late = (np.arange(minutes) - left) / np.maximum(ABOUT * left, 2.0)
    return np.concatenate([1 / (1 + np.exp(np.clip(1.7 * late, -30, 30))), np.zeros((len(RUN_MIN) + 1, minutes))])


def _fitted(then: Floats, usual: Floats, now: Floats) -> tuple[float, float]:
    """What was drawn and what is usual, each times a number, as near as can be to what is drawn now. With
    nothing else to go by, that is what was drawn."""
    doubt = max(float(np.mean(then**2)) if len(then) else 0.0, 1e-9) * DOUBT
    across = float(then @ usual)
    known = np.array([[float(then @ then) + doubt, across], [across, float(usual @ usual) + doubt]])
    drew, usually = np.linalg.solve(known, np.array([float(then @ now) + doubt, float(usual @ now)]))
    return float(drew), float(usually)


def _settled(free: Floats) -> Floats:
    known = np.nan_to_num(free, nan=0.0)
    levels = known.copy()
    for back in range(1, min(SETTLED_MIN, len(known))):
        np.maximum(levels[back:], known[:-back], out=levels[back:])
    return levels


def _empty(loads: int) -> tuple[Ints, Traces, Floats, Floats, Floats, Floats]:
    none = np.zeros((0, loads))
    return np.zeros(loads, np.int64), Traces(none, none, none), none, none, np.zeros(loads), np.ones((1, 1, 1))
