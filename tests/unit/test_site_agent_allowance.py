"""How long a load lets itself be held: shortest run, comfort band, ready by."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tieline.ven.agent.allowance import Condition, due_at, holdable_s, rests, strained
from tieline.ven.agent.configuration import Comfort, Load, ReadyBy
from tieline.ven.agent.drivers.simulated import Simulated

NOW = datetime(2026, 7, 14, 22, tzinfo=UTC)  # 23:00 in Lisbon
LISBON = ZoneInfo("Europe/Lisbon")


def load(**more: Any) -> Load:
    return Load(id="one", kind="any", rated_kw=6.0, driver=Simulated(), **more)


def spared_s(one: Load, condition: Condition, *, is_held: bool = False) -> float | None:
    return holdable_s(one, condition, NOW, LISBON, is_held=is_held)


def test_a_load_without_needs_can_be_held_as_long_as_it_is_asked() -> None:
    assert spared_s(load(), Condition(is_on=True, changed_at=NOW)) is None


def test_its_shortest_run_is_not_cut() -> None:
    one = load(min_on_s=600)
    since = Condition(is_on=True, changed_at=NOW - timedelta(seconds=599))
    assert spared_s(one, since) == 0
    assert spared_s(one, since, is_held=True) is None
    assert spared_s(one, Condition(is_on=True, changed_at=NOW - timedelta(seconds=600))) is None
    assert spared_s(one, Condition(is_on=False, changed_at=NOW)) is None
    assert spared_s(one, Condition(is_on=True)) is None  # since when is not known: it was on when we came


def test_its_shortest_pause_is_not_cut() -> None:
    one = load(min_off_s=300)
    assert rests(one, Condition(is_on=False, changed_at=NOW - timedelta(seconds=299)), NOW)
    assert not rests(one, Condition(is_on=False, changed_at=NOW - timedelta(seconds=300)), NOW)
    assert not rests(one, Condition(is_on=True, changed_at=NOW), NOW)
    assert not rests(one, Condition(), NOW)


def test_it_is_held_within_its_comfort_band_only() -> None:
    one = load(comfort=Comfort(min_c=45, max_c=70, drift_c_per_h=2))
    assert spared_s(one, Condition(temperature_c=46)) == 1800
    assert spared_s(one, Condition(temperature_c=69)) == 1800
    assert spared_s(one, Condition(temperature_c=None)) == 0
    assert spared_s(one, Condition(temperature_c=50, strained=True)) == 0
    assert spared_s(load(comfort=Comfort(min_c=45)), Condition(temperature_c=46)) is None


def test_one_that_left_its_band_must_be_well_inside_again() -> None:
    comfort = Comfort(min_c=45)
    assert strained(comfort, 45.0, before=False)
    assert not strained(comfort, 45.1, before=False)
    assert strained(comfort, 46.0, before=True)
    assert not strained(comfort, 46.1, before=True)


def test_a_car_is_held_as_long_as_it_can_still_be_full_in_time() -> None:
    car = load(ready_by=ReadyBy(time=time(7), energy_kwh=12))
    assert spared_s(car, Condition()) == 6 * 3600
    assert spared_s(car, Condition(energy_kwh=6)) == 7 * 3600
    assert spared_s(car, Condition(energy_kwh=12)) is None
    late = load(ready_by=ReadyBy(time=time(23, 30), energy_kwh=12))
    assert spared_s(late, Condition()) == 0


@given(st.integers(0, 365 * 24 * 60), st.times())
def test_what_is_due_is_due_within_a_day_and_at_that_time(minutes: int, at: time) -> None:
    """A clock that is changed makes days of 23 and of 25 hours, and leaves out an hour of one night."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    due = due_at(ReadyBy(time=at, energy_kwh=1), now, LISBON)
    assert timedelta(hours=-1) <= due - now <= timedelta(hours=25)
    assert due.time() == at
