"""The rules of the markets, each against figures worked by hand or published."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.unit.baseline_homes import DURING, SUNDAY, WEDNESDAY, baselines, day, event, home, kwh
from tieline.base.errors import NotFound, Refused
from tieline.settlement.baseline import markets
from tieline.settlement.baseline.adjusting import CAPPED
from tieline.settlement.baseline.days import candidates
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.fleet import Fleet
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.rules import Pick, Rule

SATURDAY = date(2026, 7, 18)


def plain(rule: Rule) -> Rule:
    """The same without its adjustment."""
    return msgspec.structs.replace(rule, adjust=None)


def flat(rule: Rule, *loads: float, until: date = WEDNESDAY, today: float = 1.0) -> Fleet:
    """A home with the same power all day: on the rule's nearest days these, and on those before the last of them."""
    found: Iterator[date] = iter(candidates(rule, until))
    days = dict(zip(found, loads, strict=False))
    return home(day(today), lambda ago: day(days.get(until - timedelta(days=ago), np.nan)), until)


def of_event(event_kw: float, **hours: float) -> Floats:
    kw = day(**hours)
    kw[DURING] = event_kw
    return kw


# --- PJM --------------------------------------------------------------------------------------------------------------


def test_pjm_same_day_is_the_mean_of_three_hours_before_and_two_after() -> None:
    """An event in hours ending 13 to 17 looks at hours ending 9-11 and 19-20 (RTO Insider, “Improved DR Baseline
    Processes OKd”)."""
    hours_ending = np.arange(1.0, 25.0) ** 2
    fleet = home(hours_ending, lambda _: day())
    got = baselines(markets.PJM_SAME_DAY, fleet, event(start_h=12, hours=5))
    np.testing.assert_allclose(got.kw, [[np.mean([81, 100, 121, 361, 400])] * 5])


def test_pjm_same_day_is_refused_where_an_hour_is_not_known() -> None:
    got = baselines(markets.PJM_SAME_DAY, home(day(h20=np.nan), lambda _: day()))
    assert "every step of its hours beside the event" in got.reasons[0]
    frame = home(day(), lambda _: day()).frame(slice(None), event(), [markets.PJM_SAME_DAY])
    touched = apply(markets.PJM_SAME_DAY, replace(frame, touched=np.array([True])))
    assert "another event" in touched.reasons[0]


def test_pjm_highest_four_of_five() -> None:
    assert kwh(plain(markets.PJM_4_OF_5), flat(markets.PJM_4_OF_5, 5, 1.5, 2, 3, 4)) == pytest.approx(2 * 3.5)


def test_pjm_takes_the_four_there_are() -> None:
    assert kwh(plain(markets.PJM_4_OF_5), flat(markets.PJM_4_OF_5, 5, 2, 3, 4)) == pytest.approx(2 * 3.5)


@pytest.mark.parametrize("until", [SATURDAY, SUNDAY])
def test_pjm_highest_two_of_three_on_weekends(until: date) -> None:
    fleet = flat(markets.PJM_4_OF_5, 1, 2, 3, until=until)
    assert kwh(plain(markets.PJM_4_OF_5), fleet, event(until)) == pytest.approx(2 * 2.5)


def test_pjm_replaces_days_of_low_use() -> None:
    """0.2 is below a quarter of the five days' mean: the sixth day stands in; 1 then is not below theirs."""
    fleet = flat(markets.PJM_4_OF_5, 4, 0.2, 4, 4, 4, 1)
    got = baselines(plain(markets.PJM_4_OF_5), fleet)
    assert got.kw.sum() == pytest.approx(2 * 4)
    assert date(2026, 7, 13) not in got.days(0)


def test_a_home_that_feeds_in_has_no_days_of_low_use() -> None:
    assert kwh(plain(markets.PJM_4_OF_5), flat(markets.PJM_4_OF_5, -4, -1, -4, -4, -4)) == pytest.approx(0)  # the floor
    no_floor = msgspec.structs.replace(plain(markets.PJM_4_OF_5), floor_kw=None)
    assert kwh(no_floor, flat(no_floor, -4, -1, -4, -4, -4)) == pytest.approx(2 * -3.25)


def test_pjm_makes_up_for_too_few_days_with_those_of_events_the_highest_first() -> None:
    rule = plain(markets.PJM_4_OF_5)
    fleet = flat(rule, 9, 2, 7, 2, 8, 2)
    called = [date(2026, 7, 14), date(2026, 7, 10), date(2026, 7, 8)]
    marks = np.array([[one in called for one in fleet.days]])
    got = baselines(rule, replace(fleet, called=marks))
    assert got.days(0) == [date(2026, 7, d) for d in (14, 13, 9, 7)]
    assert got.kw.sum() == pytest.approx(2 * (9 + 2 + 2 + 2) / 4)


