"""The tournament: every rule on days without an event, each as if it had one, against what was drawn that day.

A day is never among its own look-back, so every score is out of sample; an interval is made from the days before its
own. Rules are compared on the same meter-days: those for which each of them has a baseline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from tieline.settlement.baseline.days import kind_of
from tieline.settlement.baseline.engine import across
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats, Mask
from tieline.settlement.baseline.intervals import Alike, followed
from tieline.settlement.baseline.rules import Kind, Kinds, Rule
from tieline.settlement.baseline.scores import Score, bias, cv_rmse, nmbe, rrmse


@dataclass(frozen=True)
class Trial:
    """What each rule said, by its name, and what was drawn: [days, meters, steps], NaN where there is no baseline, or
    nothing is known. `business` tells for each day what it was; `drawing` [days, meters] are the tenth of the meters
    that drew most in the step before."""

    business: Mask
    actual_kw: Floats
    baseline_kw: Mapping[str, Floats]
    drawing: Mask

    def joined(self, other: "Trial") -> "Trial":
        """With the meters of another trial of the same rules and hours; their days need not be the same."""
        return Trial(
            np.concatenate([self.business, other.business]),
            _beside(self.actual_kw, other.actual_kw),
            {name: _beside(kw, other.baseline_kw[name]) for name, kw in self.baseline_kw.items()},
            _beside(*(one.drawing[..., None].astype(float) for one in (self, other)))[..., 0] == 1,
        )


def _beside(one: Floats, other: Floats) -> Floats:
    """Days after days and meters beside meters, unknown elsewhere."""
    both = np.full((len(one) + len(other), one.shape[1] + other.shape[1], one.shape[2]), np.nan)
    both[: len(one), : one.shape[1]] = one
    both[len(one) :, one.shape[1] :] = other
    return both


def trial(fleet: Fleet, rules: Iterable[Rule], events: Sequence[Event]) -> Trial:
    """Every rule on every one of these days; a rule that wants controls has the other meters of the fleet."""
    rules = list(rules)
    uncalled = replace(fleet, each_other=True)
    said: dict[str, list[Floats]] = {rule.name: [] for rule in rules}
    for event in events:
        for name, found in across(uncalled, rules, event).items():
            said[name].append(found.kw)
    business = [kind_of(event.day, Kinds.BUSINESS, fleet.holidays) == Kind.BUSINESS for event in events]
    actual = np.stack([_drawn(fleet, event) for event in events])
    drawing = np.stack([_drawing_most(fleet, event) for event in events])
    return Trial(np.array(business), actual, {name: np.stack(kw) for name, kw in said.items()}, drawing)


def _drawing_most(fleet: Fleet, event: Event) -> Mask:
    """The tenth of the meters that drew most in the step before an event, [meters]; none of fewer than ten."""
    before = (event.day - fleet.first_day).days * fleet.kw.shape[2] + event.start_s // fleet.step_s - 1
    kw = fleet.kw.reshape(len(fleet.kw), -1)[:, before] if before >= 0 else np.full(len(fleet.kw), np.nan)
    most = np.argsort(-np.where(np.isnan(kw), -np.inf, kw), kind="stable")[: len(kw) // 10]
    drawing = np.zeros(len(kw), bool)
    drawing[most] = ~np.isnan(kw[most])
    return drawing


def _drawn(fleet: Fleet, event: Event) -> Floats:
    """Unknown for those that were called that day: what they drew is not what they would have drawn."""
    first, day = event.start_s // fleet.step_s, (event.day - fleet.first_day).days
    drawn: Floats = fleet.kw[:, day, first : first + event.event_s // fleet.step_s]
    return drawn if fleet.called is None else np.where(fleet.called[:, day, None], np.nan, drawn)


def scores(tried: Trial) -> list[Score]:
    """Of every rule on business days and on other days, in the rules' order; a rule that has no baseline on any day of
    a kind has no score there."""
    known = ~np.isnan(tried.actual_kw).any(axis=2)
    found = []
    for kind, of_kind in (("business", tried.business), ("other", ~tried.business)):
        asked = known & of_kind[:, None]
        told = {name: asked & ~np.isnan(kw).any(axis=2) for name, kw in tried.baseline_kw.items()}
        told = {name: mask for name, mask in told.items() if mask.any()}
        same = asked
        for mask in told.values():
            same = same & mask
        if same.any():
            found += [_score(tried, name, kind, same, 1 - mask.sum() / asked.sum()) for name, mask in told.items()]
    return found


def _score(tried: Trial, name: str, kind: str, same: Mask, refused: float) -> Score:
    actual, said = tried.actual_kw, tried.baseline_kw[name]
    homes = [rrmse(actual[days, home], said[days, home]) for home, days in enumerate(same.T) if days.any()]
    sums = [np.where(same[..., None], kw, 0.0).sum(axis=1)[same.any(axis=1)] for kw in (actual, said)]
    coverage, width = _covered(tried, name, same)
    called = same & tried.drawing
    of_called = [np.where(called[..., None], kw, 0.0).sum(axis=1)[called.any(axis=1)] for kw in (actual, said)]
    return Score(
        rule=name,
        kind=kind,
        days=int(same.sum()),
        refused=float(refused),
        home_rrmse=float(np.median(homes)),
        fleet_rrmse=rrmse(*sums),
        bias=bias(actual[same], said[same]),
        cv_rmse=cv_rmse(actual[same], said[same]),
        nmbe=nmbe(actual[same], said[same]),
        coverage=coverage,
        width=width,
        called_rrmse=rrmse(*of_called) if called.any() else float("nan"),
        called_bias=bias(*of_called) if called.any() else float("nan"),
    )


def _covered(tried: Trial, name: str, same: Mask) -> tuple[float, float]:
    """How often the mean power of the event's hours lay within its interval, and how wide that was on the mean."""
    errors_kw = (tried.actual_kw - tried.baseline_kw[name]).mean(axis=2)
    low, high = followed(errors_kw, tried.business)
    held = same & ~np.isnan(low)
    if not held.any():
        return float("nan"), float("nan")
    inside = (errors_kw >= low) & (errors_kw <= high)
    return float(inside[held].mean()), float((high - low)[held].mean() / tried.actual_kw[held].mean())


