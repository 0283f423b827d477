"""How rules are scored, and how wide their intervals are."""

import math
from dataclasses import replace
from datetime import date

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.baseline_homes import event
from tieline.settlement.baseline.fleet import Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.intervals import interval
from tieline.settlement.baseline.markets import AEMO_OTHER, CAISO_10_IN_10, CONTROL_GROUP, DAY_BEFORE, WEATHER
from tieline.settlement.baseline.scores import Score, bias, cv_rmse, nmbe, rrmse, winner
from tieline.settlement.baseline.tournament import Trial, scores, trial

RANDOM = np.random.default_rng(3)
FIRST = date(2026, 1, 1)


def test_measures_by_hand() -> None:
    """Drawn 1, 2, 3; said 2, 2, 4: errors of 1, 0, 1 on a mean of 2."""
    actual, said = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 4.0])
    assert rrmse(actual, said) == pytest.approx(math.sqrt(2 / 3) / 2)
    assert bias(actual, said) == pytest.approx(2 / 6)
    assert cv_rmse(actual, said) == pytest.approx(math.sqrt(2 / 2) / 2)
    assert nmbe(actual, said) == pytest.approx(-2 / (2 * 2))


@given(st.floats(0.01, 100), st.floats(-0.5, 2))
def test_measures_are_relative(scale: float, more: float) -> None:
    actual = np.array([1.0, 2.0, 3.0, 2.0])
    said = actual * (1 + more)
    assert bias(actual * scale, said * scale) == pytest.approx(more)
    for measure in (rrmse, bias, cv_rmse, nmbe):
        assert measure(actual * scale, said * scale) == pytest.approx(measure(actual, said))


# --- intervals --------------------------------------------------------------------------------------------------------


def test_places_of_the_order() -> None:
    """Of 19 errors the 90 % interval is from the first to the last; of 39 from the second to the last but one."""
    for n, low, high in ((19, 1, 19), (39, 2, 38), (119, 6, 114)):
        errors = RANDOM.permutation(np.arange(1.0, n + 1))[:, None]
        assert interval(errors)[:, 0].tolist() == [low, high]
        assert interval(errors, 0.999)[:, 0].tolist() == [1, n]
    np.testing.assert_allclose(interval(np.arange(1.0, 30)[:, None])[:, 0], [1.5, 28.5])


def test_too_few_errors_have_no_interval() -> None:
    assert np.isnan(interval(np.ones((18, 1)))).all()
    assert interval(np.ones((19, 1)))[:, 0].tolist() == [1.0, 1.0]
    assert np.isnan(interval(np.empty((0, 3)))).all()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("draw", [RANDOM.normal, RANDOM.exponential, RANDOM.standard_cauchy], ids=["n", "e", "c"])
def test_it_covers_what_it_says_whatever_the_errors_are(level: float, draw: object) -> None:
    errors: Floats = draw(size=(120, 4000))  # type: ignore[operator]
    low, high = interval(errors[:-1], level)
    inside = (errors[-1] >= low) & (errors[-1] <= high)
    assert inside.mean() == pytest.approx(level, abs=0.025)


# --- the tournament ---------------------------------------------------------------------------------------------------


def homes(meters: int = 7, days: int = 70) -> Fleet:
    return Fleet(RANDOM.gamma(4.0, 0.25, (meters, days, 24)), FIRST)


def test_every_rule_is_tried_on_every_day_as_if_it_had_an_event() -> None:
    fleet = homes()
    tried = trial(
        fleet, [CAISO_10_IN_10, DAY_BEFORE, AEMO_OTHER, CONTROL_GROUP, WEATHER], [event(d) for d in fleet.days]
    )
    np.testing.assert_array_equal(tried.actual_kw, fleet.kw[:, :, 17:19].transpose(1, 0, 2))
    np.testing.assert_array_equal(tried.baseline_kw["day-before"][1:], tried.actual_kw[:-1])
    assert np.isnan(tried.baseline_kw["weather"]).all()
    assert not np.isnan(tried.baseline_kw["control-group"][40:]).any()
    found = scores(tried)
    assert {(one.rule, one.kind) for one in found} == {
        *((name, kind) for name in ("caiso-10-in-10", "day-before", "control-group") for kind in ("business", "other")),
        ("aemo-non-business", "other"),
    }
    assert len({one.days for one in found if one.kind == "other"}) == 1
    naive, caiso = (next(one for one in found if one.rule == name) for name in ("day-before", "caiso-10-in-10"))
    assert caiso.home_rrmse < naive.home_rrmse  # of noise, a mean of ten says more than one
    assert caiso.refused > naive.refused > 0


def test_a_control_is_never_the_meter_itself() -> None:
    fleet = homes(6, 40)
    spiked = fleet.kw.copy()
    spiked[0, -1, 17:19] = 99.0
    tried = trial(Fleet(spiked, FIRST), [CONTROL_GROUP], [event(fleet.days[-1])])
    assert tried.baseline_kw["control-group"][0, 0].max() < 20
    assert tried.baseline_kw["control-group"][0, 1:].max() > 10


def test_the_proposed_rule_is_the_best_of_those_without_bias() -> None:
    fleet = homes()
    found = scores(trial(fleet, [CAISO_10_IN_10, DAY_BEFORE], [event(day) for day in fleet.days]))
    best = winner(found, "business", most_bias=1.0)
    assert best is not None
    assert best.rule == "caiso-10-in-10"
    assert winner(found, "business", most_bias=0.0) is None


def test_trials_of_portions_are_one() -> None:
    one, other = homes(3, 40), homes(2, 40)
    first, second = (trial(f, [DAY_BEFORE], [event(day) for day in f.days]) for f in (one, other))
    both = first.joined(second)
    assert both.actual_kw.shape == (40, 5, 2)
    assert isinstance(both, Trial)
    assert both.history("day-before").error_kw.shape == (40, 5, 2)
    (whole, *_), (a, *_), (b, *_) = scores(both), scores(first), scores(second)
    assert whole.days == a.days + b.days


def test_days_of_calls_are_not_tried() -> None:
    fleet = homes(12, 40)
    called = np.zeros((12, 40), bool)
    called[3, 30] = True
    tried = trial(replace(fleet, called=called), [DAY_BEFORE], [event(day) for day in fleet.days])
    assert np.argwhere(np.isnan(tried.actual_kw).any(axis=2)).tolist() == [[30, 3]]
    assert tried.drawing.sum(axis=1).tolist() == [1] * 40


def test_the_rule_for_those_that_are_called_goes_before_the_rule_for_all() -> None:
    one = Score("a", "business", 9, 0.0, 0.5, 0.1, 0.0, 0.5, 0.0, 0.9, 1.0, called_rrmse=0.3, called_bias=-0.2)
    other = msgspec.structs.replace(one, rule="b", fleet_rrmse=0.2, called_bias=0.04)
    assert winner([one, other], "business") == other
    assert winner([one, msgspec.structs.replace(other, called_bias=0.2)], "business") == one
