"""Every baseline against what simulated homes would have drawn: 500 homes, 20 events, and the interval of the chosen.

Run: python -m tests.bench.bench_truth [HOMES] [SEED]

Those are called that give up most when the event starts, as the platform calls them. Bias and RRMSE are of them alone:
of each home, and of their sum, as a statement has it.
"""

import sys
from dataclasses import dataclass

import numpy as np

from tests.bench.lived import FIRST_DAY, Floats, Lived, evenings, lived
from tieline.settlement.baseline.engine import across
from tieline.settlement.baseline.fleet import Event
from tieline.settlement.baseline.markets import CAISO_10_IN_10, CAISO_10_IN_10_PLAIN, LASTING_20, RULES
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.baseline.scores import bias, rrmse
from tieline.settlement.baseline.tournament import alike

DAYS, HISTORY, EVENTS = 86, 45, 20


@dataclass(frozen=True)
class Against:
    """A rule against the truth: of those called, and for each event the energy that they delivered, stated and true."""

    bias: float
    home_rrmse: float
    sum_rrmse: float
    stated_kwh: float
    true_kwh: float
    homes: int


def truth(of: Lived, event: Event) -> Floats:
    """What each home would have drawn in the steps of an event, [homes, steps]."""
    return _during(of.truth_kw, of, event)


def _during(kw: Floats, of: Lived, event: Event) -> Floats:
    first = event.start_s // of.fleet.step_s
    drawn: Floats = kw[:, (event.day - FIRST_DAY).days, first : first + event.event_s // of.fleet.step_s]
    return drawn


def against(of: Lived, rule: Rule) -> Against | None:
    """None for a rule that has no baseline for any."""
    said, true, sums, stated, delivered = [], [], [], 0.0, 0.0
    for event, called in zip(of.events, of.called, strict=True):
        kw = across(of.fleet, [rule], event)[rule.name].kw
        some = called & ~np.isnan(kw).any(axis=1)
        if not some.any():
            continue
        own, used = truth(of, event)[some], _during(of.fleet.kw, of, event)[some]
        said.append(kw[some].ravel())
        true.append(own.ravel())
        sums.append((kw[some].sum(axis=0), own.sum(axis=0)))
        stated += float((kw[some] - used).sum()) * of.fleet.step_s / 3600
        delivered += float((own - used).sum()) * of.fleet.step_s / 3600
    if not said:
        return None
    homes_said, homes_true = np.concatenate(said), np.concatenate(true)
    sums_said, sums_true = (np.concatenate(part) for part in zip(*sums, strict=True))
    error = rrmse(homes_true, homes_said), rrmse(sums_true, sums_said)
    return Against(bias(homes_true, homes_said), *error, stated, delivered, int(of.called.sum()))


@dataclass(frozen=True)
class Covered:
    """How often the truth of a called home lies in its 90 % interval, and in how many events that of their sum does, of
    those of which an interval can be told."""

    homes: float
    sums: int
    told: int


def covered(of: Lived, rule: Rule = LASTING_20) -> Covered:
    inside, homes, sums, told = 0, 0, 0, 0
    for event, called in zip(of.events, of.called, strict=True):
        how_sure, stood = alike(of.fleet, rule, event)
        said = across(of.fleet, [rule], event)[rule.name].kw
        error, base = (truth(of, event) - said).mean(axis=1), said.mean(axis=1)
        low, high = (end[:, -1] for end in how_sure.each(base, stood))
        some = called & ~np.isnan(error + low)
        inside += int(((low <= error) & (error <= high))[some].sum())
        homes += int(some.sum())
        if not how_sure.why_no_sum:
            least, most = how_sure.together(base, stood, some[:, None].astype(float))
            sums += int(least[-1] <= error[some].sum() <= most[-1])
            told += 1
    return Covered(inside / homes, sums, told)


def main() -> None:
    homes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    of = lived(homes, DAYS, evenings(HISTORY, EVENTS), seed)
    bar = against(of, CAISO_10_IN_10_PLAIN)
    assert bar is not None
    print(f"{homes} homes, {EVENTS} events, {bar.homes} calls; they gave up {bar.true_kwh:,.0f} kWh in truth")
    print(f"{'rule':22} {'bias':>7} {'a home':>8} {'their sum':>10} {'to plain':>9} {'stated kWh':>11}")
    for rule in RULES.values():
        if found := against(of, rule):
            less = found.sum_rrmse / bar.sum_rrmse - 1
            errors = f"{found.bias:+7.1%} {found.home_rrmse:8.1%} {found.sum_rrmse:10.1%} {less:+9.0%}"
            print(f"{rule.name:22} {errors} {found.stated_kwh:11,.0f}")
    for rule in (LASTING_20, CAISO_10_IN_10, CAISO_10_IN_10_PLAIN):
        held = covered(of, rule)
        print(f"90 % intervals of {rule.name}: {held.homes:.1%} of the homes called, {held.sums} of {held.told} sums")


if __name__ == "__main__":
    main()
