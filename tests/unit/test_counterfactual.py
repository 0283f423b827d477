"""What loads would have drawn: learnt from their like, whatever is missing, and never from those that were held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tieline.dispatch.counterfactual import FURTHEST_MIN, WILDEST, Floats, learnt, running

MINUTES = 180
powers = arrays.arrays(
    np.float64, st.tuples(st.integers(0, 6), st.integers(0, 40)), elements=st.floats(0, 20) | st.just(np.nan)
)


def cycling(on: int, off: int, loads: int, kw: float = 3.0) -> Floats:
    """Loads that run for `on` minutes and rest for `off`, each at another place in its cycle."""
    minutes = np.arange(MINUTES)[None, :] + np.linspace(0, on + off, loads, endpoint=False).astype(int)[:, None]
    return np.where(minutes % (on + off) < on, kw, 0.0)


@given(powers)
def test_whatever_is_known_shares_are_within_reason(minute_kw: Floats) -> None:
    kinds = ["ev", "hvac"] * len(minute_kw)
    known = learnt(minute_kw, kinds[: len(minute_kw)])
    now = running(minute_kw)
    share = known.share(kinds[: len(minute_kw)], now.minutes, np.full(len(minute_kw), 7.5))
    assert ((share >= 0) & (share <= WILDEST)).all()
    assert (now.kw >= 0).all()


def test_what_nothing_is_known_of_goes_on() -> None:
    known = learnt(np.zeros((0, 0)), [])
    assert known.share(["ev"], np.array([5]), np.array([30.0])).tolist() == [1.0]


def test_a_cycle_ends_as_those_before_it_did() -> None:
    """Loads that run for 20 minutes of 60: who has run for 15 stops soon; who has just begun does not."""
    known = learnt(cycling(20, 40, 200), ["hvac"] * 200)
    late, early = known.share(["hvac", "hvac"], np.array([15, 2]), np.array([10.0, 10.0]))
    assert late < 0.1
    assert early > 0.9
    assert known.share(["hvac"], np.array([2]), np.array([65.0]))[0] > 0.7  # its next cycle


def test_kinds_are_learnt_apart() -> None:
    both = np.concatenate([cycling(20, 40, 100), np.full((100, MINUTES), 7.2)])
    known = learnt(both, ["hvac"] * 100 + ["ev"] * 100)
    stops, goes_on = known.share(["hvac", "ev"], np.array([15, 15]), np.array([10.0, 10.0]))
    assert (stops < 0.1, goes_on > 0.95) == (True, True)


def test_held_loads_teach_nothing() -> None:
    """Half of them are held for the last hour, which is not known of them: not that they draw nothing."""
    minute_kw = np.full((100, MINUTES), 5.0)
    minute_kw[:50, -60:] = np.nan
    assert learnt(minute_kw, ["ev"] * 100).share(["ev"], np.array([30]), np.array([30.0]))[0] == pytest.approx(1.0)


def test_running_is_at_its_most_of_some_minutes_and_counts_them() -> None:
    minute_kw = np.array([[0.0, 1.5, 3.0, 3.0], [3.0, 3.0, 3.0, 0.0], [0.0, np.nan, 2.0, 1.0]])
    now = running(minute_kw)
    assert now.minutes.tolist() == [3, 0, 2]
    assert now.kw.tolist() == [3.0, 0.0, 2.0]


def test_beyond_the_furthest_minute_it_is_as_there() -> None:
    known = learnt(cycling(20, 40, 100), ["hvac"] * 100)
    there, beyond = known.share(["hvac", "hvac"], np.array([5, 5]), np.array([FURTHEST_MIN, FURTHEST_MIN * 10.0]))
    assert there == beyond
