"""The fleet's sums by step, against the same told second by second in plain Python."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.series import Flag
from tieline.base.time import EPOCH, Span, micros
from tieline.telemetry.statistics.model import (
    HOLD_US,
    STEP_S,
    STEP_US,
    Loads,
    Readings,
    Step,
    coarser,
    runs,
    start_of,
    step_of,
    step_sums,
    touched,
)

START = datetime(2026, 7, 15, 12, tzinfo=UTC)
STEPS = 3
CUTS = np.array([micros(START) + n * STEP_US for n in range(STEPS + 1)], np.int64)
HOLD_S = HOLD_US // 1_000_000

Said = dict[int, float]
"""Seconds from START to a value."""


def rows(said: list[tuple[int, int, float, int]]) -> Readings:
    index, at, value, flags = zip(*sorted(said), strict=True) if said else ((), (), (), ())
    instants = np.array(at, np.int64) * 1_000_000 + micros(START)
    return Readings(np.array(index, np.int64), instants, np.array(value, float), np.array(flags, np.int64))


def by_second(said: Said) -> list[float | None]:
    """What holds in each second of the steps: a reading covers back to the one before it, no further than held."""
    found: list[float | None] = [None] * (STEPS * STEP_S)
    instants = sorted(said)
    for n, at in enumerate(instants):
        begin = max(at - HOLD_S, instants[n - 1] if n else at - HOLD_S)
        for second in range(max(begin, 0), min(at, len(found))):
            found[second] = said[at]
    return found


def mean(said: Said, step: int) -> float | None:
    """None where less than half of the step is covered."""
    known = [one for one in by_second(said)[step * STEP_S : (step + 1) * STEP_S] if one is not None]
    return sum(known) / len(known) if len(known) * 2 >= STEP_S else None


seconds = st.integers(-1200, STEPS * STEP_S + 1200)
power = st.floats(-20, 20).map(lambda one: round(one, 3))
snapshot = st.tuples(power, st.floats(0, 5), st.none() | st.floats(0, 5), st.booleans())


class Home:
    """One VEN's readings: its meter, and snapshots of its one load."""

    def __init__(
        self, meter: Said, load: dict[int, tuple[float, float, float | None, bool]], known: list[bool]
    ) -> None:
        self.meter, self.load, self.known = meter, load, known


homes = st.lists(
    st.builds(
        Home,
        st.dictionaries(seconds, power, max_size=8),
        st.dictionaries(seconds, snapshot, max_size=8),
        st.lists(st.booleans(), min_size=STEPS, max_size=STEPS),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(homes)
def test_sums_are_those_of_the_seconds(fleet: list[Home]) -> None:
    meters = rows([(n, at, kw, 0) for n, home in enumerate(fleet) for at, kw in home.meter.items()])
    told = [(n, at, one) for n, home in enumerate(fleet) for at, one in home.load.items()]
    loads = Loads(
        rows([(n, at, kw, int(Flag.SHED) if shed else 0) for n, at, (kw, _, _, shed) in told]),
        rows([(n, at, could, 0) for n, at, (_, could, _, _) in told]),
        rows([(n, at, gives, 0) for n, at, (_, _, gives, _) in told if gives is not None]),
    )
    known = np.array([home.known for home in fleet], bool).reshape(len(fleet), STEPS)
    found = step_sums(meters, loads, known, np.arange(len(fleet)), CUTS)
    for step in range(STEPS):
        alive = [home for home in fleet if home.known[step]]
        used = [mean(home.meter, step) for home in alive]
        could = [mean({at: 0.0 if shed else kw for at, (_, kw, _, shed) in one.load.items()}, step) for one in alive]
        gives = [
            mean({at: (kw or 0.0) if shed else 0.0 for at, (_, _, kw, shed) in one.load.items()}, step) for one in alive
        ]
        assert found.counted[step] == sum(1 for one in used if one is not None)
        for got, wanted in ((found.used_kw, used), (found.controllable_kw, could), (found.shed_kw, gives)):
            assert got[step] == pytest.approx(sum(one or 0.0 for one in wanted), abs=1e-9)


@settings(deadline=None)
@given(st.lists(seconds, min_size=1, max_size=10, unique=True), st.integers(0, 9))
def test_a_late_reading_changes_no_step_that_it_does_not_touch(instants: list[int], which: int) -> None:
    """In whatever order readings come, those that are marked are all that change."""
    late = instants[which % len(instants)]
    before = {at: 1.0 for at in instants if at != late}
    after = before | {late: 2.0}
    first = step_of(START)
    at = micros(START) + late * 1_000_000
    earlier = [one for one in before if one < late]
    newest = late > max(before, default=-10_000)
    marked = touched(at, micros(START) + max(earlier) * 1_000_000 if newest and earlier else None)
    for step in range(STEPS):
        if first + step not in marked:
            assert by_second(before)[step * STEP_S :][:STEP_S] == by_second(after)[step * STEP_S :][:STEP_S]


def test_steps_are_numbered_from_1970() -> None:
    assert start_of(step_of(START + timedelta(seconds=299))) == START
    assert step_of(EPOCH) == 0
    assert list(touched(micros(START), micros(START - timedelta(minutes=1)))) == [step_of(START) - 1]


def test_runs_are_what_follows_one_another() -> None:
    assert runs({1, 2, 3, 5, 9, 8}, 2) == [range(8, 10), range(5, 6), range(3, 4), range(1, 3)]
    assert runs([], 2) == []


def test_coarser_steps_are_means_of_what_is_known() -> None:
    fine = [
        Step(START, 10.0, 2.0, 1.0, vens=5, counted=5),
        Step(START + timedelta(seconds=300), None, None, None, vens=5, counted=0),
        Step(START + timedelta(seconds=600), 20.0, 4.0, 0.0, vens=6, counted=4),
    ]
    found = coarser(fine, Span(START, START + timedelta(seconds=1200)), 600)
    assert found == [
        Step(START, 10.0, 2.0, 1.0, vens=5, counted=0),
        Step(START + timedelta(seconds=600), 20.0, 4.0, 0.0, vens=6, counted=4),
    ]
