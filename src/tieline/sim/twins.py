"""The fleet and its twin that hears no commands, led through the same time: what happens, and what would have. Pure.

at ──┬── beat ──┬── beat ──┬── change ─┬── report        a step ends at whatever comes first; when late, beats
     └─────────────────────────────────┘ mean            are skipped and the steps are longer: no energy is lost
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from tieline.base.time import EPOCH
from tieline.sim.homes import Flags, Fleet, Held
from tieline.sim.routine import Array

BEAT_S = 10


class Report(NamedTuple):
    """Mean powers since the report before: of each home (homes,), of all, and of all had there been no commands."""

    at: datetime
    seconds: float
    meter_kw: Array
    power_kw: float
    without_events_kw: float


class Snapshot(NamedTuple):
    """The loads (homes, loads): mean power since the snapshot before, and what was withheld of it; what could be shed
    now, and for how long; what was held down."""

    at: datetime
    power_kw: Array
    withheld_kw: Array
    sheddable_kw: Array
    hold_s: Array
    shed: Flags


class Mean:
    """The mean over time of what was added since it was last taken."""

    def __init__(self) -> None:
        self._sum: Array | None = None
        self._seconds = 0.0

    def add(self, value: Array, seconds: float) -> None:
        self._sum = value * seconds if self._sum is None else self._sum + value * seconds
        self._seconds += seconds

    def take(self) -> tuple[Array, float]:
        """The mean, and over how many seconds it is."""
        assert self._sum is not None, "nothing was added"
        mean, seconds = self._sum / self._seconds, self._seconds
        self._sum, self._seconds = None, 0.0
        return mean, seconds


class Twins:
    """Leads both fleets on; reports fall on multiples of `report_every` seconds, snapshots of `loads_every`.

    `held` tells what the homes are held to at an instant, None when nothing is; `change` the next instant at which that
    will change by itself.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        report_every: int,
        loads_every: int,
        held: Callable[[datetime], Held | None],
        change: Callable[[datetime], datetime | None],
    ) -> None:
        self.fleet, self.twin = fleet, fleet.twin()
        self._report_every, self._loads_every = report_every, loads_every
        self._held, self._change = held, change
        self._meter, self._without = Mean(), Mean()
        self._loads, self._withheld = Mean(), Mean()
        self._shed: Flags = np.zeros(fleet.stock.rated_kw.T.shape, dtype=bool)

    def advance(self, now: datetime) -> Iterator[Report | Snapshot]:
        """Step as far as `now` allows, giving what falls due on the way."""
        while (until := self._next(now)) <= now:
            seconds = (until - self.fleet.at).total_seconds()
            step = self.fleet.step(until, self._held(self.fleet.at))
            self._without.add(self.twin.step(until).meter_kw, seconds)
            self._meter.add(step.meter_kw, seconds)
            self._loads.add(step.power_kw, seconds)
            self._withheld.add(step.withheld_kw, seconds)
            self._shed |= step.shed
            if after(until, self._report_every, 0) == until:
                meter, lasted = self._meter.take()
                without, _ = self._without.take()
                yield Report(until, lasted, meter, float(meter.sum()), float(without.sum()))
            if after(until, self._loads_every, 0) == until:
                power, withheld = self._loads.take()[0], self._withheld.take()[0]
                yield Snapshot(until, power, withheld, step.sheddable_kw, step.hold_s, self._shed)
                self._shed = np.zeros_like(self._shed)

    def _next(self, now: datetime) -> datetime:
        at = self.fleet.at
        due = min(after(at, self._report_every), after(at, self._loads_every))
        if change := self._change(at):
            due = min(due, change)
        return due if due <= now else min(due, after(at, BEAT_S))


def after(at: datetime, every: int, least: int = 1) -> datetime:
    """The first multiple of `every` seconds (since 1970) after `at`; with `least` 0, at or after it."""
    length = timedelta(seconds=every)
    whole, rest = divmod(at - EPOCH, length)
    return EPOCH + (whole + (1 if rest or least else 0)) * length
