"""How sure the baselines of one event are, as its like days have it: of each meter, and of the sum of any of them.

Columns are the steps of the event, then the whole of it. What is told of an interval was measured: each like day was
judged by those before it, and so many of its meters, and of sums of those that stood highest, were held.
"""

from dataclasses import dataclass
from math import isnan

import numpy as np

from tieline.settlement.baseline.alike import Standing
from tieline.settlement.baseline.frame import Floats, Ints
from tieline.settlement.baseline.intervals import (
    LEAST_DAYS,
    LEAST_ERRORS,
    LEVEL,
    Day,
    Groups,
    History,
    Shared,
    adapted,
    replayed,
    scale_kw,
    weighed,
)


@dataclass(frozen=True)
class Sureness:
    """`ends` [low and high, groups, columns] are relative to a meter's scale, for which `typical_kw` is the most that
    the median meter drew. `held` and `sum_held` are the shares that were measured, NaN where none was."""

    edges_kw: Floats
    typical_kw: float
    ends: Floats
    shared: Shared
    sum_level: float
    errors: int
    held: float
    sum_held: float

    @property
    def days(self) -> int:
        return len(self.shared.means)

    @property
    def why_not(self) -> str:
        """Why no interval can be said of a meter; empty where one can."""
        if self.days < LEAST_DAYS or self.errors < LEAST_ERRORS:
            return f"{self.errors} errors on {self.days} like days; {LEAST_ERRORS} on {LEAST_DAYS} are needed"
        if isnan(self.typical_kw):
            return "nobody has readings on the nearest days that the rule takes for alike, nor just before the event"
        return ""

    @property
    def why_no_sum(self) -> str:
        """The same of a sum."""
        if self.days >= LEAST_ERRORS:
            return ""
        return f"{self.days} like days on which the rule has a baseline; {LEAST_ERRORS} are needed"

    def scale_kw(self, baseline_kw: Floats, stood: Standing) -> Floats:
        """Of each meter, from its baseline's mean."""
        return scale_kw(baseline_kw, stood.highest_kw, self.typical_kw)

    def group(self, stood: Standing) -> Ints:
        return np.searchsorted(self.edges_kw, np.nan_to_num(stood.lift_kw))

    def each(self, baseline_kw: Floats, stood: Standing) -> tuple[Floats, Floats]:
        """What to add to the baselines of meters for both ends, kW [meters, columns]; NaN of those that never drew
        anything."""
        low, high = self.ends[:, self.group(stood)] * self.scale_kw(baseline_kw, stood)[:, None]
        return low, high

    def together(self, baseline_kw: Floats, stood: Standing, hours: Floats) -> tuple[Floats, Floats]:
        """The same for their sum, kWh [columns], where each counts for so many hours [meters, columns]; NaN where that
        of one is."""
        scale = self.scale_kw(baseline_kw, stood)[:, None] * hours
        if np.isnan(scale).any():
            return (np.full(hours.shape[1], np.nan),) * 2
        low, high = self.shared.ends(*weighed(scale, self.group(stood), len(self.edges_kw) + 1), self.sum_level)
        return low, high


CALLED = 0.1
"""Of the meters: sums are judged by sums of so many, those that stood highest."""


def sureness(past: History) -> Sureness:
    """Of the last day of those, by those before it."""
    whole = np.concatenate([past.error_kw, past.mean_error_kw[..., None]], axis=2) / past.scale_kw[..., None]
    *judged, last = replayed(past, np.arange(len(whole)))
    groups = Groups.of(whole[last.window], past.lift[last.window])
    held = [one.held[one.known] for one in judged]
    sum_level, sums = _sums(past, judged)
    return Sureness(
        edges_kw=groups.edges_kw,
        typical_kw=float(past.typical_kw[-1]),
        ends=groups.ends(last.level),
        shared=groups.shared,
        sum_level=sum_level,
        errors=int((groups.group >= 0).sum()),
        held=_share(np.concatenate([*held, np.zeros(0, bool)])),
        sum_held=_share(np.array(sums)),
    )


def _share(held: Floats) -> float:
    return float(held.mean()) if len(held) else float("nan")


def _sums(past: History, judged: list[Day]) -> tuple[float, list[bool]]:
    """The level to ask for of a sum, and whether that of those that stood highest was held, on each day that had
    enough days before it."""
    level, found = LEVEL, []
    for one in judged:
        those = np.flatnonzero(one.known)
        if len(one.groups.error) < LEAST_ERRORS or not len(those):
            continue
        highest = those[np.argsort(-past.lift[one.day, those], kind="stable")][: max(1, round(CALLED * len(those)))]
        group = np.searchsorted(one.groups.edges_kw, past.lift[one.day, highest])
        weight = weighed(past.scale_kw[one.day, highest, None], group, one.groups.count)
        low, high = one.groups.shared.ends(*weight, level)[:, 0]
        found.append(bool(low <= past.mean_error_kw[one.day, highest].sum() <= high))
        level = adapted(level, 1.0 - found[-1])
    return level, found
