"""Gaming alarms on simulated homes: how many cheaters they name, and how many honest homes.

Run: python -m tests.bench.bench_gaming [HOMES] [SEED]

Every home is called for every event. One in twenty lifts its load before events, another one in twenty inflates the
days that count; the rest are honest. Once the events are at fixed times, once on the hottest days there are.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from tests.bench.cheaters import inflating, lifting
from tests.bench.lived import FIRST_DAY, Floats, evenings, lived
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.markets import CAISO_10_IN_10
from tieline.settlement.choosing.gaming import Trick, findings

DAYS, HISTORY, EVENTS = 86, 45, 20


@dataclass(frozen=True)
class Named:
    """How many were named by an alarm: cheaters of its kind, and others."""

    cheaters: int
    rightly: int
    wrongly: int

    @property
    def precision(self) -> float:
        return self.rightly / max(1, self.rightly + self.wrongly)

    @property
    def recall(self) -> float:
        return self.rightly / max(1, self.cheaters)


def named(kw: Floats, events: Sequence[Event], by: float, seed: int) -> dict[Trick, Named]:
    """`kw` is what honest homes draw, [homes, days, steps]; every twentieth lifts, and every twentieth inflates."""
    homes = len(kw)
    some = np.random.default_rng(seed).permutation(homes)[: 2 * (homes // 20)].tolist()
    cheaters = {Trick.LIFTED: some[::2] if by else [], Trick.INFLATED: some[1::2] if by else []}
    called = np.zeros(kw.shape[:2], bool)
    called[:, [(one.day - FIRST_DAY).days for one in events]] = True
    fleet = Fleet(np.ascontiguousarray(kw), FIRST_DAY, called=called)
    fleet = lifting(fleet, events, cheaters[Trick.LIFTED], by)
    fleet = inflating(fleet, events, cheaters[Trick.INFLATED], by)
    found = findings(fleet, events, np.ones((len(events), homes), bool), CAISO_10_IN_10)
    told = {trick: {one.meter for one in found if one.trick is trick} for trick in Trick}
    return {
        trick: Named(len(own), len(told[trick] & set(own)), len(told[trick] - set(own)))
        for trick, own in cheaters.items()
    }


def hottest(kw: Floats) -> list[Event]:
    """From five to seven on the days, after the history, on which all homes together draw most then."""
    drawn = kw[:, HISTORY:, 68:76].sum(axis=(0, 2))
    days = sorted((np.argsort(-drawn)[:EVENTS] + HISTORY).tolist())
    return [
        replace(one, day=FIRST_DAY + timedelta(days=day)) for one, day in zip([EVENING] * EVENTS, days, strict=True)
    ]


EVENING = Event(FIRST_DAY, 17 * 3600, 2 * 3600)


def main() -> None:
    homes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    kw = lived(homes, DAYS, [], seed).truth_kw
    for title, events in (("fixed days", evenings(HISTORY, EVENTS)), ("the hottest days", hottest(kw))):
        for by in (0.0, 0.25, 0.5, 1.0):
            for trick, one in named(kw, events, by, seed).items():
                found = f"{one.rightly:3} of {one.cheaters:3} named, {one.wrongly} of {homes - one.cheaters} honest"
                rates = f"precision {one.precision:6.1%}, recall {one.recall:6.1%}" if one.cheaters else ""
                print(f"{title:16}  {by:+5.0%}  {trick:36} {found}  {rates}")


if __name__ == "__main__":
    main()
