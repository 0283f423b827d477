"""The 10-in-10 baseline of 100,000 meters (60 days hourly, an event of two hours) against the sum of the same array.

Run: python -m tests.bench.bench_baseline [METERS]
"""

import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

import numpy as np

from tieline.base.series import Stamp
from tieline.settlement.baseline import CAISO_10_IN_10, Baselines, DayMatch, Floats, candidates
from tieline.telemetry.integration import integrate_many

EVENT_DAY = date(2026, 7, 15)
DAYS, EVENT_HOUR, EVENT_HOURS = 60, 17, 2


def baselines(history_kw: Floats) -> Baselines:
    """`history_kw` is [days, meters, hours], the newest day first."""
    n = history_kw.shape[1]
    before = slice(EVENT_HOUR - 4, EVENT_HOUR - 1)
    during = slice(EVENT_HOUR, EVENT_HOUR + EVENT_HOURS)
    match = DayMatch(CAISO_10_IN_10, EVENT_DAY, n)
    nobody = np.zeros(n, bool)
    for day in candidates(CAISO_10_IN_10, EVENT_DAY):
        if not match.wanting.any():
            break
        kw = history_kw[(EVENT_DAY - day) // timedelta(days=1) - 1]
        match.offer(day, kw[:, before], kw[:, during], nobody)
    return match.result(history_kw[0][:, before], nobody)


def best(work: Callable[[], object], times: int = 5) -> float:
    """The best of several runs, in seconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    meters = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    history_kw = np.random.default_rng(0).gamma(2.0, 0.5, (DAYS, meters, 24))
    reading = best(history_kw.sum)
    matching = best(lambda: baselines(history_kw))
    print(f"sum of {history_kw.nbytes / 1e9:.2f} GB        {reading * 1e3:8.1f} ms")
    print(f"10-in-10, {meters:,} meters  {matching * 1e3:8.1f} ms   {matching / reading:.2f} times the sum")
    fortnight()


def fortnight(homes: int = 500, days: int = 14) -> None:
    """A fortnight of quarter hours onto steps of a quarter hour and of five minutes, beside the sum of its values."""
    at_us = np.tile(np.arange(1, days * 96 + 1) * 900_000_000, homes)
    series = np.repeat(np.arange(homes), days * 96)
    kw = np.random.default_rng(0).gamma(2.0, 0.5, len(at_us))
    summing = best(kw.sum)
    for step_s in (900, 300):
        edges_us = np.arange(0, days * 86400 + 1, step_s) * 1_000_000
        onto = partial(integrate_many, series, at_us, kw, homes, edges_us, stamp=Stamp.END, hold_s=900)
        took = best(onto)
        rate = len(kw) / took / 1e6
        print(
            f"{len(kw):,} readings onto {step_s:3} s  {took * 1e3:8.1f} ms   {rate:.0f} M/s, sum {summing * 1e3:.2f} ms"
        )


if __name__ == "__main__":
    main()
