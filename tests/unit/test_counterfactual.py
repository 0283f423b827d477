"""What loads would have drawn: learnt from their like, whatever is missing, and never from those that were held."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tieline.dispatch.counterfactual import FURTHEST_MIN, WILDEST, Called, Counterfactual, learnt, running
from tieline.dispatch.habits import Floats, Habits, lived

NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)
MINUTES = 180
powers = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(0, 40)), elements=st.floats(0, 20) | st.just(np.nan)
)


def cycling(on: int, off: int, loads: int, kw: float = 3.0) -> Floats:
    """Loads that run for `on` minutes and rest for `off`, each at another place in its cycle."""
    minutes = np.arange(MINUTES)[None, :] + np.linspace(0, on + off, loads, endpoint=False).astype(int)[:, None]
    return np.where(minutes % (on + off) < on, kw, 0.0)


def known(minute_kw: Floats, kinds: str | list[str] = "hvac") -> Counterfactual:
    names = [kinds] * len(minute_kw) if isinstance(kinds, str) else kinds
    return learnt(minute_kw, names, Habits.none(len(minute_kw)), NOW)


def called(minute_kw: Floats, loads: list[int], ago_min: int = 0) -> Called:
    """As they were so many minutes ago."""
    then = running(minute_kw[:, : minute_kw.shape[1] - ago_min])
    return Called(np.array(loads), then.kw[loads], then.minutes[loads], np.full(len(loads), float(ago_min)))


def running_for(minute_kw: Floats, minutes: int) -> list[int]:
    return np.flatnonzero(running(minute_kw).minutes == minutes).tolist()


@given(powers, st.integers(0, 60), st.floats(0, 300))
def test_whatever_is_known_it_is_within_reason(minute_kw: Floats, ago_min: int, later_min: float) -> None:
    found = known(minute_kw, [("ev", "hvac")[n % 2] for n in range(len(minute_kw))])
    assert ((found.still(later_min) >= 0) & (found.still(later_min) <= 1 + 1e-9)).all()
    loads = list(range(len(minute_kw)))
    some = called(minute_kw, loads, min(ago_min, minute_kw.shape[1]))
    would = found.would_kw(some, NOW + timedelta(minutes=later_min))
    assert ((would >= 0) & (would <= WILDEST * some.kw + 1e-9)).all()


def test_what_nothing_is_known_of_goes_on() -> None:
    one = Called(np.array([0, -1]), np.array([3.0, 5.0]), np.array([5, 5]), np.array([10.0, 10.0]))
    assert Counterfactual.unknown(1, NOW).would_kw(one, NOW).tolist() == [3.0, 5.0]
    assert Counterfactual.unknown(2, NOW).still(30.0).tolist() == [1.0, 1.0]
    stranger = Called(np.array([-1]), np.array([5.0]), np.array([5]), np.array([10.0]))
    assert known(cycling(20, 40, 50)).would_kw(stranger, NOW).tolist() == [5.0]


def test_a_cycle_ends_as_those_before_it_did() -> None:
    """Loads that run for 20 minutes of 60: who has run for 15 stops soon; who has just begun does not."""
    minute_kw = cycling(20, 40, 240)
    found = known(minute_kw)
    late, early = running_for(minute_kw, 15)[0], running_for(minute_kw, 2)[0]
    assert found.still(10.0)[late] < 0.1
    assert found.still(10.0)[early] > 0.9
    assert found.still(65.0)[early] > 0.7  # its next cycle


def test_each_ends_in_its_own_time() -> None:
    """Of one kind, some run for 20 minutes at a time and some for 50: after 15 minutes it matters whose they are."""
    minute_kw = np.concatenate([cycling(20, 40, 240), cycling(50, 40, 240)])
    found = known(minute_kw)
    short, long = (one for one in (running_for(minute_kw[:240], 15)[0], 240 + running_for(minute_kw[240:], 15)[0]))
    assert found.still(10.0)[short] < 0.2
    assert found.still(10.0)[long] > 0.8


def test_kinds_are_learnt_apart() -> None:
    cars = np.full((100, MINUTES), 7.2)
    found = known(np.concatenate([cycling(20, 40, 240), cars]), ["hvac"] * 240 + ["ev"] * 100)
    stops = running_for(cycling(20, 40, 240), 15)[0]
    assert found.still(10.0)[stops] < 0.1
    assert found.still(10.0)[300] > 0.95


def test_held_loads_teach_nothing_and_are_held_to_what_others_do() -> None:
    """Half of them are held for the last hour, which is not known of them: not that they draw nothing."""
    minute_kw = np.full((100, MINUTES), 5.0)
    some = called(minute_kw, list(range(50)), 60)
    minute_kw[:50, -60:] = np.nan
    would = known(minute_kw, "ev").would_kw(some, NOW)
    assert would == pytest.approx(np.full(50, 5.0), rel=0.01)


def test_those_left_after_a_call_are_not_taken_for_all() -> None:
    """Most of what runs is called; of those that ran before, the others have ended. Yet what was called would go on."""
    draw = np.random.default_rng(3)
    begins, lasts = draw.integers(0, MINUTES, 1500), draw.integers(20, 160, 1500)
    minutes = np.arange(MINUTES)[None, :] - begins[:, None]
    minute_kw = np.where((minutes >= 0) & (minutes < lasts[:, None]), 7.2, 0.0)
    runs = np.flatnonzero(minute_kw[:, -41] > 0)
    most = runs[: len(runs) * 8 // 10].tolist()
    truth, some = minute_kw[most, -1].sum(), called(minute_kw, most, 40)
    minute_kw[most, -40:] = np.nan
    assert known(minute_kw, "ev").would_kw(some, NOW).sum() == pytest.approx(truth, rel=0.12)


def test_levels_go_where_those_of_the_others_went() -> None:
    """Tanks that draw by the hour what is used of them, half or twice what it usually is, by chance: who drew twice as
    much is not likely to do so in the next hour."""
    draw = np.random.default_rng(3)
    usual = draw.uniform(0.5, 1.5, 600)
    minute_kw = np.repeat(usual[:, None] * draw.choice([0.5, 2.0], (600, 3)), 60, axis=1)
    most = np.argsort(-minute_kw[:, 60] / usual)[:150].tolist()
    truth, some = minute_kw[most, -1].sum(), called(minute_kw, most, 70)
    minute_kw[most, -70:] = np.nan
    habits, _ = lived(Habits.none(600), np.repeat(usual[:, None], 1440, axis=1))
    would = learnt(minute_kw, ["water_heater"] * 600, habits, NOW).would_kw(some, NOW).sum()
    assert would == pytest.approx(truth, rel=0.1)
    assert some.kw.sum() > 1.4 * truth


def test_one_that_ends_within_the_minute_does_not_lower_the_level_of_all() -> None:
    """Few of a kind are left, and one of these drew for a third of its last minute."""
    minute_kw = np.full((50, MINUTES), 7.2)
    some = called(minute_kw, list(range(45)), 30)
    minute_kw[:45, -30:] = np.nan
    before = known(minute_kw, "ev").would_kw(some, NOW).sum()
    minute_kw[49, -1] = 2.4
    assert known(minute_kw, "ev").would_kw(some, NOW).sum() == pytest.approx(before, rel=0.001)


def test_of_a_minute_in_which_it_ends_it_draws_a_part() -> None:
    """Cycles of 10 minutes and a half in 30: what is held is counted for the energy, not for minutes begun."""
    drawn = np.concatenate([np.full(10, 3.0), [1.5], np.zeros(19)])
    minute_kw = np.array([np.resize(np.roll(drawn, turn), MINUTES) for turn in range(30)] * 10)
    runs = np.flatnonzero(minute_kw[:, -31] == 3.0).tolist()
    truth, some = minute_kw[runs, -1].sum(), called(minute_kw, runs, 30)
    minute_kw[runs, -30:] = np.nan
    assert known(minute_kw, "hvac").would_kw(some, NOW).sum() == pytest.approx(truth, rel=0.04)


def test_running_is_at_its_most_of_some_minutes_and_counts_them() -> None:
    minute_kw = np.array([[0.0, 1.5, 3.0, 3.0], [3.0, 3.0, 3.0, 0.0], [0.0, np.nan, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    now = running(minute_kw)
    assert now.minutes.tolist() == [3, 0, 2, 4]
    assert now.kw.tolist() == [3.0, 0.0, 2.0, 1.0]


def test_beyond_the_furthest_minute_it_is_as_there() -> None:
    found = known(cycling(20, 40, 120))
    assert np.array_equal(found.still(FURTHEST_MIN), found.still(FURTHEST_MIN * 10.0))
