"""Who was called least costs least: over many events calls even out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.dispatch.planning import Candidates, costs, plan, unfairness
from tieline.dispatch.planning.arrays import Floats


@given(st.lists(st.integers(0, 60), min_size=1, max_size=50), st.integers(0, 1000))
def test_who_was_called_least_is_dearer_by_nothing_and_only_differences_count(calls: list[int], more: int) -> None:
    counts = np.array(calls, np.float64)
    dearer = unfairness(counts)
    assert dearer.min() == 0
    assert (np.argsort(counts, kind="stable") == np.argsort(dearer, kind="stable")).all()
    assert np.allclose(unfairness(counts + more), dearer)


def test_nobody_is_unfair_to_nobody() -> None:
    assert len(unfairness(np.zeros(0))) == 0


def test_what_a_call_costs() -> None:
    assert costs(np.array([4.0, 4.0, 0.0]), np.array([0.0, 0.5, 0.0])).tolist() == [4.25, 6.25, 0.25]


def gini(values: Floats) -> float:
    """0 where all have the same, near 1 where one has everything."""
    ranked = np.sort(values)
    places = np.arange(1, len(ranked) + 1)
    return float(((2 * places - len(ranked) - 1) * ranked).sum() / (len(ranked) * ranked.sum()))


def called(homes: int, events: int, share: float, *, fair: bool) -> Floats:
    """How often each of a fleet is called over many events; what it could give varies from event to event."""
    dice = np.random.default_rng(11)
    usual_kw, calls = dice.uniform(0.8, 6.0, homes), np.zeros(homes)
    ids = [f"home-{i:04}" for i in range(homes)]
    for _ in range(events):
        kw = usual_kw * dice.uniform(0.5, 1.0, homes)
        uneven = unfairness(calls) if fair else np.zeros(homes)
        offer = Candidates(ids, ["hvac"] * homes, kw, costs(kw, uneven))
        found = plan(share * float(kw.sum()), offer, exact_below=0)
        calls[found.chosen] += 1
    return calls


def test_over_sixty_events_calls_even_out() -> None:
    fair, unfair = (called(200, 60, 0.3, fair=fair) for fair in (True, False))
    assert fair.sum() < 2 * unfair.sum(), "and it does not take twice the calls"
    assert gini(fair) < 0.1
    assert gini(unfair) > 0.5
    assert fair.min() >= 10
