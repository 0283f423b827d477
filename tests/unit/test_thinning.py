"""Thinning for charts: a pixel column keeps its first, last, least and greatest value; gaps stay; never too many."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.series import INSTANT
from tieline.telemetry.values.thinning import A_COLUMN, of_readings, of_steps, thinned

HOLD_US = 1_000_000


def rows(at: list[int], value: list[float]) -> pa.Table:
    flags = pa.array([n % 7 for n in range(len(at))], pa.int16())
    return pa.table(
        {"at": pa.array(at, pa.int64()).cast(INSTANT), "value": pa.array(value, pa.float64()), "flags": flags}
    )


def drawn(table: pa.Table) -> tuple[np.ndarray, list[float | None]]:
    return np.asarray(table["at"].cast(pa.int64()).to_numpy()), table["value"].to_pylist()


readings = st.lists(st.tuples(st.integers(0, 40), st.floats(-1e6, 1e6, allow_nan=False)), min_size=1, max_size=400).map(
    lambda told: (np.cumsum([1 + step * HOLD_US // 10 for step, _ in told]).tolist(), [value for _, value in told])
)


@settings(deadline=None)
@given(readings, st.integers(10, 120))
def test_a_column_keeps_its_first_last_least_and_greatest(told: tuple[list[int], list[float]], points: int) -> None:
    at, value = told
    start, end = 0, at[-1] + 1
    found = thinned(of_readings(rows(at, value), HOLD_US), start, end, points)
    found_at, found_value = drawn(found)
    assert found.num_rows <= points
    assert (np.diff(found_at) >= 0).all()
    width = -(-(end - start) // max(1, points // A_COLUMN))
    for column in np.unique(np.array(at) // width):
        all_of = [v for a, v in zip(at, value, strict=True) if a // width == column]
        kept = [v for a, v in zip(found_at, found_value, strict=True) if v is not None and a // width == column]
        assert (kept[0], kept[-1], min(kept), max(kept)) == (all_of[0], all_of[-1], min(all_of), max(all_of))
    known = set(zip(at, value, strict=True))
    assert {(a, v) for a, v in zip(found_at.tolist(), found_value, strict=True) if v is not None} <= known


@settings(deadline=None)
@given(readings, st.integers(10, 120))
def test_no_line_bridges_a_gap_that_is_wider_than_a_column(told: tuple[list[int], list[float]], points: int) -> None:
    at, value = told
    end = at[-1] + 1
    width = -(-end // max(1, points // A_COLUMN))
    found_at, found_value = drawn(thinned(of_readings(rows(at, value), HOLD_US), 0, end, points))
    ends = {a for a, v in zip(found_at.tolist(), found_value, strict=True) if v is None}
    for before, after in pairwise(at):
        if after - before > max(HOLD_US, width):
            assert before + HOLD_US in ends
    assert all(any(b + HOLD_US == a for b in at) for a in ends)


@settings(deadline=None)
@given(readings, st.integers(10, 120))
def test_steps_keep_what_they_hold_of_a_column(told: tuple[list[int], list[float]], points: int) -> None:
    at, low = [HOLD_US * n for n in range(len(told[0]))], told[1]
    table = pa.table({
        "at": pa.array(at, pa.int64()).cast(INSTANT), "first": low, "low": low,
        "high": [one + 1.5 for one in low], "last": [one + 0.5 for one in low],
        "flags": pa.array([0] * len(at), pa.int16()),
    })  # fmt: skip
    found = thinned(of_steps(table, HOLD_US), 0, at[-1] + HOLD_US, points, grain_us=HOLD_US)
    value = [one for one in drawn(found)[1] if one is not None]
    assert len(value) == found.num_rows <= points
    assert (min(value), max(value)) == (min(low), max(low) + 1.5)
    assert (value[0], value[-1]) == (low[0], low[-1] + 0.5)


def test_what_is_few_enough_stays_as_it_is() -> None:
    at, value = [1, 2, 3 + 5 * HOLD_US], [1.0, 5.0, 2.0]
    found = thinned(of_readings(rows(at, value), HOLD_US), 0, 10 * HOLD_US, 10)
    assert drawn(found)[1] == [1.0, 5.0, None, 2.0]
    assert found["flags"].to_pylist() == [0, 1, 0, 2]


def test_what_is_no_number_is_no_value() -> None:
    found = thinned(of_readings(rows([1, 2, 3], [1.0, float("nan"), 2.0]), HOLD_US), 0, 10, 10)
    assert drawn(found)[1] == [1.0, 2.0]


@pytest.mark.parametrize("points", [10, 5000])
def test_nothing_is_thinned_to_nothing(points: int) -> None:
    assert thinned(of_readings(rows([], []), HOLD_US), 0, 10, points).num_rows == 0


def test_a_spike_of_one_minute_in_a_year_is_seen() -> None:
    value = np.random.default_rng(1).normal(1, 0.1, 525_600).round(3)
    value[123_456] = 99.0
    at = np.arange(525_600) * 60_000_000
    found = thinned(of_readings(rows(at.tolist(), value.tolist()), 900_000_000), 0, int(at[-1]) + 60_000_000, 2000)
    assert found.num_rows <= 2000
    assert (99.0, 123_456 * 60_000_000) in zip(found["value"].to_pylist(), drawn(found)[0].tolist(), strict=True)
