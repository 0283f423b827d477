"""Whom to call for a target: what holds of every plan, and that none is cheaper."""

import itertools
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.units import Kilowatts
from tieline.dispatch.planning import LEAST_KW, Candidates, Headroom, Method, Plan, plan, release

ROOT = Path(__file__).parents[2]
NEAR = 1e-6
sizes = st.one_of(st.floats(0, 12), st.integers(0, 8).map(float), st.integers(0, 40).map(lambda tenths: tenths / 10))
loads = st.tuples(sizes, st.integers(0, 5).map(float))
targets = st.one_of(st.floats(0.1, 100), st.integers(1, 60).map(float))


def fleet(given: list[tuple[float, float]]) -> Candidates:
    """Each gives so much, and had so many calls."""
    rows = [Headroom(f"home-{i:04}", "ev", Kilowatts(kw)) for i, (kw, _) in enumerate(given)]
    return Candidates.of(rows, np.array([0.1 * calls for _, calls in given]))


def at(candidates: Candidates, order: list[int]) -> Candidates:
    """The same loads in another order, or only some of them."""
    return Candidates(
        [candidates.ven_ids[i] for i in order],
        [candidates.resource_ids[i] for i in order],
        candidates.kw[order],
        candidates.cost[order],
    )


def called(one: Plan, candidates: Candidates) -> set[str]:
    return {candidates.ven_ids[i] for i in one.chosen}


def cheapest(target_kw: float, candidates: Candidates) -> float:
    """The least cost at all, by trying everything."""
    worth = [i for i, kw in enumerate(candidates.kw) if kw >= LEAST_KW]
    every = itertools.chain.from_iterable(itertools.combinations(worth, n) for n in range(len(worth) + 1))
    reaching = (list(some) for some in every if candidates.kw[list(some)].sum() >= target_kw * (1 - 1e-9))
    return min(float(candidates.cost[some].sum()) for some in reaching)


@given(targets, st.lists(loads, max_size=80))
def test_the_target_is_reached_or_everything_is_called(target_kw: float, given: list[tuple[float, float]]) -> None:
    candidates = fleet(given)
    found = plan(target_kw, candidates)
    worth = np.flatnonzero(candidates.kw >= LEAST_KW)
    assert list(found.chosen) == sorted(set(found.chosen)), "ascending, each once"
    assert set(found.chosen) <= set(worth), "nothing too small"
    assert found.kw == pytest.approx(candidates.kw[found.chosen].sum())
    assert found.cost == pytest.approx(candidates.cost[found.chosen].sum())
    if found.method is Method.ALL:
        assert list(found.chosen) == list(worth)
        assert found.missing_kw == pytest.approx(target_kw - candidates.kw[worth].sum())
    else:
        assert found.kw >= target_kw * (1 - NEAR)
        assert found.missing_kw == 0


@given(targets, st.lists(loads, max_size=10))
def test_no_plan_is_cheaper_and_the_bound_is_one(target_kw: float, given: list[tuple[float, float]]) -> None:
    candidates = fleet(given)
    found = plan(target_kw, candidates)
    if found.method is not Method.ALL:
        best = cheapest(target_kw, candidates)
        assert found.bound <= best * (1 + NEAR)
        assert found.cost == pytest.approx(best, rel=NEAR)


@settings(max_examples=40, deadline=None)
@given(targets, st.lists(loads, min_size=33, max_size=120))
def test_the_bound_never_exceeds_the_cost_and_the_solver_proves_it(
    target_kw: float, given: list[tuple[float, float]]
) -> None:
    found = plan(target_kw, fleet(given), time_limit_s=20)
    assert found.bound <= found.cost
    assert found.gap <= 1e-4


@settings(max_examples=60, deadline=None)
@given(targets, st.lists(loads, max_size=60), st.randoms(use_true_random=False))
def test_the_order_of_the_offer_never_matters(
    target_kw: float, given: list[tuple[float, float]], dice: random.Random
) -> None:
    candidates = fleet(given)
    order = list(range(len(candidates)))
    dice.shuffle(order)
    shuffled = at(candidates, order)
    assert called(plan(target_kw, shuffled), shuffled) == called(plan(target_kw, candidates), candidates)


@settings(max_examples=60, deadline=None)
@given(targets, st.lists(loads, min_size=1, max_size=60), st.integers(0, 59))
def test_one_that_is_not_called_is_not_missed(target_kw: float, given: list[tuple[float, float]], which: int) -> None:
    """As good a plan is found without it; where only one plan is as good, the same."""
    candidates = fleet(given)
    found = plan(target_kw, candidates)
    uncalled = sorted(set(range(len(candidates))) - set(found.chosen.tolist()))
    if uncalled:
        gone = uncalled[which % len(uncalled)]
        others = at(candidates, [i for i in range(len(candidates)) if i != gone])
        again = plan(target_kw, others)
        assert again.cost == pytest.approx(found.cost, rel=2e-4)
        assert again.bound >= found.bound * (1 - 2e-4), "fewer loads never promise a cheaper plan"


