"""One forecast from one history: tried on days held out against the seasonal naive, and served only if it is better.

known days  ├──────── learn ────────┼── widen ──┼── try ──┤            the trial: what would have been served
            ├────────────── learn ──────────────┼─ widen ─┤ origin ┄┄▶ what is served
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from tieline.base.errors import Refused
from tieline.forecasts.intervals import widened, widening
from tieline.forecasts.learning import boosted, is_weekly, naive
from tieline.forecasts.model import Floats, Horizon, Ints, Method, Score, score
from tieline.forecasts.samples import Samples, samples

LEAST_DAYS, LEAST_LEARNT = 3, 5
"""Of history, for the naive with an interval; to learn from before the days held out, for a model beside it."""
MOST_HELD_OUT = 14
EVERY = {Horizon.DAY_AHEAD: None, Horizon.INTRADAY: 8}
"""Steps between the origins that are learnt from; None: as many as a day has."""
_DIGITS = 9


class Task(msgspec.Struct, frozen=True):
    """`values` [days, slots] by local time, NaN where nothing is known; the first day is of that weekday (0: Monday).
    Steps are numbered from its first; those before `origin` are known, `targets` are asked for, none before it."""

    values: Floats
    weekday: int
    origin: int
    targets: Ints
    horizon: Horizon
    signed: bool
    learn: bool = True


class Made(msgspec.Struct, frozen=True):
    """Quantiles [3, targets]: what is served and the naive; how each did out of sample, None where it was not tried."""

    served: Floats
    naive: Floats
    method: Method
    reason: str
    tried: Score | None
    tried_naive: Score | None


class _Split(NamedTuple):
    """Samples to learn from, to widen by, and those asked for; what came of the first two."""

    learn: Samples
    learnt: Floats
    widen: Samples
    came: Floats
    asked: Samples

    def known_days(self, slots: int) -> float:
        """How many there are to learn from, by steps of a day that are known."""
        known = np.isfinite(self.learnt) & np.isfinite(self.learn.usual)
        return len(np.unique(self.learn.at[known])) / slots


@dataclass(frozen=True)
class _Past:
    """Origins before, in order, as samples. `held` origins are held out at a time; of `open` ones before any other not
    every step is known yet at that one."""

    row: Floats
    starts: Ints
    samples: Samples
    held: int
    open: int

    def origins(self, first: int, end: int) -> Samples:
        """Those from one number up to another."""
        number = np.searchsorted(self.starts, self.samples.origin)
        return self.samples.where((number >= first) & (number < end))

    def split(self, at: int, asked: Samples) -> _Split:
        """What there is to go by at origin number `at`, and no more."""
        known = max(0, at - self.open)
        widen = self.origins(known - self.held, known)
        learn = self.origins(0, max(0, known - self.held - self.open))
        return _Split(learn, self.row[learn.at], widen, self.row[widen.at], asked)


def forecast(task: Task) -> Made:
    """Raises `Refused` where there is too little history."""
    slots = task.values.shape[1]
    days = days_known(task)
    row, scale = _scaled(task.values, task.origin)
    every, ahead = EVERY[task.horizon] or slots, np.unique(task.targets - task.origin)
    origins = _origins(task.origin, every, int(ahead[-1]), slots)
    held = min(MOST_HELD_OUT, max(1, days // 5))
    past = _Past(
        row, origins, samples(row, slots, task.weekday, origins, ahead), held * slots // every, int(ahead[-1]) // every
    )
    trial = past.split(len(origins) - past.held, past.origins(len(origins) - past.held, len(origins)))
    serve = past.split(len(origins) + past.open, samples(row, slots, task.weekday, np.array([task.origin]), ahead))
    of = np.searchsorted(ahead, task.targets - task.origin)

    def made(method: Method, reason: str, tried: Score | None, tried_naive: Score | None, served: Floats) -> Made:
        sizes = [None if one is None else _sized(one, scale) for one in (tried, tried_naive)]
        return Made(served[:, of] * scale, bar[:, of] * scale, method, reason, *sizes)

    bar = _naive(serve, task.signed)
    tried_naive = score(row[trial.asked.at], _naive(trial, task.signed))
    if not task.learn or trial.known_days(slots) < LEAST_LEARNT:
        why = f"{days} days of history are too few for a model" if task.learn else "no time to learn"
        return made(Method.NAIVE, why, None, tried_naive, bar)
    tried = score(row[trial.asked.at], _boosted(trial, task.signed))
    if tried is None or tried_naive is None or tried.pinball_kw >= tried_naive.pinball_kw:
        return made(Method.NAIVE, _told(tried, tried_naive, held), tried, tried_naive, bar)
    reason = _told(tried, tried_naive, held)
    return made(Method.BOOSTING, reason, tried, tried_naive, _boosted(serve, task.signed))


def _told(tried: Score | None, bar: Score | None, days: int) -> str:
    if tried is None or bar is None:
        return "nothing is known of the days held out"
    less = 1 - tried.pinball_kw / bar.pinball_kw if bar.pinball_kw else 0.0
    compared = f"{abs(less):.1%} {'less' if less > 0 else 'more'}"
    return f"over {days} days held out the model erred {compared} than the naive"


def _scaled(values: Floats, origin: int) -> tuple[Floats, float]:
    """As one row, in its own mean; what the origin does not know is gone."""
    row = values.ravel().astype(np.float64, copy=True)
    row[origin:] = np.nan
    known = np.abs(row[np.isfinite(row)])
    scale = float(known.mean()) if len(known) and known.mean() > 0 else 1.0
    return np.round(row / scale, _DIGITS), scale


def days_known(task: Task) -> int:
    """From the first value to the origin. Raises `Refused` where they are too few for any forecast."""
    known = np.flatnonzero(np.isfinite(task.values.ravel()[: task.origin]))
    days = (task.origin - int(known[0])) // task.values.shape[1] if len(known) else 0
    if days < LEAST_DAYS:
        raise Refused(f"{days} days of history, and {LEAST_DAYS} are needed")
    return days


def _origins(origin: int, every: int, furthest: int, slots: int) -> Ints:
    """Those before that know two days and whose every step is known now, the newest last."""
    newest = origin - every * (furthest // every + 1)
    return np.arange(newest, 2 * slots - 1, -every, dtype=np.int64)[::-1]


def _naive(split: _Split, signed: bool) -> Floats:
    weekly = is_weekly(split.widen, split.came)
    by = widening(naive(split.widen, weekly), split.came, split.widen.spread)
    return widened(naive(split.asked, weekly), by, split.asked.spread, signed=signed)


def _boosted(split: _Split, signed: bool) -> Floats:
    """Learnt once for both what it is widened by and what is asked."""
    fields = Samples.__dataclass_fields__
    both = Samples(*[np.concatenate([getattr(one, name) for one in (split.widen, split.asked)]) for name in fields])
    n, found = len(split.came), boosted(split.learn, split.learnt, both)
    by = widening(found[:, :n], split.came, split.widen.spread)
    return widened(found[:, n:], by, split.asked.spread, signed=signed)


def _sized(one: Score, scale: float) -> Score:
    return Score(
        one.n,
        one.actual_kw * scale,
        one.pinball_kw * scale,
        one.squared_kw2 * scale**2,
        one.error_kw * scale,
        one.coverage,
    )
