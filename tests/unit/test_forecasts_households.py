"""Forecasts of the real meters in `../shared/samples`: a row of the page made again, and what all of it says."""

import pytest
from docs.reference.backtest import PAGE, SAMPLES, inverter, line, tried

from tieline.forecasts.model import Horizon

ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared/samples/metering is absent")
def test_the_page_tells_what_the_meters_say() -> None:
    """The row that costs least: `python docs/reference/backtest.py` makes all of them in some minutes."""
    assert line(tried(inverter(), Horizon.DAY_AHEAD)) in ROWS, "it is old: run `python docs/reference/backtest.py`"


def test_a_fleet_is_forecast_better_than_by_the_naive_and_intervals_cover_what_they_say() -> None:
    cells = [[one.strip() for one in row.strip("|").split("|")] for row in ROWS]
    assert len(cells) == 10
    for one in cells:
        if one[0] == "ten homes, their mean":
            assert float(one[4]) < 0.85 * float(one[8])
            assert 85 <= float(one[7].removesuffix(" %")) <= 95
