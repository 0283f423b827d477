"""The engine: a rule applied to a fleet around one event. Which days, their usual load, the adjustment, the bounds."""

from collections.abc import Iterable

import numpy as np

from tieline.settlement.baseline import averaging
from tieline.settlement.baseline.adjusting import Adjustment, adjustment
from tieline.settlement.baseline.days import kind_of
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats, Frame, Ints, Mask
from tieline.settlement.baseline.lasting import lasted
from tieline.settlement.baseline.picking import Picked, kept, pick_days
from tieline.settlement.baseline.result import (
    NO_CONTROLS,
    NO_OUTLOOK,
    REFUSED,
    TOO_FEW,
    TOUCHED,
    UNREAD,
    Baselines,
    Reasons,
)
from tieline.settlement.baseline.rules import Controls, Exponential, Forecast, Kind, Pick, Regression, Rule, SameDay


def across(fleet: Fleet, rules: Iterable[Rule], event: Event) -> dict[str, Baselines]:
    """Every rule's baselines for one event, by the rule's name; a portion of the meters at a time."""
    rules = list(rules)
    parts: dict[str, list[Baselines]] = {rule.name: [] for rule in rules}
    for meters in fleet.portions:
        frame = fleet.frame(meters, event, rules)
        for rule in rules:
            parts[rule.name].append(apply(rule, frame))
    return {name: Baselines.joined(found) for name, found in parts.items()}


def apply(rule: Rule, frame: Frame) -> Baselines:
    """What each meter of a frame would have drawn in the steps of the event."""
    if isinstance(rule.average, SameDay):
        return _same_day(rule, rule.average, frame)
    kind = kind_of(frame.event_day, rule.kinds, frame.holidays)
    if (pick := rule.picks.get(kind)) is None:
        return _refused(frame, f"{rule.name} has no baseline for {kind} days, and {frame.event_day} is one")
    if lack := _lacking(rule, frame):
        return _refused(frame, f"{rule.name} {lack}")
    picked = pick_days(rule, pick, frame)
    usual, counted = _usual(rule, pick, frame, picked)
    why = Reasons.none(frame.meters)
    if isinstance(rule.average, Controls):
        unknown = np.isnan(usual.sum(axis=0))
        why.give(unknown, NO_CONTROLS, f"{rule.name} needs {rule.average.nearest} controls that are known that day")
    if isinstance(rule.average, Forecast):
        why.give(np.isnan(usual.sum(axis=0)), NO_OUTLOOK, f"{rule.name}: the group usually draws nothing, or feeds in")
    for found in np.unique(picked.count[picked.count < pick.least]).tolist():
        why.give(picked.count == found, TOO_FEW + found, _too_few(rule, pick, kind, frame, found))
    days = [frame.days[day] for day in picked.days]
    return Baselines(
        *_bounded(rule, frame, usual, _adjusted(rule, frame, usual, picked.days, counted), why), days, counted
    )


def _usual(rule: Rule, pick: Pick, frame: Frame, picked: Picked) -> tuple[Floats, Mask]:
    """The usual load in the steps of the event, then of the adjustment [steps, meters]; the days that count in it."""
    steps = frame.steps(rule.adjust.windows if rule.adjust else ())
    if isinstance(rule.average, Regression):
        return averaging.fitted(rule.average, frame, picked.days, picked.taken, steps), picked.taken
    if isinstance(rule.average, Exponential):
        return averaging.faded(rule.average, frame, picked.days, picked.taken, steps), picked.taken
    weight = kept(pick, picked)
    if isinstance(rule.average, Forecast):
        return averaging.foretold(frame, picked.days, weight, steps), weight > 0
    usual = averaging.mean(frame, picked.days, weight, steps)
    if isinstance(rule.average, Controls):
        usual = _of_others(rule, rule.average, pick, frame, usual, steps)
    return usual, weight > 0


def _lacking(rule: Rule, frame: Frame) -> str:
    """What a rule needs beside the meters and nobody knows; empty where nothing is missing."""
    if rule.wants_temperature and (frame.weather is None or _unknown(frame.weather.today_c, frame)):
        return "needs the temperature of the days and of the event day"
    if isinstance(rule.average, Forecast) and (frame.outlook is None or _unknown(frame.outlook.today_kw, frame)):
        return "needs a forecast of all the event's hours that was known before the event was called"
    return _lonely(rule.average, frame) if isinstance(rule.average, Controls) else ""


