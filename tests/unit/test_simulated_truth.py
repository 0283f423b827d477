"""Baselines, intervals and gaming alarms against what simulated homes would have drawn: a small one of the benches
`bench_truth` (500 homes, 20 events) and `bench_gaming`."""

import functools

import pytest

from tests.bench.bench_gaming import named
from tests.bench.bench_truth import Against, against, covered
from tests.bench.lived import FIRST_DAY, Lived, evenings, lived
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.markets import CAISO_10_IN_10, CAISO_10_IN_10_PLAIN, LASTING_20, WEATHER
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.baseline.tournament import scores, trial
from tieline.settlement.choosing.model import chosen


@functools.cache
def homes() -> Lived:
    return lived(80, 50, evenings(25, 12), seed=5, substep_s=900)


def told(rule: Rule) -> Against:
    found = against(homes(), rule)
    assert found is not None
    return found


def test_those_that_are_called_because_they_draw_are_underrated_by_a_mean_of_days() -> None:
    """And `lasting-20`, which knows what runs now, errs by less, on one side as on the other."""
    plain, chosen_ = told(CAISO_10_IN_10_PLAIN), told(LASTING_20)
    assert plain.bias < -0.05
    assert abs(chosen_.bias) < 0.12
    assert chosen_.sum_rrmse < 0.85 * plain.sum_rrmse
    assert chosen_.home_rrmse < plain.home_rrmse
    assert chosen_.stated_kwh == pytest.approx(chosen_.true_kwh, rel=0.12)
    assert plain.stated_kwh < chosen_.stated_kwh


def test_the_truth_lies_within_the_interval() -> None:
    held = covered(homes())
    assert 0.84 < held.homes < 0.96
    assert held.told >= 1
    assert held.sums >= 0.8 * held.told


def test_a_rule_without_a_baseline_has_no_figures() -> None:
    assert against(homes(), WEATHER) is None


@pytest.mark.parametrize("by", [0.0, 1.0])
def test_cheaters_are_named_and_honest_homes_are_not(by: float) -> None:
    of = homes()
    for one in named(of.truth_kw, of.events, by, seed=5).values():
        assert one.wrongly == 0
        assert one.cheaters == (4 if by else 0)
        assert one.rightly >= (3 if by else 0)


def test_the_rule_that_is_proposed_says_why() -> None:
    fleet = Fleet(homes().truth_kw, FIRST_DAY)
    events = [Event(day, round(16.5 * 3600), 1800) for day in fleet.days[20:]]
    some = [CAISO_10_IN_10, CAISO_10_IN_10_PLAIN, LASTING_20]
    rule, says, coverage = chosen(scores(trial(fleet, some, events)), CAISO_10_IN_10.name)
    assert rule == "lasting-20"
    assert "those that draw most and are called" in says
    assert "caiso-10-in-10, which is in force, errs by" in says
    assert coverage is None or 0.8 < coverage <= 1
    assert chosen([], "day-before") == ("", "no rule is nearly without bias: none is proposed", None)
