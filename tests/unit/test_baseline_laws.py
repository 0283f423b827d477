"""Laws that every rule keeps: scale, order, what is outside the look-back, neighbours, what may be looked at."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.baseline_homes import DURING, SUNDAY, WEDNESDAY, baselines, event
from tieline.settlement.baseline.engine import across, apply
from tieline.settlement.baseline.fleet import Event, Fleet
from tieline.settlement.baseline.frame import Frame
from tieline.settlement.baseline.markets import CAISO_10_IN_10, DAY_BEFORE, PJM_4_OF_5, RULES
from tieline.settlement.baseline.result import Baselines
from tieline.settlement.baseline.rules import Rule

DAYS, METERS = 130, 4
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Fleet, Event]:
    """Four homes, some of their hours unknown, some days with other events, around a business day or a Sunday."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    until = draw(st.sampled_from([WEDNESDAY, SUNDAY]))
    kw = random.gamma(2.0, 0.5, (METERS, DAYS, 24)) + 0.01
    kw[random.random(kw.shape) < draw(st.sampled_from([0.0, 0.002, 0.02]))] = np.nan
    fleet = Fleet(
        kw,
        until - timedelta(days=65),
        called=random.random((METERS, DAYS)) < draw(st.sampled_from([0.0, 0.1])),
        out=random.random((METERS, DAYS)) < 0.02,
        contract_kw=np.array([2.0, np.nan, 5.0, 1.0]),
        temperature_c=random.normal(18, 8, (DAYS, 24)),
        group_kw=random.gamma(2.0, 0.5, (DAYS, 24)),
        forecast_kw=random.gamma(2.0, 0.5, (DAYS, 24)),
        controls=Fleet(random.gamma(2.0, 0.5, (8, DAYS, 24)), until - timedelta(days=65)),
    )
    return fleet, event(until)


def same(one: Baselines, other: Baselines) -> None:
    np.testing.assert_allclose(one.kw, other.kw, rtol=1e-9, atol=1e-12)
    assert one.reasons == other.reasons
    for meter in range(len(one.kw)):
        assert one.days(meter) == other.days(meter)
        assert one.note(meter) == other.note(meter)


def frame_of(rule: Rule, fleet: Fleet, at: Event) -> Frame:
    return fleet.frame(slice(None), at, [rule])


def scaled(fleet: Fleet, by: float) -> Fleet:
    contract = None if fleet.contract_kw is None else fleet.contract_kw * by
    controls = None if fleet.controls is None else scaled(fleet.controls, by)
    return replace(fleet, kw=fleet.kw * by, contract_kw=contract, controls=controls)


@each_rule
@settings(max_examples=15)
@given(fleets(), st.sampled_from([0.5, 2.0, 1024.0]))
def test_scaling_all_loads_scales_the_energy(rule: Rule, given_: tuple[Fleet, Event], by: float) -> None:
    fleet, at = given_
    once, more = baselines(rule, fleet, at), baselines(rule, scaled(fleet, by), at)
    np.testing.assert_allclose(more.kw, once.kw * by, rtol=1e-5)
    assert more.reasons == once.reasons


@each_rule
@settings(max_examples=10)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_days_never_matters(rule: Rule, given_: tuple[Fleet, Event], random: object) -> None:
    frame = frame_of(rule, *given_)
    order = random.sample(range(len(frame.days)), len(frame.days))  # type: ignore[attr-defined]
    shuffled = shuffle_days(frame, order)
    if frame.controls is not None:
        shuffled = replace(shuffled, controls=shuffle_days(frame.controls, order[::-1]))
    same(apply(rule, shuffled), apply(rule, frame))


def shuffle_days(frame: Frame, order: list[int]) -> Frame:
    weather, outlook = frame.weather, frame.outlook
    return replace(
        frame,
        days=[frame.days[i] for i in order],
        kw=frame.kw[order],
        called=None if frame.called is None else frame.called[order],
        out=None if frame.out is None else frame.out[order],
        weather=None if weather is None else replace(weather, days_c=weather.days_c[order]),
        outlook=None
        if outlook is None
        else replace(outlook, days_kw=outlook.days_kw[order], foretold_kw=outlook.foretold_kw[order]),
    )