def _unknown(today: Floats, frame: Frame) -> bool:
    return bool(np.isnan(today[frame.during]).any())


def _lonely(by: Controls, frame: Frame) -> str:
    found = frame.meters - 1 if frame.each_other else 0 if frame.controls is None else frame.controls.meters
    return f"needs {by.nearest} meters that were not called: there are {found}" if found < by.nearest else ""


def _of_others(rule: Rule, by: Controls, pick: Pick, frame: Frame, usual: Floats, steps: Ints) -> Floats:
    """The load of the event day itself, of those controls that are usually most like each meter; NaN without them."""
    controls, theirs = frame, usual
    if not frame.each_other and frame.controls is not None:
        controls = frame.controls
        picked = pick_days(rule, pick, controls)
        theirs = averaging.mean(controls, picked.days, kept(pick, picked), steps)
    today = controls.today_kw[steps]
    known = np.where(np.isnan(today).any(axis=0), np.nan, theirs)
    chosen = averaging.matched(by.nearest, usual, known, but_itself=frame.each_other)
    total = sum((today[:, others] for others in chosen), np.zeros_like(usual))
    return np.where(chosen[0] < 0, np.nan, total / by.nearest)


def _adjusted(rule: Rule, frame: Frame, usual: Floats, days: list[int], counted: Mask) -> Adjustment:
    if rule.lasting is not None:
        return lasted(rule.lasting, frame, days, counted)
    if rule.adjust is None:
        return Adjustment.none(frame.meters)
    event = frame.event_steps
    today = frame.today_kw[frame.steps(rule.adjust.windows)[event:]]
    touched = np.zeros(frame.meters, bool) if frame.touched is None else frame.touched
    return adjustment(rule.adjust, usual[:event], usual[event:], today, touched)


def _same_day(rule: Rule, average: SameDay, frame: Frame) -> Baselines:
    """The same power in every step: the mean of the windows of the event day itself."""
    steps = frame.steps(average.windows)[frame.event_steps :]
    level = frame.today_kw[steps].sum(axis=0) / len(steps) if len(steps) else np.full(frame.meters, np.nan)
    why = Reasons.none(frame.meters)
    why.give(np.isnan(level), UNREAD, f"{rule.name} needs a reading in every step of its hours beside the event")
    if frame.touched is not None:
        why.give(frame.touched, TOUCHED, f"{rule.name}: another event reached into its hours beside this one")
    usual = np.repeat(level[None], frame.event_steps, axis=0)
    return Baselines(*_bounded(rule, frame, usual, Adjustment.none(frame.meters), why))


def _bounded(
    rule: Rule, frame: Frame, usual: Floats, adjusted: Adjustment, why: Reasons
) -> tuple[Floats, Adjustment, Reasons]:
    """The usual load of the event's steps, adjusted, within the rule's bounds; NaN for those without a baseline."""
    kw = usual[: frame.event_steps] * adjusted.factor + adjusted.added_kw
    if rule.floor_kw is not None:
        kw = np.maximum(kw, rule.floor_kw)
    if rule.within_contract and frame.contract_kw is not None:
        kw = np.fmin(kw, frame.contract_kw)
    kw[:, why.code > 0] = np.nan
    return kw.T, adjusted, why


def _refused(frame: Frame, text: str) -> Baselines:
    """No meter has a baseline."""
    why = Reasons.none(frame.meters)
    why.give(np.ones(frame.meters, bool), REFUSED, text)
    return Baselines(np.full((frame.meters, frame.event_steps), np.nan), Adjustment.none(frame.meters), why)


def _too_few(rule: Rule, pick: Pick, kind: Kind, frame: Frame, found: int) -> str:
    around = f" and the {rule.look_ahead_days} after" if rule.look_ahead_days else ""
    return (
        f"{found} {kind} days with whole readings and no event in the {rule.look_back_days} days "
        f"before {frame.event_day}{around}; {rule.name} needs {pick.least}"
    )
