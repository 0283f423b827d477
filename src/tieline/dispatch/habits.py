"""What each load usually does, learnt minute by minute: for how long it runs and pauses, and what it draws. Pure.

minutes   █ █ █ █ _ _ _ _ _ _ █ █ ·        · nothing is known, or it was held: what then goes on has no beginning
          └ run ┘ └─ pause ─┘ └ not over   what is usual: half the last one, half what was usual before
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

RUNNING_KW = 0.1
NEWEST = 0.5
"""What the last run and the last pause weigh in what is usual."""
A_DAY_MIN = 1440.0
"""What a load draws while it runs is the mean over so many minutes of running, newer ones weighing more."""


@dataclass(frozen=True)
class Habits:
    """Of each load: its usual run and pause in minutes, NaN where it never ended one, and its usual draw in kW.

    And where it stands: whether it ran in the last minute, for how long it did or not, whether it was seen to begin.
    """

    run_min: Floats
    pause_min: Floats
    kw: Floats
    ran_min: Floats
    known: Flags
    on: Flags
    lasted_min: Floats
    begun: Flags

    @classmethod
    def none(cls, loads: int) -> Self:
        def unknown() -> Floats:
            return np.full(loads, np.nan)

        def zero() -> Floats:
            return np.zeros(loads)

        def no() -> Flags:
            return np.zeros(loads, np.bool_)

        return cls(unknown(), unknown(), zero(), zero(), no(), no(), zero(), no())

    def of(self, index: Sequence[int]) -> "Habits":
        """Those of these loads, in this order; -1: of one that nothing is known of."""
        taken = np.array(index, dtype=np.int64)
        both = zip(_columns(self), _columns(Habits.none(1)), strict=True)
        return Habits(*(np.concatenate([ours, none])[taken] for ours, none in both))


@dataclass(frozen=True)
class Traces:
    """At each minute, [minutes, loads]: for how long a load had run, 0 where it did not, and what was usual."""

    run: Floats
    run_min: Floats
    pause_min: Floats


def lived(before: Habits, minute_kw: Floats) -> tuple[Habits, Traces]:
    """The habits after some minutes, [loads, minutes] with NaN where nothing is known or a load was held, and the way
    there. What was so long before that it does not join on is `apart`."""
    drawn = np.ascontiguousarray(minute_kw.T)
    traces = Traces(np.zeros(drawn.shape), np.empty(drawn.shape), np.empty(drawn.shape))
    for minute, kw in enumerate(drawn):
        before = _minute(before, kw)
        traces.run[minute] = np.where(before.on, before.lasted_min, 0.0)
        traces.run_min[minute], traces.pause_min[minute] = before.run_min, before.pause_min
    return before, traces


def apart(before: Habits) -> Habits:
    """The same habits after a time of which nothing is known."""
    none = Habits.none(len(before.kw))
    return replace(before, known=none.known, on=none.on, lasted_min=none.lasted_min, begun=none.begun)


def _columns(of: Habits) -> list[Any]:
    return [getattr(of, one.name) for one in fields(of)]


def _minute(before: Habits, kw: Floats) -> Habits:
    known, on = np.isfinite(kw), kw > RUNNING_KW  # NaN is not
    turned = known & before.known & (on != before.on)
    over = turned & before.begun
    ran_min = np.where(on, np.minimum(before.ran_min + 1, A_DAY_MIN), before.ran_min)
    return Habits(
        run_min=_usual(before.run_min, before.lasted_min, over & ~on),
        pause_min=_usual(before.pause_min, before.lasted_min, over & on),
        kw=np.where(on, before.kw + (kw - before.kw) / np.maximum(ran_min, 1), before.kw),
        ran_min=ran_min,
        known=known,
        on=on,
        lasted_min=np.where(turned | ~before.known, 1.0, before.lasted_min + 1),
        begun=turned | (known & before.begun),
    )


def _usual(before: Floats, last: Floats, over: Flags) -> Floats:
    newer = np.where(np.isnan(before), last, NEWEST * last + (1 - NEWEST) * before)
    return np.where(over, newer, before)
