"""How sure a baseline is: an interval around it, as wide as the rule's own errors on like days without an event were.

    scale     √(b · h)    b: the baseline's mean, at least h/20;  h: the most it drew, at least that of the median meter
    error     (drawn − baseline) / scale                          of any meter, on the like days before
    low, high the (n + 1)(1 ∓ level)/2-th smallest of n errors    what would have been drawn lies within baseline + them
    level     + 0.02 (share that missed − 0.1)   after each day   so that in the end as many are held as is said

Who is called because it draws is like itself on no day: it is like those meter-days that stood as far above their usual
load just before. So errors are taken in groups by that. Sources: split conformal prediction, in groups (Mondrian; Vovk,
Gammerman, Shafer, Algorithmic Learning in a Random World, 2005), errors by scale (Papadopoulos et al., 2002), the level
that follows what was missed (Gibbs, Candès, Adaptive Conformal Inference Under Distribution Shift, 2021). All from
memory; the scale was found by trying.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor

import numpy as np

from tieline.settlement.baseline.frame import Floats, Ints, Mask

LEVEL = 0.9
MEMORY, REACH_DAYS = 60, 120
"""So many of the latest like days count, and so far back: habits change with the seasons."""
LEAST_ERRORS, LEAST_DAYS = 19, 5
"""With fewer errors an end of a 90 % interval lies beyond them all; with fewer days they say too little of the next."""
FOLLOWS = 0.02
EDGES = (0.5, 0.8, 0.9, 0.94, 0.97, 0.985, 0.993)
"""Between the groups: half of all meter-days stand below their usual load; those that are called, far above."""
LEAST_GROUP = 50
LEAST_BASE = 0.05


@dataclass(frozen=True)
class History:
    """A rule on like days, the oldest first: `error_kw` [days, meters, steps] is drawn less baseline, NaN where either
    is unknown; [days, meters] are the baseline's mean, how far each meter stood above its usual load just before, and
    the most it had drawn."""

    error_kw: Floats
    baseline_kw: Floats
    lift_kw: Floats
    highest_kw: Floats

    @classmethod
    def joined(cls, parts: Sequence["History"]) -> "History":
        """Of portions of the meters; those of whom fewer days are known have none on the oldest."""
        days = max(len(one.error_kw) for one in parts)
        return cls(
            *(
                np.concatenate([_aged(getattr(one, name), days) for one in parts], 1)
                for name in cls.__dataclass_fields__
            )
        )

    @cached_property
    def typical_kw(self) -> Floats:
        """The most that the median meter had drawn, [days]."""
        ordered = np.sort(self.highest_kw, axis=1)  # NaN comes last
        known = (~np.isnan(ordered)).sum(axis=1)
        middle = np.maximum(known - 1, 0)[:, None] // 2
        found: Floats = np.take_along_axis(ordered, middle, axis=1)[:, 0]
        return found

    @cached_property
    def scale_kw(self) -> Floats:
        return scale_kw(self.baseline_kw, self.highest_kw, self.typical_kw[:, None])

    @cached_property
    def mean_error_kw(self) -> Floats:
        """Of the mean power over the event."""
        mean: Floats = self.error_kw.mean(axis=2)
        return mean

    @cached_property
    def lift(self) -> Floats:
        """Where nothing was read just before, a meter counts as standing at its usual load."""
        return np.nan_to_num(self.lift_kw)


def _aged(values: Floats, days: int) -> Floats:
    missing = np.full((days - len(values), *values.shape[1:]), np.nan)
    return np.concatenate([missing, values])


def scale_kw(baseline_kw: Floats, highest_kw: Floats, typical_kw: Floats | float) -> Floats:
    """What errors are measured by; NaN where nothing was ever drawn."""
    highest = np.fmax(highest_kw, typical_kw)
    highest = np.where(highest > 0, highest, np.nan)
    scale: Floats = np.sqrt(np.maximum(baseline_kw, LEAST_BASE * highest) * highest)
    return scale


def interval(errors: Floats, level: float = LEVEL) -> Floats:
    """Low and high end [2, columns] of so many errors [n, columns]; NaN of too few. An end that lies beyond them all is
    the last of them."""
    n = len(errors)
    if n < LEAST_ERRORS:
        return np.full((2, errors.shape[1]), np.nan)
    ordered = np.sort(errors, axis=0)
    return np.stack([_placed(ordered, (n + 1) * share) for share in ((1 - level) / 2, (1 + level) / 2)])


def _placed(ordered: Floats, place: float) -> Floats:
    """The value at a place from 1 on; between two places, in proportion."""
    place = min(max(round(place, 9), 1.0), len(ordered))
    below, above = floor(place), ceil(place)
    value: Floats = ordered[below - 1] + (place - below) * (ordered[above - 1] - ordered[below - 1])
    return value


def adapted(level: float, missed: float) -> float:
    """The level to ask for next, where that share was missed."""
    return float(np.clip(level + FOLLOWS * (missed - (1 - LEVEL)), 0.5, 0.995))


# --- in groups --------------------------------------------------------------------------------------------------------


def _edges_kw(lift_kw: Floats) -> Floats:
    """Between the groups of so many meter-days. Where many stand just alike, as empty homes do, a group has fewer than
    it should: an edge that leaves too few on either side is none."""
    shares = [share for share in EDGES if (1 - share) * len(lift_kw) >= LEAST_GROUP]
    edges: list[float] = []
    ordered, below = np.sort(lift_kw), 0
    for edge in np.quantile(ordered, shares).tolist() if shares else ():
        upto = int(np.searchsorted(ordered, edge, side="right"))
        if min(upto - below, len(ordered) - upto) >= LEAST_ERRORS:
            edges.append(edge)
            below = upto
    return np.array(edges)


@dataclass(frozen=True)
class Groups:
    """Relative errors [days, meters, columns] in groups by how far above its usual load a meter stood: `group` [days,
    meters] is −1 where one is unknown, `edges_kw` are between the groups."""

    error: Floats
    group: Ints
    edges_kw: Floats

    @classmethod
    def of(cls, error: Floats, lift_kw: Floats) -> "Groups":
        known = ~np.isnan(error.sum(axis=2))
        edges = _edges_kw(lift_kw[known])
        return cls(error, np.where(known, np.searchsorted(edges, lift_kw), -1), edges)

    @property
    def count(self) -> int:
        return len(self.edges_kw) + 1

    def ends(self, level: float) -> Floats:
        """[low and high, groups, columns]."""
        return np.stack([interval(self.error[self.group == one], level) for one in range(self.count)], axis=1)

    @cached_property
    def shared(self) -> "Shared":
        """What the meters of a group err by together, day by day."""
        days, columns = len(self.error), self.error.shape[2]
        means = np.zeros((days, self.count, columns))
        noise, apart = np.zeros((self.count, columns)), np.zeros((self.count, columns))
        for one in range(self.count):
            within = (self.group == one)[..., None]
            errors, count = np.where(within, self.error, 0.0), within.sum(axis=1)
            overall = errors.sum(axis=(0, 1)) / max(1, count.sum())
            means[:, one] = np.where(count > 0, errors.sum(axis=1) / np.maximum(count, 1), overall)
            rest = np.where(within, errors - means[:, None, one], 0.0)
            apart[one] = (rest**2).sum(axis=(0, 1)) / max(1, count.sum() - (count > 0).sum())
            noise[one] = apart[one] * np.where(count > 0, 1 / np.maximum(count, 1), 0.0).sum() / max(1, days)
        return Shared(means, noise, apart)


@dataclass(frozen=True)
class Shared:
    """`means` [days, groups, columns] are the errors of groups; `apart` [groups, columns] is how much the meters of a
    group vary about them, and `noise` how much of that is left in the means, since a group has but so many meters."""

    means: Floats
    noise: Floats
    apart: Floats

    def ends(self, weight: Floats, squares: Floats, level: float) -> Floats:
        """[low and high, columns] of a sum, of whose meters the scales and their squares are so much in each group
        [groups, columns]: the sum's own errors on those days, spread as sums of just these meters are."""
        summed = (self.means * weight).sum(axis=1)
        middle = summed.sum(axis=0) / max(1, len(summed))
        varied = ((summed - middle) ** 2).sum(axis=0) / max(1, len(summed) - 1)
        wanted = np.maximum(varied - (self.noise * weight**2).sum(axis=0), 0.0) + (self.apart * squares).sum(axis=0)
        spread = np.sqrt(wanted / np.where(varied > 0, varied, 1.0))
        return interval(middle + (summed - middle) * spread, level)


