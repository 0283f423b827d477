"""What is forecast and when: groups and their series, dues across clock changes, sums without what is held, scores."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tieline.base.errors import NotFound
from tieline.base.names import is_series_id
from tieline.base.series import Flag
from tieline.base.time import Span, micros
from tieline.forecasts.days import SLOTS, local_days, starts
from tieline.forecasts.model import COLUMNS, Horizon, Measure, Plan, Subject, score, subject_of, subjects
from tieline.forecasts.sums import Devices, Readings, per_device, summed, together
from tieline.registry.model import Kind, Resource, Ven

NOON = datetime(2026, 7, 15, 12, tzinfo=UTC)


def ven(ven_id: str, *targets: str) -> Ven:
    return Ven(ven_id, ven_id, "site", "Site", "UTC", 200, NOON, targets)


VENS = [ven("home-1", "east", "peak"), ven("home-2", "east"), ven("home-3", "a name of far more letters" * 4)]
LOADS = [
    Resource("home-1", "ev", "Car", Kind.EV, 7.4, sheddable=True),
    Resource("home-1", "fridge", "Fridge", Kind.REFRIGERATOR, 0.2, sheddable=False),
    Resource("home-2", "pv", "Roof", Kind.PV, 5, sheddable=False),
]


def test_groups_are_the_fleet_kinds_and_targets() -> None:
    found = subjects(VENS, LOADS, 100)
    assert {one.forecast_id: len(ids) for one, ids in found.items()} == {
        "fleet.flexible": 1,
        "fleet.load": 3,
        "fleet.pv": 1,
        "kind.ev.flexible": 1,
        "kind.ev.load": 1,
        "target.east.load": 2,
        "target.east.flexible": 1,
        "target.east.pv": 1,
        "target.peak.flexible": 1,
        "target.peak.load": 1,
    }
    assert [one.forecast_id for one in subjects(VENS, LOADS, 6)][:3] == ["fleet.load", "fleet.flexible", "fleet.pv"]
    assert found[Subject("kind.ev", Measure.FLEXIBLE)] == ["home-1.ev.sheddable_kw"]


def test_ids_are_read_back_and_name_legal_series() -> None:
    for subject in subjects(VENS, LOADS, 100):
        assert subject_of(subject.forecast_id) == subject
        ids = [one.series_id for one in subject.declarations("UTC")]
        assert len(set(ids)) == 2 + 2 * len(COLUMNS)
        assert all(is_series_id(one) for one in ids)
    for wrong in ("fleet", "fleet.price", ".load", "a b.load"):
        with pytest.raises(NotFound):
            subject_of(wrong)


def test_a_day_ahead_is_the_whole_next_local_day_whatever_its_length() -> None:
    plan = Plan("Europe/Lisbon", hour=9)
    lengths = {}
    for day in ("2026-03-28", "2026-07-15", "2026-10-24"):  # the clocks change on the day after the first and the last
        now = datetime.fromisoformat(f"{day}T10:05:00+00:00")
        due = plan.due_at(Horizon.DAY_AHEAD, now)
        lengths[day] = plan.span(Horizon.DAY_AHEAD, due, now).hours
    assert lengths == {"2026-03-28": 23, "2026-07-15": 24, "2026-10-24": 25}


def test_what_was_not_made_in_time_is_made_of_what_is_left() -> None:
    plan, now = Plan("UTC", hour=9, every_s=3600), datetime(2026, 7, 15, 3, 20, tzinfo=UTC)
    due = plan.due_at(Horizon.DAY_AHEAD, now)
    assert due == datetime(2026, 7, 14, 9, tzinfo=UTC)
    assert plan.span(Horizon.DAY_AHEAD, due, now).start == datetime(2026, 7, 15, 3, 15, tzinfo=UTC)
    assert plan.due_at(Horizon.INTRADAY, now) == datetime(2026, 7, 15, 3, tzinfo=UTC)
    assert plan.span(Horizon.INTRADAY, due, now).hours == 6


def test_an_hour_that_the_clock_skips_or_repeats_finds_its_place() -> None:
    spring = Span(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC) - timedelta(hours=1))
    days = local_days(spring, "Europe/Lisbon")
    laid = days.laid(np.array([micros(at) for at in starts(spring)]), np.ones(len(starts(spring))))
    assert laid.shape == (2, SLOTS)
    assert np.isnan(laid[1, 4:8]).all()
    assert np.isfinite(laid).sum() == 2 * SLOTS - 4
    autumn = Span(datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))
    assert len(set(local_days(autumn, "Europe/Lisbon").places.tolist())) == SLOTS


def test_what_is_held_and_who_is_silent_are_not_in_the_sums() -> None:
    cuts = np.array([0, 900, 1800]) * 1_000_000
    members = {
        Subject("fleet", Measure.LOAD): ["home-1.power_kw", "home-2.power_kw"],
        Subject("kind.ev", Measure.LOAD): ["home-1.ev.power_kw"],
        Subject("fleet", Measure.PV): ["home-2.pv.power_kw"],
    }
    devices = together(Devices.of(members))
    told = [("home-1.power_kw", 900, 2.0, 0), ("home-1.power_kw", 1800, 1.0, 0), ("home-2.power_kw", 900, 3.0, 0),
            ("home-1.ev.power_kw", 900, 1.5, 0), ("home-1.ev.power_kw", 1800, 0.0, int(Flag.SHED)),
            ("home-2.pv.power_kw", 900, -4.0, 0)]  # fmt: skip
    index = np.array([devices.series_ids.index(one[0]) for one in told])
    at, kw, flags = (np.array([one[n] for one in told]) for n in (1, 2, 3))
    found = summed(devices, Readings(index, at * 1_000_000, kw, flags), 3, cuts)
    np.testing.assert_allclose(found.kw, np.array([[5.0, 0.0], [1.5, 0.0], [4.0, 0.0]]))
    np.testing.assert_array_equal(found.devices, [[2, 0], [1, 0], [1, 0]])


def test_a_step_of_few_devices_is_a_gap() -> None:
    kw, devices = np.array([[20.0, 10.0, 9.0]]), np.array([[10.0, 5.0, 9.0]])
    np.testing.assert_array_equal(per_device(kw, devices), [[2.0, np.nan, 1.0]])


def test_scores_are_those_of_the_books() -> None:
    actual = np.array([1.0, 2.0, np.nan, 4.0])
    found = score(actual, np.array([[0.0] * 4, [2.0] * 4, [3.0] * 4]))
    assert found is not None
    assert (found.n, found.coverage, found.error_kw) == (3, 2 / 3, -1 / 3)
    assert found.squared_kw2 == pytest.approx((1 + 0 + 4) / 3)
    low, middle, high = 0.05 * 7 / 3, 0.5 * 3 / 3, (0.05 * 2 + 0.05 * 1 + 0.95 * 1) / 3
    assert found.pinball_kw == pytest.approx((low + middle + high) / 3)
    assert found.rrmse == pytest.approx((5 / 3) ** 0.5 / (7 / 3))
    assert score(np.full(3, np.nan), np.ones((3, 3))) is None
