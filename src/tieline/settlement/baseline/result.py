"""What a rule gives: per meter a baseline and how it came about, or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.baseline.adjusting import NOTES, Adjustment
from tieline.settlement.baseline.frame import Floats, Mask

REFUSED, NO_CONTROLS, NO_OUTLOOK, UNREAD, TOUCHED, TOO_FEW = range(1, 7)
"""Why there is no baseline; from `TOO_FEW` on, it and how many days there were."""


@dataclass(frozen=True)
class Reasons:
    """A code for each meter, 0 where it has a baseline, and what each code says."""

    code: NDArray[np.int16]
    text: dict[int, str] = field(default_factory=dict)

    @classmethod
    def none(cls, meters: int) -> Self:
        return cls(np.zeros(meters, np.int16))

    def give(self, meters: Mask, code: int, text: str) -> None:
        self.code[meters] = code
        self.text[code] = text


@dataclass(frozen=True)
class Baselines:
    """Per meter: power of each step of the event [meters, steps], the adjustment, the days behind it, a note.

    A meter without a baseline has a row of NaN, and `reasons` says why.
    """

    kw: Floats
    adjusted: Adjustment
    _why: Reasons
    _days: Sequence[date] = ()
    _counted: Mask = field(default_factory=lambda: np.zeros((0, 0), bool))

    @property
    def factor(self) -> Floats:
        """What the usual load was multiplied with."""
        return self.adjusted.factor

    @property
    def shift_kw(self) -> Floats:
        """What was added to it."""
        return self.adjusted.shift_kw

    @cached_property
    def reasons(self) -> dict[int, str]:
        """Why a meter has no baseline."""
        return {int(meter): self._why.text[int(self._why.code[meter])] for meter in np.flatnonzero(self._why.code)}

    def note(self, meter: int) -> str:
        return NOTES[self.adjusted.note[meter]]

    def days(self, meter: int) -> list[date]:
        """The days that were averaged for a meter, nearest first."""
        return [day for day, counted in zip(self._days, self._counted, strict=True) if counted[meter]]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of consecutive portions of a fleet as one."""
        days = max((part._days for part in parts), key=len)
        counted = np.zeros((len(days), sum(len(part.kw) for part in parts)), bool)
        first = 0
        for part in parts:
            if part._days:
                counted[: len(part._days), first : first + len(part.kw)] = part._counted
            first += len(part.kw)
        return cls(
            np.concatenate([part.kw for part in parts]),
            Adjustment.joined([part.adjusted for part in parts]),
            Reasons(
                np.concatenate([part._why.code for part in parts]),
                {code: text for part in parts for code, text in part._why.text.items()},
            ),
            days,
            counted,
        )