def test_pjm_adds_the_difference_of_the_hours_before() -> None:
    usual = of_event(5, h13=2, h14=2, h15=2)
    up = home(day(h13=3, h14=4, h15=5), lambda _: usual)
    assert kwh(markets.PJM_4_OF_5, up) == pytest.approx(2 * (5 + 2))
    down = home(day(0, h13=-9), lambda _: usual)
    assert kwh(markets.PJM_4_OF_5, down) == pytest.approx(2 * 0)  # 5 − 5 is 0, and never less


# --- ISO New England --------------------------------------------------------------------------------------------------


def test_a_tenth_of_each_new_day() -> None:
    """From 100, two days at 200: 110, then 119."""
    rule = plain(markets.ISONE_90_10)
    assert kwh(rule, flat(rule, *[100] * 10)) == pytest.approx(2 * 100)
    assert kwh(rule, flat(rule, 200, *[100] * 10)) == pytest.approx(2 * 110)
    assert kwh(rule, flat(rule, 200, 200, *[100] * 10)) == pytest.approx(2 * 119)


def test_the_exponential_form_needs_its_seed() -> None:
    got = baselines(markets.ISONE_90_10, flat(markets.ISONE_90_10, *[1] * 9))
    assert "9 business days" in got.reasons[0]


@pytest.mark.parametrize(("until", "most"), [(WEDNESDAY, 10), (SATURDAY, 5), (SUNDAY, 5)])
def test_mean_of_ten_or_five_by_day_type(until: date, most: int) -> None:
    loads = list(range(1, most + 1))
    rule = plain(markets.ISONE_10_OF_10)
    assert kwh(rule, flat(rule, *loads, 99, until=until), event(until)) == pytest.approx(2 * np.mean(loads))
    assert f"needs {most}" in baselines(rule, flat(rule, *loads[1:], until=until), event(until)).reasons[0]


# --- California -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [markets.CAISO_5_IN_10, markets.PGE_5_OF_10])
def test_the_five_highest_of_ten(rule: Rule) -> None:
    assert kwh(plain(rule), flat(rule, 10, 1, 9, 2, 8, 3, 7, 4, 6, 5, 99)) == pytest.approx(2 * 8)


def test_the_three_highest_of_five_on_weekends() -> None:
    loads = (1, 5, 2, 4, 3, 99)
    pge, caiso = markets.PGE_5_OF_10, markets.CAISO_5_IN_10
    assert kwh(plain(pge), flat(pge, *loads, until=SUNDAY), event(SUNDAY)) == pytest.approx(2 * 4)
    weighed = 0.5 * 5 + 0.3 * 4 + 0.2 * 3
    assert kwh(plain(caiso), flat(caiso, *loads, until=SUNDAY), event(SUNDAY)) == pytest.approx(2 * weighed)


def test_days_of_an_event_or_an_outage_are_not_considered() -> None:
    """“Only the days that did not experience an event or power outage are considered” (PG&E, Power Saver Rewards, FAQ):
    two more days are looked at instead, and the five highest of ten stay."""
    rule = plain(markets.CAISO_5_IN_10)
    fleet = flat(rule, 99, 10, 99, 1, 9, 2, 8, 3, 7, 4, 6, 5)
    nearest = candidates(rule, WEDNESDAY)
    called, out = (np.array([[one == day for one in fleet.days]]) for day in (nearest[0], nearest[2]))
    assert kwh(rule, replace(fleet, called=called, out=out)) == pytest.approx(2 * 8)


@pytest.mark.parametrize(("today", "factor"), [(1.2, 1.2), (3.0, 1.4), (0.1, 0.71)])
def test_five_in_ten_is_adjusted_by_two_hours_on_either_side(today: float, factor: float) -> None:
    """13 and 14 before an event at 17, 21 and 22 after its end at 19: each two hours off."""
    fleet = home(day(h13=today, h14=today, h15=9, h16=9, h19=9, h20=9, h21=today, h22=today), lambda _: day())
    got = baselines(markets.CAISO_5_IN_10, fleet)
    np.testing.assert_allclose(got.factor, [factor])
    assert (got.note(0) == CAPPED) == (today != 1.2)


@pytest.mark.parametrize(("load", "shift"), [(600, 100), (400, 0)])
def test_raised_only(load: float, shift: float) -> None:
    """500 kW usually and 600 kW now is +100 kW; 400 kW now is 0, not negative (Flexibility Services Standard Agreement,
    “Baseline Adjustment”, as markettransfer.info prints it)."""
    got = baselines(markets.FLEXIBILITY_10, home(day(500, h15=load), lambda _: day(500)))
    np.testing.assert_allclose(got.shift_kw, [shift])
    np.testing.assert_allclose(got.kw, [[500 + shift] * 2])


# --- ERCOT ------------------------------------------------------------------------------------------------------------


def test_the_middle_eight_of_ten() -> None:
    rule = markets.ERCOT_8_OF_10
    fleet = flat(rule, 10, 1, 9, 2, 8, 3, 7, 4, 5, 50, 99)  # without the 1 and the 50
    assert kwh(plain(rule), fleet) == pytest.approx(2 * 6)
    assert "needs 10" in baselines(rule, flat(rule, *range(9))).reasons[0]


