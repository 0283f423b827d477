"""The usual load adjusted to the event day by what the meter drew beside the event, and held within bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.baseline.frame import Floats, Mask
from tieline.settlement.baseline.rules import Adjust, How

NO_LOAD_KW = 0.001
"""At or below a watt, or where a home feeds in, a ratio of loads says nothing: no adjustment then."""

CAPPED = "adjustment at its cap"
NO_LOAD = "no adjustment: the usual load is nothing, or feeds in"
TOUCHED = "no adjustment: an earlier event reached into the hours before this one"
UNKNOWN = "no adjustment: no readings in the hours before the event"
NOTES = ("", CAPPED, NO_LOAD, TOUCHED, UNKNOWN)


@dataclass(frozen=True)
class Adjustment:
    """Per meter: what its usual load is multiplied with, what is then added, and the note (an index into `NOTES`).
    `by_step_kw` [steps, meters] is what is added where it differs from step to step; `shift_kw` then is its mean."""

    factor: Floats
    shift_kw: Floats
    note: NDArray[np.int8]
    by_step_kw: Floats | None = None

    @property
    def added_kw(self) -> Floats:
        return self.shift_kw if self.by_step_kw is None else self.by_step_kw

    @classmethod
    def none(cls, meters: int) -> Self:
        return cls(np.ones(meters), np.zeros(meters), np.zeros(meters, np.int8))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of consecutive portions of a fleet as one."""
        return cls(
            np.concatenate([part.factor for part in parts]),
            np.concatenate([part.shift_kw for part in parts]),
            np.concatenate([part.note for part in parts]),
        )


def adjustment(rule: Adjust, event_kw: Floats, usual_kw: Floats, today_kw: Floats, touched: Mask) -> Adjustment:
    """`event_kw` is the usual load in the event's steps, `usual_kw` and `today_kw` that of the windows' steps and of
    the event day there, all [steps, meters]. Counted are those steps in which the event day is known."""
    known = ~np.isnan(today_kw)
    steps = known.sum(axis=0)
    today = np.where(known, today_kw, 0.0).sum(axis=0)
    usual = np.where(known, usual_kw, 0.0).sum(axis=0)
    plain = Adjustment.none(len(steps))
    if rule.how is How.RATIO:
        silent = (usual <= NO_LOAD_KW * steps) | (event_kw.sum(axis=0) <= NO_LOAD_KW * len(event_kw))
        wanted = np.divide(today, usual, out=np.ones_like(today), where=~silent)
        made, nothing = plain.factor, 1.0
    else:
        silent = np.zeros(len(steps), bool)
        wanted = np.divide(today - usual, steps, out=np.zeros_like(today), where=steps > 0)
        made, nothing = plain.shift_kw, 0.0
    made[:] = wanted if rule.least is rule.most is None else np.clip(wanted, rule.least, rule.most)
    plain.note[made != wanted] = NOTES.index(CAPPED)
    for when, why in ((silent, NO_LOAD), (touched, TOUCHED), (steps == 0, UNKNOWN)):
        made[when] = nothing
        plain.note[when] = NOTES.index(why)
    return plain
