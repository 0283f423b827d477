"""Energy by integration: its laws, and against a count second by second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tieline.base.series import Stamp
from tieline.telemetry.integration import Integrated, contributing, integrate, integrate_many

S = 1_000_000
HOLD_S = 12
SPAN_S = 60
stamps = st.sampled_from(Stamp)


@st.composite
def series(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Readings on whole seconds, some of them outside the span."""
    at = draw(st.lists(st.integers(-20, SPAN_S + 20), unique=True, max_size=30))
    value = draw(st.lists(st.integers(-8, 8), min_size=len(at), max_size=len(at)))
    return np.array(at, np.int64) * S, np.array(value, np.float64)


grids = st.lists(st.integers(1, SPAN_S - 1), unique=True, max_size=12).map(lambda inner: _edges([0, *inner, SPAN_S]))


def _edges(seconds: list[int]) -> NDArray[np.int64]:
    return np.array(sorted(seconds), np.int64) * S


def _brute(at: NDArray[np.int64], kw: NDArray[np.float64], edges: NDArray[np.int64], stamp: Stamp) -> Integrated:
    """Second by second: which reading, if any, says what the power was."""
    energy, covered = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    readings = dict(zip((at // S).tolist(), kw.tolist(), strict=True))
    for step, (first, last) in enumerate(zip(edges[:-1] // S, edges[1:] // S, strict=True)):
        for second in range(int(first), int(last)):
            if stamp is Stamp.END:
                near = [t for t in readings if second < t <= second + HOLD_S]
                found = min(near, default=None)
            else:
                near = [t for t in readings if second - HOLD_S < t <= second]
                found = max(near, default=None)
            if found is not None:
                energy[step] += readings[found] / 3600
                covered[step] += 1
    return Integrated(energy, covered)


@given(series(), grids, stamps)
def test_equals_a_count_second_by_second(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp
) -> None:
    got, expected = integrate(*readings, edges, stamp=stamp, hold_s=HOLD_S), _brute(*readings, edges, stamp)
    np.testing.assert_array_equal(got.covered_s, expected.covered_s)
    np.testing.assert_allclose(got.energy_kwh, expected.energy_kwh, atol=1e-12)


@given(series(), grids, stamps)
def test_a_finer_grid_sums_to_the_same(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp
) -> None:
    fine = integrate(*readings, edges, stamp=stamp, hold_s=HOLD_S)
    whole = integrate(*readings, edges[[0, -1]], stamp=stamp, hold_s=HOLD_S)
    assert fine.covered_s.sum() == whole.covered_s[0]
    assert fine.energy_kwh.sum() == pytest.approx(whole.energy_kwh[0], abs=1e-12)


@given(series(), grids, stamps, st.randoms(use_true_random=False))
def test_the_order_of_readings_never_matters(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp, random: object
) -> None:
    at, kw = readings
    order = np.array(random.sample(range(len(at)), len(at)), np.int64)  # type: ignore[attr-defined]
    there = integrate(at, kw, edges, stamp=stamp, hold_s=HOLD_S)
    back = integrate(at[order], kw[order], edges, stamp=stamp, hold_s=HOLD_S)
    np.testing.assert_array_equal(there.energy_kwh, back.energy_kwh)
    np.testing.assert_array_equal(there.covered_s, back.covered_s)


@given(series(), grids, stamps, st.sampled_from([-2.0, 0.5, 4.0]))
def test_scaling_the_power_scales_the_energy(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp, factor: float
) -> None:
    at, kw = readings
    one = integrate(at, kw, edges, stamp=stamp, hold_s=HOLD_S)
    more = integrate(at, kw * factor, edges, stamp=stamp, hold_s=HOLD_S)
    np.testing.assert_allclose(more.energy_kwh, one.energy_kwh * factor, atol=1e-12)


@given(series(), grids, stamps)
def test_gap_and_covered_make_the_span(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp
) -> None:
    got = integrate(*readings, edges, stamp=stamp, hold_s=HOLD_S)
    length = np.diff(edges) / S
    assert ((got.covered_s >= 0) & (got.covered_s <= length)).all()
    assert (np.isnan(got.mean_kw) == (got.covered_s == 0)).all()


@given(series(), grids, stamps)
def test_those_that_contribute_suffice(
    readings: tuple[NDArray[np.int64], NDArray[np.float64]], edges: NDArray[np.int64], stamp: Stamp
) -> None:
    at, kw = readings
    order = np.argsort(at)
    at, kw = at[order], kw[order]
    one = np.zeros(len(at), np.int64)
    used = contributing(one, at, int(edges[0]), int(edges[-1]), stamp=stamp, hold_s=HOLD_S)
    whole = integrate(at, kw, edges, stamp=stamp, hold_s=HOLD_S)
    alone = integrate(at[used], kw[used], edges, stamp=stamp, hold_s=HOLD_S)
    np.testing.assert_array_equal(whole.energy_kwh, alone.energy_kwh)
    np.testing.assert_array_equal(whole.covered_s, alone.covered_s)


@given(st.lists(series(), min_size=1, max_size=4), grids, stamps)
def test_a_fleet_is_its_series_one_by_one(
    fleet: list[tuple[NDArray[np.int64], NDArray[np.float64]]], edges: NDArray[np.int64], stamp: Stamp
) -> None:
    index = np.concatenate([np.full(len(at), i, np.int64) for i, (at, _) in enumerate(fleet)])
    at, kw = (np.concatenate(columns) for columns in zip(*fleet, strict=True))
    many = integrate_many(index, at, kw, len(fleet), edges, stamp=stamp, hold_s=HOLD_S)
    for i, (at_us, value_kw) in enumerate(fleet):
        one = integrate(at_us, value_kw, edges, stamp=stamp, hold_s=HOLD_S)
        np.testing.assert_array_equal(many.energy_kwh[i], one.energy_kwh)
        np.testing.assert_array_equal(many.covered_s[i], one.covered_s)


def test_a_quarter_hour_meter_on_steps_of_five_minutes() -> None:
    at = np.array([900, 1800, 3600], np.int64) * S  # the one at 2,700 s is missing
    kw = np.array([4.0, 2.0, 1.0])
    got = integrate(at, kw, np.arange(0, 3601, 300, dtype=np.int64) * S, stamp=Stamp.END, hold_s=900)
    third, sixth, twelfth = 4 / 12, 2 / 12, 1 / 12
    np.testing.assert_allclose(got.energy_kwh, [third] * 3 + [sixth] * 3 + [0.0] * 3 + [twelfth] * 3)
    np.testing.assert_array_equal(got.covered_s, [300.0] * 6 + [0.0] * 3 + [300.0] * 3)


def test_a_wild_value_spoils_its_own_steps_alone() -> None:
    at = np.array([60, 120, 180], np.int64) * S
    got = integrate(at, np.array([1.0, 1e300, 0.3]), _edges([0, 60, 120, 180]), stamp=Stamp.END, hold_s=60)
    assert got.energy_kwh[0] == 1 / 60
    assert got.energy_kwh[2] == 0.3 / 60
