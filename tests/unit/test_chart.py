"""A series thinned for a chart: no spike lost, no gap bridged."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.series import Declaration, Flag, Stamp, readings
from tieline.base.time import Span
from tieline.telemetry.chart import chart

START = datetime(2026, 7, 15, tzinfo=UTC)
DAY = Span(START, START + timedelta(days=1))
SERIES = Declaration("a.power_kw", "kW", 60, "UTC", Stamp.END, 900, "mqtt")


def rows(minutes: list[int], values: list[float], flags: list[int] | None = None):  # type: ignore[no-untyped-def]
    at = [START + timedelta(minutes=m) for m in minutes]
    return readings(["a.power_kw"] * len(at), at, values, known_at=START, flags=flags)


@given(st.integers(10, 200), st.integers(0, 1439), st.floats(50, 100))
def test_a_spike_survives_any_thinning(points: int, minute: int, spike: float) -> None:
    values = [1.0] * 1440
    values[minute] = spike
    drawn = chart(SERIES, DAY, rows(list(range(1440)), values), points)
    assert len(drawn.at) <= points + 1
    assert max(high for high in drawn.high if high is not None) == round(spike, 6)
    assert min(low for low in drawn.low if low is not None) == 1.0


def test_a_gap_is_drawn_as_one_and_the_points_stand_where_intervals_begin() -> None:
    drawn = chart(SERIES, DAY, rows([1, 2, 60, 61], [1.0, 2.0, 3.0, 4.0]), 100)
    assert drawn.value == [1.0, 2.0, None, 3.0, 4.0]
    assert drawn.at[0] == START.timestamp()
    assert np.all(np.diff(drawn.at) > 0)


def test_flagged_readings_are_told() -> None:
    drawn = chart(SERIES, DAY, rows([1, 2], [1.0, 2.0], [0, int(Flag.LATE)]), 100)
    assert drawn.flagged == [(START + timedelta(minutes=1)).timestamp()]


def test_nothing_is_an_empty_chart() -> None:
    drawn = chart(SERIES, DAY, rows([], []), 100)
    assert (drawn.at, drawn.value) == ([], [])