CALIBRATED_DAYS = 40
"""Days before an event whose errors tell how sure its baseline is: about two months of business days and others."""


def alike(fleet: Fleet, rule: Rule, event: Event) -> Alike:
    """The errors of a rule on the days before an event, each as if it had had this one, of the meters that were not
    called then; and how far above its usual load every meter stood in the step before."""
    today = (event.day - fleet.first_day).days
    before = range(max(1, today - CALIBRATED_DAYS), today)
    events = [replace(event, day=fleet.first_day + timedelta(days=day)) for day in before]
    tried = trial(fleet, [rule], events)
    errors = (tried.actual_kw - tried.baseline_kw[rule.name]).mean(axis=2)
    lifts = [_lift_kw(fleet, day, event.start_s // fleet.step_s - 1) for day in (*before, today)]
    highest = np.nan_to_num(fleet.kw[:, :today]).max(axis=(1, 2))
    return Alike.of(errors, np.stack(lifts[:-1]), lifts[-1], highest)


def _lift_kw(fleet: Fleet, day: int, step: int) -> Floats:
    """How far each meter stands above its mean of the earlier days of the kind, in a step of a day [meters]."""
    kinds = [kind_of(one, Kinds.BUSINESS, fleet.holidays) for one in fleet.days[: day + 1]]
    like = [n for n in range(day) if kinds[n] is kinds[day]][-20:]
    by_step = fleet.kw.reshape(len(fleet.kw), -1)
    steps = np.array([*like, day]) * fleet.kw.shape[2] + step
    drawn = by_step[:, steps]
    usual = drawn[:, :-1].sum(axis=1) / len(like) if like else np.full(len(drawn), np.nan)
    lift: Floats = drawn[:, -1] - usual
    return lift
