"""The return of a fleet: under the cap where that is possible, everyone, in order, in time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.dispatch.planning import staggered
from tieline.dispatch.planning.arrays import Floats

STEP_S = 60.0
loads = st.lists(st.tuples(st.floats(0.1, 8), st.floats(1, 3)), min_size=1, max_size=60)
rebounds = st.integers(0, 30).map(lambda steps: steps * STEP_S)
longest = st.integers(0, 120).map(lambda steps: steps * STEP_S)


def columns(given: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    kw = np.array([kw for kw, _ in given])
    return kw, kw * np.array([times for _, times in given])


def peak_kw(offsets: Floats, kw: Floats, rebound_kw: Floats, rebound_s: float) -> float:
    """The most that those that are back draw together, at any step."""
    instants = np.unique(np.concatenate([offsets, offsets + rebound_s]))
    since_s = instants[:, None] - offsets
    draws = np.where(since_s < 0, 0.0, np.where(since_s < rebound_s, rebound_kw, kw))
    return float(draws.sum(axis=1).max())


@given(loads, rebounds, longest, st.floats(0, 400))
def test_everyone_returns_in_time_and_in_order(
    given: list[tuple[float, float]], rebound_s: float, longest_s: float, cap_kw: float
) -> None:
    kw, rebound_kw = columns(given)
    offsets = staggered(kw, rebound_kw, rebound_s=rebound_s, cap_kw=cap_kw, step_s=STEP_S, longest_s=longest_s)
    assert offsets.shape == kw.shape
    assert ((offsets >= 0) & (offsets <= longest_s)).all()
    assert (offsets % STEP_S == 0).all()
    assert (np.diff(offsets) >= 0).all()


@given(loads, rebounds, st.floats(0, 1))
def test_the_cap_holds_where_all_can_return_under_it(
    given: list[tuple[float, float]], rebound_s: float, share: float
) -> None:
    """Above what all draw in the end and the largest rebound together, there is always room for the next."""
    kw, rebound_kw = columns(given)
    least_kw = kw.sum() + rebound_kw.max()
    cap_kw = least_kw + share * max(0.0, rebound_kw.sum() - least_kw)
    longest_s = len(kw) * (rebound_s + STEP_S)
    offsets = staggered(kw, rebound_kw, rebound_s=rebound_s, cap_kw=cap_kw, step_s=STEP_S, longest_s=longest_s)
    assert peak_kw(offsets, kw, rebound_kw, rebound_s) <= cap_kw * (1 + 1e-9)


@given(loads, rebounds, longest)
def test_without_room_the_peak_is_no_higher_than_it_must_be(
    given: list[tuple[float, float]], rebound_s: float, longest_s: float
) -> None:
    kw, rebound_kw = columns(given)

    def peak(cap_kw: float) -> float:
        offsets = staggered(kw, rebound_kw, rebound_s=rebound_s, cap_kw=cap_kw, step_s=STEP_S, longest_s=longest_s)
        return peak_kw(offsets, kw, rebound_kw, rebound_s)

    assert peak(0.0) <= rebound_kw.sum() * (1 + 1e-9), "never worse than all at once"
    assert peak(0.0) <= peak(rebound_kw.sum()) * (1 + 1e-5)


def test_with_room_for_all_they_return_at_once() -> None:
    kw = np.full(5, 2.0)
    assert staggered(kw, 2 * kw, rebound_s=600, cap_kw=20, step_s=60, longest_s=3600).tolist() == [0] * 5


def test_each_makes_room_for_the_next() -> None:
    kw = np.full(4, 2.0)
    back = staggered(kw, 2 * kw, rebound_s=600, cap_kw=10, step_s=60, longest_s=3600)
    assert back.tolist() == [0, 0, 600, 1200]


def test_a_thousand_homes_return_under_110_per_cent() -> None:
    """1,000 air conditioners of 1.5 kW on average want twice that for 20 minutes; beside them the homes draw 2 MW."""
    kw = np.random.default_rng(3).gamma(4.0, 0.375, 1000)
    baseline_kw = 2000 + kw.sum()
    cap_kw = 1.1 * baseline_kw - 2000
    offsets = staggered(kw, 2 * kw, rebound_s=1200, cap_kw=cap_kw, step_s=60, longest_s=7200)
    assert 2000 + peak_kw(offsets, kw, 2 * kw, 1200) <= 1.1 * baseline_kw * (1 + 1e-9)
    assert 2000 + peak_kw(np.zeros(1000), kw, 2 * kw, 1200) > 1.4 * baseline_kw


def test_nobody_returns() -> None:
    assert len(staggered(np.zeros(0), np.zeros(0), rebound_s=60, cap_kw=1, step_s=60, longest_s=600)) == 0
