"""Between which bounds an event's baselines lie, of each participant and of all together. Pure.

each      baseline + what its group erred by on like days      no less than the meter ever drew
together  the sum of them + what such sums erred by            not the sum of the bounds: errors cancel
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from tieline.settlement.baseline.alike import Standing
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.sureness import Sureness
from tieline.settlement.model import VenBaseline


@dataclass(frozen=True)
class Bounds:
    """Of some VENs, over the steps that an event had in the end: `covered_s` [VENs, steps] is what readings cover."""

    sure: Sureness
    vens: Sequence[VenBaseline]
    covered_s: Floats

    @cached_property
    def _kw(self) -> Floats:
        return np.array([one.kw for one in self.vens]).reshape(len(self.vens), -1)

    @cached_property
    def _stood(self) -> Standing:
        stood = [one.stood for one in self.vens]
        found = [(np.nan,) * 3 if one is msgspec.UNSET else msgspec.structs.astuple(one) for one in stood]
        return Standing(*np.array(found, float).reshape(-1, 3).T)

    @cached_property
    def _hours(self) -> Floats:
        """By the columns of what is known: every step that was frozen, then the whole."""
        steps = np.zeros((len(self.vens), self.sure.ends.shape[2] - 1))
        steps[:, : self.covered_s.shape[1]] = self.covered_s / 3600
        return np.column_stack([steps, steps.sum(axis=1)])

    @cached_property
    def _least_kwh(self) -> Floats:
        """Nobody draws less than nothing who was never seen to."""
        return np.minimum(np.nan_to_num(self._stood.least_kw), 0.0)[:, None] * self._hours

    @cached_property
    def _base_kwh(self) -> Floats:
        steps = self._kw[:, : self._hours.shape[1] - 1] * self._hours[:, :-1]
        return np.column_stack([steps, steps.sum(axis=1)])

    def each(self) -> tuple[Floats, Floats]:
        """Low and high end of each baseline, kWh [VENs, steps and the whole]."""
        added = np.stack(self.sure.each(self._kw.mean(axis=1), self._stood)) * self._hours
        low, high = self._shortened(self._base_kwh + added)
        return np.maximum(low, self._least_kwh_shortened), high

    def together(self) -> tuple[Floats, Floats]:
        """The same of their sum, kWh [steps and the whole]."""
        added = np.stack(self.sure.together(self._kw.mean(axis=1), self._stood, self._hours))
        low, high = self._shortened(self._base_kwh.sum(axis=0) + added)
        return np.maximum(low, self._least_kwh_shortened.sum(axis=0)), high

    @property
    def _least_kwh_shortened(self) -> Floats:
        return self._shortened(self._least_kwh)

    def _shortened(self, kwh: Floats) -> Floats:
        """Only the steps there were, then the whole: of an event that was cut short nothing is known but its steps, and
        their sum is wider than it had to be."""
        steps = self.covered_s.shape[1]
        within = kwh[..., :steps]
        whole = kwh[..., -1:] if steps == kwh.shape[-1] - 1 else within.sum(axis=-1, keepdims=True)
        return np.concatenate([within, whole], axis=-1)
