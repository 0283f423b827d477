"""Simulated homes: energy is conserved, the seed decides, commands change what they say and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.base.time import iso
from tieline.sim import homes as physics
from tieline.sim.homes import Fleet, Held, Step, warmed_up
from tieline.sim.routine import Array
from tieline.sim.station import Station
from tieline.sim.stock import BATTERY, DRYER, EV, HVAC, LOADS, PV, REFRIGERATOR, SHEDDABLE, WATER_HEATER
from tieline.sim.weather import Weather

ZONE = "America/Los_Angeles"
TUESDAY = datetime(2026, 2, 10, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
FREE = np.inf


@cache
def _warm(seed: int, hour: float, homes: int) -> Fleet:
    at = TUESDAY + timedelta(hours=hour)
    return warmed_up(homes, seed, at, zone=ZONE, latitude=36.74, longitude=-119.79, days=1)


def fleet(seed: int = 7, hour: float = 0, homes: int = 60) -> Fleet:
    return _warm(seed, hour, homes).twin()


def held(of: Fleet, rows: Sequence[int] = SHEDDABLE, limit_kw: float = 0.0, panel_kw: float = FREE) -> Held:
    limits = np.full(of.stock.rated_kw.T.shape, FREE)
    limits[:, list(rows)] = limit_kw
    return Held(limits, np.full(len(limits), panel_kw))


def run(of: Fleet, minutes: int, limits: Held | None = None, each: int = 15) -> list[Step]:
    return [of.step(of.at + timedelta(minutes=each), limits) for _ in range(minutes // each)]


def used_kwh(steps: Sequence[Step], row: int | None = None) -> Array:
    """(homes,)"""
    total = np.zeros(len(steps[0].power_kw))
    for step in steps:
        power = step.meter_kw if row is None else step.power_kw[:, row]
        total += power * (step.end_at - step.start_at).total_seconds() / 3600
    return total


SPANS = st.lists(
    st.tuples(
        st.integers(1, 200),  # minutes
        st.none() | st.tuples(st.sets(st.sampled_from(SHEDDABLE), min_size=1), st.sampled_from([0.0, 0.7, 3.0])),
    ),
    min_size=1,
    max_size=8,
)
STARTS = st.tuples(st.integers(0, 3), st.integers(0, 23))


@settings(max_examples=20, deadline=None)
@given(STARTS, SPANS)
def test_energy_is_conserved_whatever_is_commanded(
    start: tuple[int, int], spans: list[tuple[int, tuple[set[int], float] | None]]
) -> None:
    seed, hour = start
    of = fleet(seed, hour, homes=12)
    before, built, steps = of.twin().state, of.stock, []
    for minutes, command in spans:
        limits = None if command is None else held(of, sorted(command[0]), command[1])
        steps.append(of.step(of.at + timedelta(minutes=minutes), limits))
    now = of.state

    def change(name: str) -> Array:
        return np.asarray(getattr(now, name) - getattr(before, name))

    house = change("conducted_kwh") + change("gained_kwh") + change("pumped_kwh")
    np.testing.assert_allclose(built.capacity_kwh_per_k * change("indoor_c"), house, atol=1e-9)
    tank = used_kwh(steps, WATER_HEATER) - change("drawn_kwh") - change("lost_kwh")
    np.testing.assert_allclose(change("tank_kwh"), tank, atol=1e-9)
    car = physics.EV_EFFICIENCY * used_kwh(steps, EV) - change("driven_kwh")
    np.testing.assert_allclose(change("ev_kwh"), car, atol=1e-9)
    for name, capacity in (("tank_kwh", built.tank_kwh), ("ev_kwh", built.ev_kwh), ("battery_kwh", built.battery_kwh)):
        assert np.all(getattr(now, name) >= -1e-9)
        assert np.all(getattr(now, name) <= capacity + 1e-9)
    assert np.all(np.abs(change("pumped_kwh")) <= used_kwh(steps, HVAC) * 4.0 + 1e-9)
    assert np.all(now.laundry_kwh >= -1e-9)


@pytest.mark.parametrize("hour", [8, 16, 20])
def test_a_battery_gives_back_what_it_took_less_its_losses(hour: int) -> None:
    of, eta = fleet(hour=hour), physics.BATTERY_EFFICIENCY
    moved = 0.0
    for _ in range(180):  # in each substep it either charges or discharges
        before = of.state.battery_kwh.copy()
        power = of.step(of.at + timedelta(minutes=1)).power_kw[:, BATTERY]
        stored = np.where(power > 0, power * eta, power / eta) / 60
        np.testing.assert_allclose(of.state.battery_kwh - before, stored, atol=1e-9)
        moved += np.abs(stored).sum()
    assert moved > 1


@settings(max_examples=15, deadline=None)
@given(STARTS, st.sampled_from([None, 0.0, 1.0, 4.0]))
def test_no_limit_and_no_panel_is_exceeded(start: tuple[int, int], limit_kw: float | None) -> None:
    of = fleet(start[0], start[1])
    limits = None if limit_kw is None else held(of, limit_kw=limit_kw)
    for step in run(of, 120, limits, each=1):
        assert np.all(np.abs(step.meter_kw) <= of.stock.panel_kw + 1e-9)
        assert np.all(np.abs(step.power_kw) <= of.stock.rated_kw.T + 1e-9)
        assert np.all(step.sheddable_kw <= np.maximum(step.power_kw, 0) + 1e-9)
        assert np.all(step.sheddable_kw[:, [REFRIGERATOR, PV]] == 0)
        if limit_kw is not None:
            assert np.all(step.power_kw[:, list(SHEDDABLE)] <= limit_kw + 1e-9)


def test_a_full_panel_makes_the_car_wait_first() -> None:
    of = fleet(homes=200, hour=19)
    of._panel_kw = np.full(200, 9.0)
    free = fleet(homes=200, hour=19)
    tight, wide = run(of, 60, each=1), run(free, 60, each=1)
    assert max(step.meter_kw.max() for step in tight) <= 9.0 + 1e-9 < max(step.meter_kw.max() for step in wide)
    assert used_kwh(tight, EV).sum() < used_kwh(wide, EV).sum()
    yielded = [
        (a.power_kw[:, EV], b.power_kw[:, (HVAC, WATER_HEATER, DRYER)] - a.power_kw[:, (HVAC, WATER_HEATER, DRYER)])
        for a, b in zip(tight[:1], wide[:1], strict=True)
    ]
    for car, lost in yielded:
        assert np.all(car[lost.sum(axis=1) > 1e-9] < 1e-9)


def test_the_seed_decides() -> None:
    one, other = (run(fleet(seed), 180) for seed in (7, 8))
    _warm.cache_clear()
    same = run(fleet(7), 180)
    assert all(np.array_equal(a.power_kw, b.power_kw) for a, b in zip(one, same, strict=True))
    assert not any(np.array_equal(a.power_kw, b.power_kw) for a, b in zip(one, other, strict=True))


def test_without_commands_the_twin_is_the_same_and_limits_that_bind_nothing_change_nothing() -> None:
    of = fleet(hour=12)
    twin, third = of.twin(), of.twin()
    for a, b, c in zip(run(of, 600), run(twin, 600), run(third, 600, held(of, limit_kw=99.0)), strict=True):
        assert np.array_equal(a.power_kw, b.power_kw)
        assert np.array_equal(a.power_kw, c.power_kw)
        assert not c.shed.any()


def test_commands_to_one_home_leave_the_others_exactly_as_they_were() -> None:
    of = fleet(hour=16)
    twin, limits = of.twin(), held(of, rows=[])
    limits.loads[3, list(SHEDDABLE)] = 0.0
    for a, b in zip(run(of, 240, limits), run(twin, 240), strict=True):
        assert np.array_equal(np.delete(a.power_kw, 3, axis=0), np.delete(b.power_kw, 3, axis=0))


def test_a_panel_is_held_to_its_limit_and_what_is_withheld_is_told() -> None:
    of = fleet(homes=200, hour=19)
    twin = of.twin()
    minute = of.at + timedelta(minutes=1)
    tight, free = of.step(minute, held(of, rows=[], panel_kw=3.0)), twin.step(minute)
    fixed = np.delete(tight.power_kw, SHEDDABLE, axis=1).sum(axis=1)
    assert np.all(tight.meter_kw <= np.maximum(3.0, fixed) + 1e-9)
    assert np.all(tight.power_kw[:, list(SHEDDABLE[:4])] >= -1e-9)
    np.testing.assert_allclose(tight.power_kw + tight.withheld_kw, free.power_kw, atol=1e-9)
    np.testing.assert_array_equal(tight.shed, tight.withheld_kw > 0)
    assert tight.shed.any()
    assert not free.withheld_kw.any()


def test_how_long_a_load_could_stay_down_shrinks_while_it_is_held() -> None:
    of = fleet(homes=200, hour=20)
    first, second = run(of, 60, held(of), each=30)
    parked = of.state.ev_home & (of.stock.rated_kw[EV] > 0) & (second.hold_s[:, EV] > 0)
    assert parked.any()
    np.testing.assert_allclose(first.hold_s[parked, EV] - second.hold_s[parked, EV], 1800, atol=120)
    assert np.all(np.isinf(second.hold_s[:, [DRYER, BATTERY, REFRIGERATOR]]))
    assert np.all(second.hold_s >= 0)
    warm = of.state.tank_kwh > physics.LUKEWARM * of.stock.tank_kwh
    np.testing.assert_array_equal(second.hold_s[:, WATER_HEATER] > 0, warm)


def test_a_load_held_no_longer_than_it_can_stay_down_is_still_comfortable() -> None:
    of = fleet(homes=200, hour=18)
    estimate = of.step(of.at + timedelta(minutes=1)).hold_s[:, WATER_HEATER]
    run(of, 15, held(of, rows=[WATER_HEATER]))
    long = estimate > 2 * 900  # twice: what is used changes with the hour
    assert long.any()
    assert np.all(of.state.tank_kwh[long] >= physics.LUKEWARM * of.stock.tank_kwh[long])


def test_an_event_sheds_and_then_rebounds() -> None:
    of = fleet(hour=17, homes=150)
    twin = of.twin()
    event, usual = run(of, 60, held(of)), run(twin, 60)
    assert used_kwh(event).sum() < 0.75 * used_kwh(usual).sum()
    assert all(step.shed.any() for step in event)
    after, usual_after = run(of, 60), run(twin, 60)
    assert not any(step.shed.any() for step in after)
    for row in (HVAC, WATER_HEATER):
        assert used_kwh(after, row).sum() > used_kwh(usual_after, row).sum()
    rest, usual_rest = run(of, 16 * 60), run(twin, 16 * 60)
    for row in (EV, DRYER):  # by the next day the cars are charged and the laundry is dry all the same
        total, expected = (used_kwh(a + b + c, row).sum() for a, b, c in
                           ((event, after, rest), (usual, usual_after, usual_rest)))  # fmt: skip
        assert total == pytest.approx(expected, rel=0.02)


def test_the_length_of_a_step_does_not_change_the_energy() -> None:
    of = fleet(hour=15)
    twin, coarse = of.twin(), of.twin()
    long = [of.step(of.at + timedelta(seconds=900)) for _ in range(16)]
    short = [twin.step(twin.at + timedelta(seconds=60)) for _ in range(16 * 15)]
    rough = [coarse.step(coarse.at + timedelta(seconds=900), substep_s=120) for _ in range(16)]
    np.testing.assert_allclose(used_kwh(long), used_kwh(short), atol=1e-6)
    assert used_kwh(rough).sum() == pytest.approx(used_kwh(long).sum(), rel=0.02)


def test_cars_leave_charged() -> None:
    of = fleet(hour=6)
    has = of.stock.ev_kwh > 0
    charged = of.state.ev_kwh[has] >= 0.99 * physics.EV_TARGET * of.stock.ev_kwh[has]
    assert charged.mean() > 0.95


def test_houses_stay_comfortable_and_water_hot() -> None:
    of = fleet()
    for _ in range(24):
        of.step(of.at + timedelta(hours=1))
        cooled = of.stock.rated_kw[HVAC] > 0
        assert np.all(of.state.indoor_c[cooled] < of.stock.cool_c[cooled] + of.stock.away_k[cooled] + 2)
        heated = of.stock.rated_kw[WATER_HEATER] > 0
        assert (of.state.tank_kwh[heated] > 0.2 * of.stock.tank_kwh[heated]).mean() > 0.95


def test_a_late_weekday_afternoon_has_something_to_shed_in_any_season() -> None:
    for month in (1, 4, 7, 10):
        at = datetime(2026, month, 14, 16, 30, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
        of = warmed_up(100, 7, at, zone=ZONE, latitude=36.74, longitude=-119.79)
        step = of.step(at + timedelta(minutes=1))
        assert step.sheddable_kw.sum() > 100 * 0.7


def test_ten_like_days_foretell_the_eleventh() -> None:
    of = fleet(homes=150)
    weekdays: list[Array] = []
    while len(weekdays) < 11:
        working = of.at.astimezone(ZoneInfo(ZONE)).weekday() < 5
        day = np.array([step.meter_kw.sum() for step in run(of, 24 * 60)])
        if working:
            weekdays.append(day)
    peak = slice(17 * 4, 19 * 4)
    expected, actual = np.mean(weekdays[:10], axis=0)[peak], weekdays[10][peak]
    error = np.sqrt(np.mean((expected - actual) ** 2)) / actual.mean()
    assert 0.005 < error < 0.2
    assert not np.array_equal(weekdays[0], weekdays[1])


def test_every_load_is_somewhere_and_not_every_home_has_all() -> None:
    built = fleet(homes=200).stock
    has = built.rated_kw > 0
    assert has.any(axis=1).all()
    assert has[[LOADS.index(name) for name in ("refrigerator", "outlets", "lights")]].all()
    assert not has[HVAC].all()
    assert set(built.panel_a.tolist()) == {100, 150, 200}


@given(st.integers(0, 2**32 - 1), st.integers(700_000, 760_000), st.floats(0, 23.999))
def test_it_is_always_a_hot_dry_summer_without_jumps(seed: int, day: int, hour: float) -> None:
    weather = Weather(seed, 36.74)
    now, soon = weather.at(day, hour), weather.at(day + (hour + 0.02 >= 24), (hour + 0.02) % 24)
    assert 8 < now.outdoor_c < 48
    assert 0 <= now.cloud <= 1
    assert 0 <= now.irradiance_kw_m2 < 1.1
    assert abs(soon.outdoor_c - now.outdoor_c) < 0.3
    assert now == Weather(seed, 36.74).at(day, hour)
    assert weather.at(day, 1.0).irradiance_kw_m2 == 0 < weather.at(day, 13.0).irradiance_kw_m2


def test_the_station_tells_each_hour_once_it_is_over(tmp_path: Path) -> None:
    station = Station(tmp_path / "weather.csv", TUESDAY, fleet(homes=1).outdoor_c)
    for minutes in (59, 61, 180):
        station.tell(TUESDAY + timedelta(minutes=minutes))
    header, *lines = (tmp_path / "weather.csv").read_text().splitlines()
    assert header == "at,outdoor_degc"
    assert [line.split(",")[0] for line in lines] == [iso(TUESDAY + timedelta(hours=n)) for n in range(3)]
    assert all(10 < float(line.split(",")[1]) < 45 for line in lines)