def test_of_loads_that_are_alike_the_smallest_ids_are_called() -> None:
    alike = fleet([(2.0, 0.0)] * 50)
    backwards = at(alike, list(range(49, -1, -1)))
    found = plan(6.5, backwards)
    assert called(found, backwards) == {"home-0000", "home-0001", "home-0002", "home-0003"}


def test_another_process_makes_the_same_plan() -> None:
    """Of 300 loads of few sizes and as few costs; strings hash otherwise there."""
    told = (
        "from tests.unit.test_planning import thousands; from tieline.dispatch.planning import plan;"
        "print(plan(50.0, thousands(300, decimals=0), time_limit_s=20).chosen.tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {f"{plan(50.0, thousands(300, decimals=0), time_limit_s=20).chosen.tolist()}\n"}


def test_the_last_one_is_no_larger_than_it_must_be() -> None:
    candidates = fleet([(7.0, 0.0), (6.0, 0.0), (2.0, 0.0), (1.5, 0.0)])
    assert called(plan(8.0, candidates), candidates) == {"home-0001", "home-0002"}


def test_who_was_called_often_is_called_last() -> None:
    candidates = fleet([(2.0, 3.0), (2.0, 0.0), (2.0, 1.0)])
    assert called(plan(3.0, candidates), candidates) == {"home-0001", "home-0002"}


def test_fewer_commands_are_better() -> None:
    candidates = fleet([(1.0, 0.0)] * 8 + [(8.0, 0.0)])
    assert called(plan(8.0, candidates), candidates) == {"home-0008"}


def test_those_that_may_not_be_called_keep_their_place() -> None:
    candidates = fleet([(2.0, 0.0), (2.0, 0.0), (2.0, 0.0)])
    found = plan(2.0, candidates.only(np.array([False, False, True])))
    assert list(found.chosen) == [2]


def test_nothing_is_called_for_nothing() -> None:
    found = plan(0.0, fleet([(2.0, 0.0)]))
    assert (len(found.chosen), found.kw, found.cost, found.gap, found.missing_kw) == (0, 0, 0, 0, 0)


def test_nobody_is_there() -> None:
    found = plan(5.0, fleet([]))
    assert (found.method, found.missing_kw, found.gap) == (Method.ALL, 5.0, 0.0)


def thousands(count: int, *, decimals: int | None) -> Candidates:
    dice = np.random.default_rng(7)
    kw = dice.gamma(2.0, 1.2, count)
    return fleet(list(zip(kw if decimals is None else kw.round(decimals), dice.poisson(3, count), strict=True)))


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_a_large_fleet_is_near_the_best(share: float, decimals: int | None) -> None:
    candidates = thousands(20_000, decimals=decimals)
    target_kw = float(round(share * candidates.kw.sum()))
    found = plan(target_kw, candidates, exact_below=0)
    assert found.gap <= 1e-4
    assert target_kw * (1 - 1e-9) <= found.kw <= target_kw + 1


def test_without_time_the_plan_by_rank_stands() -> None:
    candidates = thousands(1000, decimals=None)
    target_kw = 0.02 * float(candidates.kw.sum())
    hurried = plan(target_kw, candidates, time_limit_s=0)
    assert hurried.method is Method.GREEDY
    assert hurried.kw >= target_kw * (1 - 1e-9)
    assert hurried.cost >= plan(target_kw, candidates, time_limit_s=20).cost


def test_columns_must_fit_together() -> None:
    good = fleet([(2.0, 0.0), (3.0, 0.0)])
    with pytest.raises(Refused, match="equal length"):
        replace(good, kw=np.zeros(3))
    with pytest.raises(Refused, match="finite"):
        replace(good, kw=np.array([1.0, np.nan]))
    with pytest.raises(Refused, match="above 0"):
        replace(good, cost=np.array([1.0, 0.0]))


@given(st.floats(-1, 40), st.lists(loads, max_size=40))
def test_a_release_never_goes_below_the_target(excess_kw: float, given: list[tuple[float, float]]) -> None:
    held = fleet(given)
    back = release(excess_kw, held)
    assert held.kw[back].sum() <= max(0.0, excess_kw) + NEAR


def test_the_dearest_are_released_first() -> None:
    held = fleet([(2.0, 0.0), (2.0, 9.0), (2.0, 4.0), (1.0, 9.0)])
    assert list(release(2.5, held)) == [1]
    assert list(release(3.0, held)) == [1, 3]
    assert list(release(0.5, held)) == []
    assert list(release(7.0, held)) == [0, 1, 2, 3]