@each_rule
@settings(max_examples=10)
@given(fleets())
def test_a_meter_depends_neither_on_its_neighbours_nor_on_its_place(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    frame = frame_of(rule, *given_)
    whole = apply(rule, frame)
    for meter in range(METERS):
        alone = apply(rule, frame.of(np.array([meter])))
        np.testing.assert_allclose(alone.kw[0], whole.kw[meter], rtol=1e-9)
        assert alone.days(0) == whole.days(meter)
        assert alone.reasons.get(0) == whole.reasons.get(meter)


@each_rule
@settings(max_examples=10)
@given(fleets())
def test_days_outside_the_look_back_change_nothing(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    fleet, at = given_
    today = (at.day - fleet.first_day).days
    wild = fleet.kw.copy()
    wild[:, : today - rule.look_back_days - 1] = 999.0
    wild[:, today + rule.look_ahead_days + 1 :] = 999.0
    same(baselines(rule, replace(fleet, kw=wild), at), baselines(rule, fleet, at))


@each_rule
@settings(max_examples=10)
@given(fleets())
def test_the_events_own_hours_are_never_looked_at(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    fleet, at = given_
    called = fleet.kw.copy()
    called[:, (at.day - fleet.first_day).days, DURING] = np.nan
    same(baselines(rule, replace(fleet, kw=called), at), baselines(rule, fleet, at))


@each_rule
@settings(max_examples=10)
@given(fleets())
def test_there_is_a_baseline_or_a_reason(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    got = baselines(rule, *given_)
    for meter in range(METERS):
        assert np.isnan(got.kw[meter]).all() == (meter in got.reasons)
        assert np.isnan(got.kw[meter]).any() == (meter in got.reasons)
        assert all(got.reasons.values())


@each_rule
def test_the_same_load_every_day_is_its_own_baseline(rule: Rule) -> None:
    """A home of habit, with controls of the same habit: its baseline is what it draws, by every rule."""
    at = event()
    kw = np.full((METERS, DAYS, 24), 1.5)
    first = WEDNESDAY - timedelta(days=65)
    fleet = Fleet(
        kw,
        first,
        temperature_c=np.full((DAYS, 24), 18.0),
        group_kw=np.full((DAYS, 24), 2.0),
        forecast_kw=np.full((DAYS, 24), 2.0),
        controls=Fleet(np.full((8, DAYS, 24), 1.5), first),
    )
    got = baselines(rule, fleet, at)
    if "has no baseline for" not in got.reasons.get(0, ""):
        np.testing.assert_allclose(got.kw, 1.5, rtol=1e-3)


@pytest.mark.parametrize("rule", [CAISO_10_IN_10, PJM_4_OF_5], ids=lambda rule: rule.name)
@settings(max_examples=30)
@given(fleets())
def test_the_baseline_stays_within_its_days_and_the_cap(rule: Rule, given_: tuple[Fleet, Event]) -> None:
    fleet, at = given_
    got = baselines(rule, fleet, at)
    for meter in set(range(METERS)) - set(got.reasons):
        drawn = np.stack([fleet.kw[meter, (one - fleet.first_day).days, DURING] for one in got.days(meter)])
        usual = (got.kw[meter] - got.shift_kw[meter]) / got.factor[meter]
        assume((got.kw[meter] > 0).all())
        assert (usual <= drawn.max(axis=0) + 1e-9).all()
        assert (usual >= drawn.min(axis=0) - 1e-9).all()


@pytest.mark.parametrize("portion", [1, 3])
def test_a_fleet_in_portions_is_the_fleet(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    first = WEDNESDAY - timedelta(days=65)
    kw = random.gamma(2.0, 0.5, (10, 70, 24))
    kw[random.random(kw.shape) < 0.01] = np.nan
    fleet = Fleet(kw, first, controls=Fleet(random.gamma(2.0, 0.5, (8, 70, 24)), first))
    whole = across(fleet, RULES.values(), event())
    monkeypatch.setattr("tieline.settlement.baseline.fleet.AT_ONCE", portion)
    parts = across(fleet, RULES.values(), event())
    for name in RULES:
        same(parts[name], whole[name])


def test_how_an_array_lies_in_memory_never_matters() -> None:
    kw = np.random.default_rng(0).gamma(2.0, 0.5, (1500, 61, 24))
    first = WEDNESDAY - timedelta(days=60)
    beside = np.ascontiguousarray(kw.transpose(1, 2, 0)).transpose(2, 0, 1)
    same(baselines(CAISO_10_IN_10, Fleet(beside, first)), baselines(CAISO_10_IN_10, Fleet(kw, first)))


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_the_naive_rule_takes_yesterday(until: date) -> None:
    fleet = Fleet(np.arange(20 * 24.0).reshape(1, 20, 24), until - timedelta(days=19))
    got = baselines(DAY_BEFORE, fleet, event(until))
    np.testing.assert_allclose(got.kw[0], fleet.kw[0, 18, DURING])
