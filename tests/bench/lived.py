"""What simulated homes draw over many days, with events and without, as arrays straight from the home model: no broker,
no platform, no clock. The truth that baselines are held against.

    never called  ──day──day──day──day──▶          the truth: the same homes on the same days
                          └─ called: the loads that run are held down from the event's start to its end ─▶ midnight

After midnight a called home is again as if it had not been called: the rebound ends with its day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.baseline.fleet import DAY_S, Event, Fleet
from tieline.sim import homes as sim
from tieline.sim.stock import SHEDDABLE

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

FIRST_DAY = date(2026, 5, 4)
STEP_S = 900
SHARE = 0.35
"""Of what the fleet could give up: so much is asked for, as in the demo."""


@dataclass(frozen=True)
class Lived:
    """`fleet` is what the meters say, with its days of calls; `truth_kw` [meters, days, steps] is what they would have
    said without any; `called` is [events, meters]."""

    fleet: Fleet
    truth_kw: Floats
    events: Sequence[Event]
    called: Mask


def lived(homes: int, days: int, events: Sequence[Event], seed: int, substep_s: float = 150.0) -> Lived:
    """Those homes over those days. Of each event those are called whose loads give up most, until a share is met."""
    midnight = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    fleet = sim.warmed_up(homes, seed, midnight, zone="UTC", latitude=36.7, longitude=-119.8)
    by_day = {(event.day - FIRST_DAY).days: n for n, event in enumerate(events)}
    truth = np.empty((days, DAY_S // STEP_S, homes))
    metered, called = truth.copy(), np.zeros((len(events), homes), bool)
    days_called = np.zeros((homes, days), bool)
    for day in range(days):
        if day in by_day:
            event = events[by_day[day]]
            start = event.start_s // STEP_S
            _live(fleet, truth[day, : start - 1], substep_s)
            gives_kw = _live(fleet, truth[day, start - 1 : start], substep_s)
            held, called[by_day[day]] = _held(gives_kw)
            days_called[:, day] = called[by_day[day]]
            metered[day] = truth[day]
            fork, end = fleet.twin(), start + event.event_s // STEP_S
            _live(fork, metered[day, start:end], substep_s, held)
            _live(fork, metered[day, end:], substep_s)
            _live(fleet, truth[day, start:], substep_s)
        else:
            _live(fleet, truth[day], substep_s)
            metered[day] = truth[day]
    meters = Fleet(metered.transpose(2, 0, 1), FIRST_DAY, called=days_called)
    return Lived(meters, truth.transpose(2, 0, 1), events, called)


def _live(fleet: sim.Fleet, kw: Floats, substep_s: float, held: sim.Held | None = None) -> Floats:
    """Leads homes through so many steps, writes down what they draw, and tells what they could then give up."""
    gives = np.zeros(fleet.stock.rated_kw.T.shape)
    for step in kw:
        lasted = fleet.step(fleet.at + timedelta(seconds=STEP_S), held, substep_s=substep_s)
        step[:], gives = lasted.meter_kw, lasted.sheddable_kw
    return gives


def _held(sheddable_kw: Floats) -> tuple[sim.Held, Mask]:
    """The homes that give up most, until together they give the share; their sheddable loads are held at nothing."""
    gives = sheddable_kw.sum(axis=1)
    most = np.argsort(-gives)
    enough = int(np.searchsorted(np.cumsum(gives[most]), SHARE * gives.sum())) + 1
    called = np.zeros(len(gives), bool)
    called[most[:enough]] = gives[most[:enough]] > 0
    loads = np.full(sheddable_kw.shape, np.inf)
    for row in SHEDDABLE:
        loads[called, row] = 0.0
    return sim.Held(loads, np.full(len(gives), np.inf)), called


def evenings(first_day: int, count: int, apart: int = 2) -> list[Event]:
    """So many events, every other day, at the hours at which utilities call them, for half an hour to three."""
    hours = ((15.0, 2.0), (17.0, 2.0), (16.5, 0.5), (18.0, 3.0), (19.0, 1.0))
    return [
        Event(FIRST_DAY + timedelta(days=first_day + n * apart), round(start * 3600), round(length * 3600))
        for n, (start, length) in ((n, hours[n % len(hours)]) for n in range(count))
    ]