def weighed(scale: Floats, group: Ints, groups: int) -> tuple[Floats, Floats]:
    """The sums in each group of scales [meters, columns], and of their squares [groups, columns]."""
    member = (group == np.arange(groups)[:, None]).astype(float)
    known = np.nan_to_num(scale)
    return member @ known, member @ known**2


# --- day after day ----------------------------------------------------------------------------------------------------


def followed(past: History, business: Mask) -> tuple[Floats, Floats]:
    """What to add to the baseline's mean for both ends on every day [days, meters], from the days before it of its kind
    alone."""
    low, high = (np.full(past.baseline_kw.shape, np.nan) for _ in range(2))
    for kind in (business, ~business):
        for one in replayed(past, np.flatnonzero(kind)):
            low[one.day], high[one.day] = one.low_kw, one.high_kw
    return low, high


@dataclass(frozen=True)
class Day:
    """A day as those before it (`window`) have it: groups of their errors, both ends for each meter, the level asked
    for, and of whom it was known whether they were held."""

    day: int
    window: list[int]
    groups: Groups
    low_kw: Floats
    high_kw: Floats
    level: float
    held: Mask
    known: Mask


def replayed(past: History, days: Ints) -> Iterator[Day]:
    """Each of those days in turn, by those of them before it; the level follows what was missed."""
    level, lift = LEVEL, past.lift
    error = (past.mean_error_kw / past.scale_kw)[..., None]
    told: list[int] = []
    for day in days.tolist():
        window = [one for one in told[-MEMORY:] if day - one <= REACH_DAYS]
        groups = Groups.of(error[window], lift[window])
        ends = groups.ends(level)[:, np.searchsorted(groups.edges_kw, lift[day]), 0]
        low, high = ends * past.scale_kw[day]
        errors = past.mean_error_kw[day]
        known = ~np.isnan(errors + low)
        held = (low <= errors) & (errors <= high)
        yield Day(day, window, groups, low, high, level, held, known)
        if known.any():
            level = adapted(level, 1 - float(held[known].mean()))
        if not np.isnan(error[day]).all():
            told.append(day)
