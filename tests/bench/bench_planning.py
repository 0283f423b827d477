"""Plans for 100,000 and 1,000,000 loads against the sort of as many numbers; the solver; who may be called, and why.

Run: python -m tests.bench.bench_planning [LOADS]

Loads are of all sizes, were called differently often, and are offered in no order; the target is a third of what they
could give. Limits: 100,000 loads in half a second, a million in two, and no plan dearer than the best by 0.01 %.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np

from tests.loads import LoadNow, columns
from tieline.dispatch.planning import (
    Candidates,
    Circumstances,
    costs,
    explained,
    judged,
    plan,
    staggered,
    unfairness,
)
from tieline.dispatch.planning.exact import decided
from tieline.registry.model import Kind

LIMITS_S = {100_000: 0.5, 1_000_000: 2.0}
GAP = 1e-4
NOW = datetime(2026, 7, 15, 17, tzinfo=UTC)


def fleet(loads: int) -> Candidates:
    dice = np.random.default_rng(0)
    kw = dice.gamma(2.0, 1.2, loads)
    places = dice.permutation(loads)
    ids = [f"home-{i:07}" for i in places]
    return Candidates(ids, ["hvac"] * loads, kw, costs(kw, unfairness(dice.poisson(3.0, loads).astype(np.float64))))


def best(work: Callable[[], object], times: int = 5) -> float:
    """The best of several runs, in seconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def planning(loads: int) -> bool:
    """Whether it held its limits."""
    offer = fleet(loads)
    target_kw = float(offer.kw.sum()) / 3
    sorting = best(partial(np.argsort, offer.cost / offer.kw))
    took, found = best(partial(plan, target_kw, offer)), plan(target_kw, offer)
    held = found.gap <= GAP and took <= LIMITS_S.get(loads, 2e-6 * loads)
    print(
        f"plan of {loads:9,} loads  {took * 1e3:8.1f} ms   {took / sorting:5.1f} times the sort of as many numbers;"
        f" {len(found.chosen):,} called, gap {found.gap:.1e}, {found.kw - target_kw:.4f} kW more than"
        f" {target_kw:,.0f}: {'within' if held else 'OVER'} the limits"
    )
    return held


def solving(loads: int = 1000) -> None:
    """All of them by the solver, where the plan by rank would do."""
    offer = fleet(loads)
    target_kw = float(offer.kw.sum()) / 3
    by_rank = best(partial(plan, target_kw, offer))
    took = best(partial(decided, target_kw, offer.kw, offer.cost, 60.0), 3)
    found = decided(target_kw, offer.kw, offer.cost, 60.0)
    cost = float(offer.cost[found.chosen].sum())
    print(f"solver,   {loads:7,} loads  {took * 1e3:8.1f} ms   {took / by_rank:5.1f} times the plan by rank;", end=" ")
    print(f"proven to {cost / found.bound - 1:.1e}; by rank {plan(target_kw, offer).cost / cost - 1:+.1e} dearer")


def judging(loads: int = 100_000) -> None:
    offer = fleet(loads)
    rows = [
        LoadNow(ven_id, "hvac", Kind.HVAC, True, kw, kw, NOW, 3600.0, None, 12.0)
        for ven_id, kw in zip(offer.ven_ids, offer.kw.tolist(), strict=True)
    ]
    held = {(ven_id, "hvac") for ven_id in offer.ven_ids[::10]}
    known = Circumstances(NOW, 300, 900, granted=set(offer.ven_ids[::2]), held=held)
    now = columns(rows)
    took = best(partial(judged, now, known))
    print(f"who may be called     {took * 1e3:8.1f} ms   of {loads:,}")
    codes, found = judged(now, known), plan(1000.0, offer)
    print(f"why, row by row       {best(partial(explained, found, offer, codes)) * 1e3:8.1f} ms   of {loads:,}")
    kw = offer.kw
    returning = partial(staggered, kw, 2 * kw, rebound_s=1200, cap_kw=1.2 * float(kw.sum()), step_s=60, longest_s=7200)
    print(f"a staggered return    {best(returning) * 1e3:8.1f} ms   of {loads:,}")


def main() -> int:
    sizes = [int(sys.argv[1])] if len(sys.argv) > 1 else list(LIMITS_S)
    held = [planning(loads) for loads in sizes]
    solving()
    judging()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
