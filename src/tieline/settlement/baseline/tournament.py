"""The tournament: every rule on days without an event, each as if it had one, against what was drawn that day.

A day is never among its own look-back, so every score is out of sample; an interval is made from the days before its
own. Rules are compared on the same meter-days: those for which each of them has a baseline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tieline.settlement.baseline.alike import JUST_BEFORE, Standing, history, looked_at, standing
from tieline.settlement.baseline.days import kind_of
from tieline.settlement.baseline.engine import across
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats, Frame, Mask
from tieline.settlement.baseline.intervals import REACH_DAYS, History, followed
from tieline.settlement.baseline.rules import Kind, Kinds, Rule
from tieline.settlement.baseline.scores import Score, bias, cv_rmse, nmbe, rrmse
from tieline.settlement.baseline.sureness import Sureness, sureness


@dataclass(frozen=True)
class Trial:
    """What each rule said, by its name, and what was drawn: [days, meters, steps], NaN where there is no baseline, or
    nothing is known. `business` tells for each day what it was; `drawing` [days, meters] are the tenth of the meters
    that drew most in the step before, and `stood` how each stood then, on the days that a rule takes for alike."""

    business: Mask
    actual_kw: Floats
    baseline_kw: Mapping[str, Floats]
    drawing: Mask
    stood: Mapping[str, Standing]

    def joined(self, other: "Trial") -> "Trial":
        """With the meters of another trial of the same rules, hours and days."""
        return Trial(
            self.business,
            np.concatenate([self.actual_kw, other.actual_kw], axis=1),
            {name: np.concatenate([kw, other.baseline_kw[name]], axis=1) for name, kw in self.baseline_kw.items()},
            np.concatenate([self.drawing, other.drawing], axis=1),
            {name: Standing.beside([stood, other.stood[name]]) for name, stood in self.stood.items()},
        )

    def history(self, name: str) -> History:
        """Of a rule, by its name."""
        said, stood = self.baseline_kw[name], self.stood[name]
        return History(self.actual_kw - said, said.mean(axis=2), stood.lift_kw, stood.highest_kw)

    @cached_property
    def ends_kw(self) -> dict[str, tuple[Floats, Floats, Floats]]:
        """Of each rule the errors of the event's mean power, and their interval as the days before have it: low and
        high end, all [days, meters]."""
        past = {name: self.history(name) for name in self.baseline_kw}
        return {name: (one.mean_error_kw, *followed(one, self.business)) for name, one in past.items()}


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
    stood = _stood(fleet, rules, events)
    return Trial(np.array(business), actual, {name: np.stack(kw) for name, kw in said.items()}, drawing, stood)


def _stood(fleet: Fleet, rules: Sequence[Rule], events: Sequence[Event]) -> dict[str, Standing]:
    found: dict[str, list[Standing]] = {rule.name: [] for rule in rules}
    for event in events:
        frame = fleet.frame(slice(None), event, rules, JUST_BEFORE)
        for rule in rules:
            found[rule.name].append(standing(rule, frame))
    return {name: Standing.stacked(days) for name, days in found.items()}


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
    errors_kw, low, high = tried.ends_kw[name]
    held = same & ~np.isnan(low)
    if not held.any():
        return float("nan"), float("nan")
    inside = (errors_kw >= low) & (errors_kw <= high)
    return float(inside[held].mean()), float((high - low)[held].mean() / tried.actual_kw[held].mean())


def alike(fleet: Fleet, rule: Rule, event: Event) -> tuple[Sureness, Standing]:
    """How sure a rule is of an event, by its like days, of the meters that were not called then; and how every meter
    stood just before."""
    back = REACH_DAYS + max(rule.look_back_days, 1)
    whole = fleet.frame(slice(None), event, [rule], JUST_BEFORE, back)
    days = [whole.days.index(day) for day in looked_at(rule, event.day, fleet.holidays) if day in whole.days]
    frame = replace(whole, days=[whole.days[day] for day in days], **_of_days(whole, days))
    return sureness(history(rule, frame)), standing(rule, frame)


def _of_days(frame: Frame, days: Sequence[int]) -> dict[str, Any]:
    return {
        "kw": frame.kw[days],
        "called": None if frame.called is None else frame.called[days],
        "out": None if frame.out is None else frame.out[days],
        "weather": None if frame.weather is None else replace(frame.weather, days_c=frame.weather.days_c[days]),
        "outlook": None if frame.outlook is None else frame.outlook.of(days, frame.outlook.today_kw),
    }