def test_the_nearest_days_may_be_later_ones() -> None:
    """Twenty like days on both sides: ten weekdays back, ten ahead."""
    first = WEDNESDAY - timedelta(days=40)
    ramp = np.repeat(np.arange(81.0)[:, None], 24, axis=1)
    fleet = Fleet(ramp[None], first)
    got = baselines(plain(markets.ERCOT_NEAREST), fleet)
    near = got.days(0)
    assert len(near) == 20
    assert sum(one > WEDNESDAY for one in near) == 10
    assert max(abs(one - WEDNESDAY) for one in near) == timedelta(days=14)
    assert got.kw.sum() == pytest.approx(2 * np.mean([(one - first).days for one in near]))


# --- AEMO, Taipower ---------------------------------------------------------------------------------------------------


def test_aemo_has_four_variants() -> None:
    business, other = flat(markets.AEMO_BUSINESS, *range(1, 12)), flat(markets.AEMO_OTHER, *range(1, 6), until=SUNDAY)
    assert kwh(plain(markets.AEMO_BUSINESS), business) == pytest.approx(2 * 5.5)
    assert kwh(plain(markets.AEMO_OTHER), other, event(SUNDAY)) == pytest.approx(2 * 2.5)
    for rule, fleet, at in ((markets.AEMO_BUSINESS, other, SUNDAY), (markets.AEMO_OTHER, business, WEDNESDAY)):
        assert "has no baseline for" in baselines(rule, fleet, event(at)).reasons[0]
        assert kwh(plain(markets.AEMO_COMPOSITE), fleet, event(at)) > 0
    assert len(baselines(markets.AEMO_ALL, home(day(), lambda _: day())).days(0)) == 10


def test_taipower_as_a_public_implementation_prints_it() -> None:
    """“DR API Server – 日選時段型 CBL”: 20 days of 99.91 kW, 99.89 kW from 22:00 to 24:00 and 79.97 kW there on the day
    (an adjustment below zero is none), a contract of 120 kW; 89.35 kW were drawn, so 10.56 kW were saved."""
    usual = np.full(24, 99.91)
    usual[22:] = 99.89
    fleet = replace(home(day(89.35, h22=79.97, h23=79.97), lambda _: usual), contract_kw=np.array([120.0]))
    got = baselines(markets.TAIPOWER_20, fleet, event(start_h=16, hours=6))
    np.testing.assert_allclose(got.kw, [[99.91] * 6])
    assert len(got.days(0)) == 20
    assert round(float(got.kw.mean()) - 89.35, 2) == 10.56


def test_taipower_is_raised_up_to_the_contract() -> None:
    fleet = home(day(h22=31, h23=31), lambda _: day(1.0))
    assert kwh(markets.TAIPOWER_20, fleet) == pytest.approx(2 * 31)
    assert kwh(markets.TAIPOWER_20, replace(fleet, contract_kw=np.array([20.0]))) == pytest.approx(2 * 20)
    assert kwh(markets.TAIPOWER_20, replace(fleet, contract_kw=np.array([np.nan]))) == pytest.approx(2 * 31)


# --- Of no one market -------------------------------------------------------------------------------------------------


def test_meter_before() -> None:
    assert kwh(markets.METER_BEFORE, home(day(h16=7), lambda _: day())) == pytest.approx(2 * 7)


def test_the_day_before() -> None:
    assert kwh(markets.DAY_BEFORE, home(day(), day)) == pytest.approx(2 * 1)


# --- Rules as data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", markets.RULES.values(), ids=markets.RULES)
def test_a_rule_survives_json(rule: Rule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule
    assert markets.rule(rule.name) is rule
    assert rule.source
    assert rule.read


@pytest.mark.parametrize(
    "wrong",
    [
        {"most": 4, "least": 5},
        {"most": 4, "least": 0},
        {"most": 4, "least": 4, "keep": 5},
        {"most": 5, "least": 5, "keep": 3, "shares": [0.5, 0.5]},
        {"most": 5, "least": 5, "keep": 2, "shares": [1.5, -0.5]},
    ],
)
def test_a_pick_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused, match="expected"):
        msgspec.convert(wrong, Pick)


def test_a_rule_nobody_knows() -> None:
    with pytest.raises(NotFound, match="caiso-10-in-10"):
        markets.rule("caiso-11-in-10")


def test_a_market_that_is_not_here_is_a_page_of_data() -> None:
    """As the reference page shows it."""
    page = (Path(__file__).parents[2] / "docs/reference/baselines.md").read_text(encoding="utf-8")
    declared = page.partition("```json\n")[2].partition("```")[0]
    rule = plain(msgspec.json.decode(declared, type=Rule))
    assert kwh(rule, flat(rule, 100, 1, 2, 3, 4, 5, 6, 7, 8, -50)) == pytest.approx(2 * np.mean([2, 3, 4, 5, 6, 7]))
