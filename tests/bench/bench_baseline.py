"""Every baseline of 100,000 meters (60 days hourly, an event of two hours) against the sum of the same array.

Run: python -m tests.bench.bench_baseline [METERS]

The weather regression has one temperature for all, the control group 500 controls. Limit: all together in a second.
"""

import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial

import numpy as np

from tieline.base.series import Stamp
from tieline.settlement.baseline.engine import across
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.markets import RULES
from tieline.telemetry.integration import integrate_many

FIRST_DAY, DAYS = date(2026, 5, 17), 60
EVENT = Event(date(2026, 7, 15), start_s=17 * 3600, event_s=2 * 3600)
CONTROLS = 500
LIMIT_S = 1.0


def fleet(meters: int) -> Fleet:
    """Meters beside each other in memory, as they are quickest."""
    random = np.random.default_rng(0)
    kw: Floats = np.empty((DAYS, 24, meters))
    for day in kw:
        day[:] = random.gamma(2.0, 0.5, day.shape)
    return Fleet(
        kw.transpose(2, 0, 1),
        FIRST_DAY,
        contract_kw=np.full(meters, 5.0),
        temperature_c=random.normal(20, 8, (DAYS, 24)),
        controls=Fleet(random.gamma(2.0, 0.5, (CONTROLS, DAYS, 24)), FIRST_DAY),
    )


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
    given = fleet(meters)
    reading = best(given.kw.sum)
    print(f"sum of {given.kw.nbytes / 1e9:.2f} GB          {reading * 1e3:8.1f} ms")
    for name, rule in RULES.items():
        took = best(partial(across, given, [rule], EVENT), 3)
        print(f"{name:22}  {took * 1e3:8.1f} ms   {took / reading:6.2f} times the sum")
    started = time.process_time()
    together = best(lambda: across(given, RULES.values(), EVENT))
    busy = (time.process_time() - started) / 5
    held = "within" if together <= LIMIT_S * meters / 100_000 else "OVER"
    print(f"all {len(RULES)}, {meters:,} meters  {together * 1e3:8.1f} ms   {together / reading:6.2f} times the sum")
    print(f"{held} the limit of {LIMIT_S:g} s for 100,000; {busy:.2f} s of a processor")
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
