"""Forecasts of one group and of fifty: trying, learning, predicting, in the process that the platform starts for it.

Run: python -m tests.bench.bench_forecasts [GROUPS]

56 days of quarter hours each. Beside it: how long that process takes to start, and the sums of 100,000 device-steps.
Limit: fifty groups of both horizons in 120 s of a processor, an hour's work in a thirtieth of an hour.
"""

import asyncio
import resource
import sys
import time

import numpy as np

from tieline.base.series import Flag
from tieline.forecasts.apart import apart
from tieline.forecasts.forecasting import Task, forecast
from tieline.forecasts.model import INTRADAY_STEPS, Floats, Horizon, Measure, Subject
from tieline.forecasts.sums import Devices, Readings, summed, together

DAYS, SLOTS = 58, 96
ORIGIN = (DAYS - 2) * SLOTS + 36
LIMIT_S = 120.0


def load(seed: int) -> Floats:
    random = np.random.default_rng(seed)
    day, hour = np.arange(DAYS)[:, None], np.arange(SLOTS)[None, :] / 4
    weather = random.normal(size=(DAYS, 1))
    peak = np.exp(-(((hour - 18) / 3) ** 2)) * np.where(day % 7 < 5, 2.0, 1.0)
    return np.asarray(1 + peak * (1 + 0.3 * weather) + 0.4 * random.normal(size=(DAYS, SLOTS)))


def task(seed: int, horizon: Horizon) -> Task:
    tomorrow = np.arange((DAYS - 1) * SLOTS, DAYS * SLOTS)
    soon = np.arange(ORIGIN, ORIGIN + INTRADAY_STEPS)
    return Task(load(seed), 0, ORIGIN, tomorrow if horizon is Horizon.DAY_AHEAD else soon, horizon, signed=True)


async def apart_for(groups: int) -> None:
    """Each horizon's round, as the forecaster makes it."""
    for horizon in Horizon:
        began = time.perf_counter()
        async with apart() as compute:
            await compute(task(0, horizon))
            first = time.perf_counter() - began
            for seed in range(1, groups):
                await compute(task(seed, horizon))
        took = time.perf_counter() - began
        print(
            f"{horizon:10} the first group, with its process {first:6.2f} s; {groups} groups {took:7.2f} s of the wall"
        )


def alone() -> float:
    """The seconds of a processor that a group takes at both horizons."""
    forecast(task(0, Horizon.INTRADAY))  # what is imported is imported
    both = 0.0
    for horizon in Horizon:
        began = time.process_time()
        for seed in range(5):
            forecast(task(seed, horizon))
        took = (time.process_time() - began) / 5
        print(f"{horizon:10} a group takes {took:6.3f} s of a processor")
        both += took
    return both


def sums(devices: int = 1000, steps: int = 96) -> None:
    """A day of quarter hours of meters that send each minute."""
    members = {Subject("fleet", Measure.LOAD): [f"home-{n}.power_kw" for n in range(devices)]}
    each = steps * 15
    at = np.tile(np.arange(1, each + 1) * 60_000_000, devices)
    kw = np.random.default_rng(0).gamma(2, 0.5, devices * each)
    told = Readings(np.repeat(np.arange(devices), each), at, kw, np.full(len(kw), int(Flag.GOOD)))
    began = time.process_time()
    summed(together(Devices.of(members)), told, 1, np.arange(steps + 1) * 900_000_000)
    took = time.process_time() - began
    print(f"sums of {len(kw):,} readings {took:6.3f} s, {len(kw) / took / 1e6:.1f} M/s")


def main() -> None:
    groups = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    sums()
    both = alone()
    asyncio.run(apart_for(groups))
    held = "within" if both * 50 <= LIMIT_S else "OVER"
    print(f"{held} the limit: 50 groups take {both * 50:.0f} of {LIMIT_S:g} s of a processor")
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB in the process that learns")


if __name__ == "__main__":
    main()
