"""Days and their kinds, holidays by calendar, and readings put into whole days."""

from datetime import date, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.base.errors import Refused
from tieline.base.series import Stamp
from tieline.settlement.baseline.days import candidates, holidays_of, kind_of
from tieline.settlement.baseline.markets import CAISO_10_IN_10, ERCOT_NEAREST
from tieline.settlement.baseline.readings import fleet_of
from tieline.settlement.baseline.rules import Kind, Kinds

FRIDAY = date(2026, 7, 3)


@pytest.mark.parametrize(
    ("day", "business", "week"),
    [
        (date(2026, 7, 2), Kind.BUSINESS, Kind.WEEKDAY),
        (FRIDAY, Kind.OTHER, Kind.SUNDAY),
        (date(2026, 7, 4), Kind.OTHER, Kind.SATURDAY),
        (date(2026, 7, 5), Kind.OTHER, Kind.SUNDAY),
    ],
)
def test_kinds_of_days(day: date, business: Kind, week: Kind) -> None:
    assert kind_of(day, Kinds.BUSINESS, [FRIDAY]) is business
    assert kind_of(day, Kinds.WEEK, [FRIDAY]) is week
    assert kind_of(day, Kinds.EVERY, [FRIDAY]) is Kind.ANY


def test_holidays_by_calendar() -> None:
    nerc = holidays_of("NERC", [2026, 2027])
    assert {date(2026, 5, 25), date(2026, 7, 4), date(2026, 11, 26), date(2026, 12, 25)} <= nerc
    assert date(2026, 10, 12) not in nerc  # Columbus Day is none of the six
    assert date(2027, 7, 5) in nerc  # for Sunday the 4th
    assert date(2026, 7, 3) not in nerc  # nothing stands in for a Saturday
    assert len(nerc) == 12
    assert date(2026, 4, 25) in holidays_of("AU-NSW", [2026])
    assert date(2026, 10, 10) in holidays_of("TW", [2026])
    for unknown in ("XX", "US-XX", ""):
        with pytest.raises(Refused, match="NERC"):
            holidays_of(unknown, [2026])


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_candidates_are_of_the_days_kind_nearest_first(day: date) -> None:
    back = candidates(CAISO_10_IN_10, day)
    assert back == sorted(back, reverse=True)
    assert all(timedelta(0) < day - one <= timedelta(days=45) for one in back)
    assert {kind_of(one, Kinds.BUSINESS) for one in back} == {kind_of(day, Kinds.BUSINESS)}
    both = candidates(ERCOT_NEAREST, day)
    far = [abs(one - day) for one in both]
    assert far == sorted(far)
    assert day not in both
    assert min(both) < day < max(both)
    assert {kind_of(one, Kinds.WEEK) for one in both} == {kind_of(day, Kinds.WEEK)}


def test_a_longer_look_back_only_adds() -> None:
    longer = msgspec.structs.replace(CAISO_10_IN_10, look_back_days=90)
    short = candidates(CAISO_10_IN_10, FRIDAY)
    assert candidates(longer, FRIDAY)[: len(short)] == short


# --- readings ---------------------------------------------------------------------------------------------------------


def stamps(start: str, count: int, minutes: int) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.datetime64(start, "s") + np.arange(count) * np.timedelta64(minutes, "m")


@pytest.mark.parametrize(("minutes", "hours"), [(5, 24), (15, 24), (30, 24), (60, 24), (120, 12), (1440, 1)])
def test_readings_become_mean_power_by_the_hour(minutes: int, hours: int) -> None:
    count = 2 * 1440 // minutes
    names, fleet = fleet_of(["a"] * count, stamps("2026-07-01", count, minutes), np.full(count, 0.5))
    assert (names, fleet.first_day, fleet.kw.shape) == (["a"], date(2026, 7, 1), (1, 2, hours))
    np.testing.assert_allclose(fleet.kw, 0.5 * 60 / minutes)


def test_readings_come_in_any_order_and_from_many_meters() -> None:
    at = np.tile(stamps("2026-07-01T12:00", 48, 30), 2)
    kwh = np.arange(96.0)
    names, fleet = fleet_of(["b"] * 48 + ["a"] * 48, at, kwh)
    shuffled = np.random.default_rng(0).permutation(96)
    again, other = fleet_of(np.array(["b"] * 48 + ["a"] * 48)[shuffled].tolist(), at[shuffled], kwh[shuffled])
    assert names == again == ["a", "b"]
    np.testing.assert_array_equal(fleet.kw, other.kw)
    np.testing.assert_allclose(fleet.kw[1, 0, 12:14], [0 + 1, 2 + 3])
    assert np.isnan(fleet.kw[:, 0, :12]).all()
    assert np.nansum(fleet.kw) == pytest.approx(kwh.sum())


def test_an_hour_with_a_part_missing_is_unknown() -> None:
    at = np.delete(stamps("2026-07-01", 48, 30), 5)
    _, fleet = fleet_of(["a"] * 47, at, np.ones(47))
    assert np.flatnonzero(np.isnan(fleet.kw[0, 0])).tolist() == [2]


def test_stamps_of_the_end() -> None:
    _, fleet = fleet_of(["a"] * 24, stamps("2026-07-01T01:00", 24, 60), np.arange(24.0), stamp=Stamp.END)
    np.testing.assert_allclose(fleet.kw[0, 0], np.arange(24))
    assert fleet.kw.shape == (1, 1, 24)


def test_temperature_beside_the_readings() -> None:
    at = np.tile(stamps("2026-07-01", 48, 30), 2)
    _, fleet = fleet_of(["a"] * 48 + ["b"] * 48, at, np.ones(96), np.repeat([10.0, 20.0], 48))
    assert fleet.temperature_c is not None
    np.testing.assert_allclose(fleet.temperature_c, np.full((1, 24), 15.0))


def test_what_are_no_intervals_is_refused() -> None:
    for at in (stamps("2026-07-01", 0, 30), stamps("2026-07-01", 10, 7), stamps("2026-07-01T00:10", 10, 30)):
        with pytest.raises(Refused):
            fleet_of(["a"] * len(at), at, np.ones(len(at)))
