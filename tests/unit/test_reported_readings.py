"""What the numbers in a report become: the User Guide's examples, and that no energy is lost or made on the way."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports_said import (
    AN_HOUR,
    HOUR,
    QUARTER_HOUR,
    T0,
    home,
    points,
    report,
    resource,
    understood,
)
from tieline.base.series import Flag, Stamp
from tieline.base.time import iso, micros
from tieline.registry.model import METER_HOLD_S
from tieline.telemetry.integration import integrate
from tieline.telemetry.model import Limits, Reported, believed

# --- power ------------------------------------------------------------------------------------------------------------


def test_energy_over_a_quarter_hour_is_its_mean_power_at_the_end() -> None:
    found = understood(report([resource([("USAGE", [0.5])], period=QUARTER_HOUR)]))
    assert points(found) == [("home-1.hvac.power_kw", 15, 2.0, Flag.GOOD)]
    assert found.refused == []


def test_a_longer_interval_becomes_parts_so_that_no_gap_is_left() -> None:
    found = understood(report([resource([("USAGE", [0.5])])]))
    assert points(found) == [("home-1.hvac.power_kw", at, 0.5, Flag.SPREAD) for at in (15, 30, 45, 60)]


@pytest.mark.parametrize(
    ("kind", "units", "reading_type", "value", "kw"),
    [
        ("USAGE", "KWH", None, 0.5, 2.0),
        ("USAGE", "WH", "DIRECT_READ", 500, 2.0),
        ("USAGE", "MWH", "SUMMED", 0.0005, 2.0),
        ("USAGE", "KWH", "MEAN", -0.5, -2.0),
        ("DEMAND", "KW", "AVERAGE", 2, 2.0),
        ("DEMAND", "W", "MEAN", 2000, 2.0),
        ("DEMAND", "MW", "ESTIMATED", 0.002, 2.0),
    ],
)
def test_energy_and_demand_come_to_the_same(
    kind: str, units: str, reading_type: str | None, value: float, kw: float
) -> None:
    said = {"payloadType": kind, "units": units, "readingType": reading_type}
    found = understood(report([resource([(kind, [value])], period=QUARTER_HOUR)], descriptors=[said]))
    flags = Flag.ESTIMATED if reading_type == "ESTIMATED" else Flag.GOOD
    assert points(found) == [("home-1.hvac.power_kw", 15, kw, flags)]


def test_several_values_divide_the_interval() -> None:
    """User Guide 7.3."""
    found = understood(report([resource([("USAGE", [0.25, "no number", 0.5, 1])])]))
    assert points(found) == [("home-1.hvac.power_kw", at, kw, Flag.GOOD) for at, kw in ((15, 1), (45, 2), (60, 4))]


def test_a_sum_is_the_vens_own_meter() -> None:
    """User Guide 7.7."""
    found = understood(report([resource([("USAGE", [0.5])], name="AGGREGATED_REPORT", period=QUARTER_HOUR)]))
    assert points(found) == [("home-1.power_kw", 15, 2.0, Flag.GOOD)]
    assert found.readings[0].limit_kw == home().ven.limit_kw


def test_demand_without_a_duration_is_at_its_start() -> None:
    said = {"payloadType": "DEMAND", "units": "KW"}
    found = understood(report([resource([("DEMAND", [3])], period={"start": iso(T0)})], descriptors=[said]))
    assert points(found) == [("home-1.hvac.power_kw", 0, 3.0, Flag.GOOD)]


@given(
    durations=st.lists(st.integers(1, 90), min_size=1, max_size=8),
    values=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=6),
)
def test_energy_is_what_was_reported(durations: list[int], values: list[float]) -> None:
    """However long the intervals are and however many values they hold, integrating the power gives the energy back."""
    intervals = [
        {"id": n, "intervalPeriod": {"duration": f"PT{minutes}M"}, "payloads": [{"type": "USAGE", "values": values}]}
        for n, minutes in enumerate(durations)
    ]
    found = understood(report([resource(*intervals, period={"start": iso(T0)})]))
    at = np.array([micros(one.at) for one in found.readings], np.int64)
    kw = np.array([one.value for one in found.readings])
    ends = np.cumsum([0, *durations]) * 60_000_000 + micros(T0)
    sums = integrate(at, kw, ends.astype(np.int64), stamp=Stamp.END, hold_s=METER_HOLD_S)
    assert sums.energy_kwh == pytest.approx([sum(values)] * len(durations), abs=1e-3)
    assert sums.covered_s == pytest.approx([minutes * 60 for minutes in durations], abs=1e-3)


# --- other series -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "series_id", "unit"),
    [
        ({"payloadType": "DEMAND", "units": "KW", "readingType": "PEAK"}, "openadr_demand_peak_kw", "KW"),
        ({"payloadType": "USAGE", "units": "KWH", "readingType": "FORECAST"}, "openadr_usage_forecast_kwh", "KWH"),
        ({"payloadType": "USAGE", "units": "KW"}, "openadr_usage_kw", "KW"),
        ({"payloadType": "DEMAND", "units": "KVAR", "readingType": "DIRECT_READ"}, "openadr_demand_kvar", "KVAR"),
        (
            {"payloadType": "STORAGE_CHARGE_LEVEL", "units": "PERCENT"},
            "openadr_storage_charge_level_percent",
            "PERCENT",
        ),
        ({"payloadType": "SIMPLE_LEVEL"}, "openadr_simple_level", "1"),
        ({"payloadType": "My own", "units": "°"}, "openadr_my~20own_~C2~B0", "°"),
    ],
)
def test_any_other_number_has_a_series_of_its_own(said: dict[str, Any], series_id: str, unit: str) -> None:
    found = understood(report([resource([(said["payloadType"], [3])])], descriptors=[said]))
    assert points(found) == [(f"home-1.hvac.{series_id}", 60, 3.0, Flag.GOOD)]
    series = found.readings[0].series
    assert (series.unit, series.step_s, series.hold_s, series.source) == (unit, 3600, 3600, "openadr")
    assert (series.zone, series.ven_id, series.resource_id) == ("Europe/Lisbon", "home-1", "hvac")


def test_texts_points_and_truths_stay_in_the_report() -> None:
    payloads = [("SETPOINT", ["warm"]), ("CURVE", [{"x": 1, "y": 2}]), ("FLAG", [True]), ("EMPTY", [])]
    found = understood(report([resource(payloads)], descriptors=[]))
    assert (found.readings, found.refused) == ([], [])


# --- quality ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quality", "flags"),
    [
        (["OK"], [Flag.GOOD] * 2),
        (["ESTIMATED"], [Flag.ESTIMATED] * 2),
        (["BAD"], [Flag.DOUBTED] * 2),
        (["OK", "BAD"], [Flag.GOOD, Flag.DOUBTED]),
        (["ESTIMATED", "MISSING"], [Flag.ESTIMATED]),
        (["MISSING"], []),
        (["of our own", 7], [Flag.GOOD] * 2),
        (["BAD", "OK", "ESTIMATED"], [Flag.DOUBTED | Flag.ESTIMATED] * 2),
    ],
)
def test_quality_becomes_flags_and_what_is_missing_is_no_reading(quality: list[Any], flags: list[Flag]) -> None:
    """User Guide 7.8."""
    half = {"start": iso(T0), "duration": "PT30M"}
    found = understood(report([resource([("USAGE", [1, 1]), ("DATA_QUALITY", quality)], period=half)]))
    assert [one.flags for one in found.readings] == flags
    assert found.refused == []


# --- what is believed -------------------------------------------------------------------------------------------------


def reading(at: datetime, value: float, *, limit_kw: float | None) -> Reported:
    series = understood(report([resource([("USAGE", [1])])])).readings[0].series
    return Reported(series, at, value, Flag.SPREAD, limit_kw)


@pytest.mark.parametrize(
    ("ago", "value", "limit_kw", "flags"),
    [
        (timedelta(0), 1, 0.0, Flag.GOOD),
        (HOUR, 1, 0.0, Flag.LATE),
        (-timedelta(minutes=1), 1, 0.0, Flag.AHEAD),
        (timedelta(0), -6, 5.5, Flag.BEYOND_RATING),
        (-HOUR, 1, None, Flag.GOOD),
        (HOUR, 1e12, None, Flag.LATE),
    ],
)
def test_readings_of_reports_are_flagged_as_those_of_devices(
    ago: timedelta, value: float, limit_kw: float | None, flags: Flag
) -> None:
    taken, dead = believed([reading(T0 - ago, value, limit_kw=limit_kw)], T0, Limits())
    assert ([one.flags for one in taken], dead) == ([flags | Flag.SPREAD], [])


@pytest.mark.parametrize(
    ("ago", "value", "limit_kw", "reason"),
    [
        (-HOUR, 1, 0.0, "future stamp"),
        (-400 * 24 * HOUR, 1, None, "future stamp"),
        (46 * 24 * HOUR, 1, None, "stale stamp"),
        (46 * 24 * HOUR, 1, 0.0, "stale stamp"),
        (timedelta(0), 1e10, 0.0, "not a power"),
        (timedelta(0), float("inf"), 0.0, "not a power"),
    ],
)
def test_what_cannot_be_believed_is_refused(ago: timedelta, value: float, limit_kw: float | None, reason: str) -> None:
    taken, dead = believed([reading(T0 - ago, value, limit_kw=limit_kw)], T0, Limits())
    assert (taken, [one.reason for one in dead]) == ([], [reason])


texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3)  # a report with U+0000 is refused
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), texts)
payloads = st.lists(
    st.tuples(
        st.sampled_from(["USAGE", "DEMAND", "READING", "DATA_QUALITY", "OPERATING_STATE", "SIMPLE_LEVEL"]),
        st.lists(numbers, max_size=4),
    ),
    max_size=4,
)
periods = st.sampled_from([None, {}, AN_HOUR, {"start": iso(T0)}, {"duration": "PT7M"}, {"start": "0001-01-01"}])


@given(
    some=st.lists(st.tuples(st.sampled_from(["HVAC", "Pool", "AGGREGATED_REPORT"]), periods, payloads), max_size=4),
    units=st.sampled_from([None, "KWH", "KW", "°C", "W"]),
)
def test_no_report_is_too_strange_to_be_understood(some: list[Any], units: str | None) -> None:
    said = report(
        [resource(told_, name=name, period=period) for name, period, told_ in some],
        descriptors=[{"payloadType": kind, "units": units} for kind in ("USAGE", "DEMAND", "READING")],
    )
    found = understood(said)
    assert all(one.at.tzinfo and isinstance(one.value, float) for one in found.readings)
    assert len({one.reason for one in found.refused}) == len(found.refused)
