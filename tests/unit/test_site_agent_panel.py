"""The panel guard's laws: never above while that can be, the less important first, no coming and going."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.ven.agent.configuration import Load
from tieline.ven.agent.decision import Decision, Guarded, State, Wanted, Why, decide
from tieline.ven.agent.drivers.gpio import Gpio
from tieline.ven.agent.drivers.simulated import Simulated
from tieline.ven.agent.panel import Demand, guarded

KW = st.floats(0, 20).map(lambda kw: round(kw, 2))


@st.composite
def demands(draw: st.DrawFn) -> list[Demand]:
    count = draw(st.integers(1, 6))
    return [
        Demand(
            f"load-{number}",
            wanted_kw=draw(KW),
            floor_kw=draw(st.floats(0, 2)) if (stepless := draw(st.booleans())) else 0.0,
            priority=draw(st.integers(0, 3)),
            is_stepless=stepless,
            rests=draw(st.booleans()),
        )
        for number in range(count)
    ]


def drawn(one: Demand, limits: dict[str, float]) -> float:
    return min(one.wanted_kw, limits.get(one.load_id, one.wanted_kw))


@given(demands(), KW, st.floats(-5, 10), st.dictionaries(st.sampled_from([f"load-{i}" for i in range(6)]), KW), KW)
def test_all_together_stay_below_the_limit_while_that_can_be(
    loads: list[Demand], limit_kw: float, base_kw: float, held: dict[str, float], margin_kw: float
) -> None:
    limits = guarded(limit_kw, base_kw, loads, held, margin_kw)
    floors = sum(min(one.floor_kw, one.wanted_kw) for one in loads)
    total = base_kw + sum(drawn(one, limits) for one in loads)
    assert total <= max(limit_kw, base_kw + floors) + 1e-9


@given(demands(), KW, st.floats(-5, 10), st.dictionaries(st.sampled_from([f"load-{i}" for i in range(6)]), KW), KW)
def test_every_load_keeps_its_floor(
    loads: list[Demand], limit_kw: float, base_kw: float, held: dict[str, float], margin_kw: float
) -> None:
    limits = guarded(limit_kw, base_kw, loads, held, margin_kw)
    assert all(drawn(one, limits) >= min(one.floor_kw, one.wanted_kw) - 1e-9 for one in loads)


@given(demands(), KW, st.floats(0, 10))
def test_a_load_gives_way_only_where_the_more_important_leave_no_room(
    loads: list[Demand], limit_kw: float, base_kw: float
) -> None:
    limits = guarded(limit_kw, base_kw, loads, {})
    for one in loads:
        before = [other for other in loads if (-other.priority, other.load_id) < (-one.priority, one.load_id)]
        after = sum(min(other.floor_kw, other.wanted_kw) for other in loads if other not in before and other != one)
        room_kw = limit_kw - base_kw - sum(drawn(other, limits) for other in before) - after
        if one.load_id in limits:
            assert one.wanted_kw > room_kw - 1e-9
        elif one.wanted_kw > min(one.floor_kw, one.wanted_kw):
            assert one.wanted_kw <= room_kw + 1e-9


@given(demands(), KW, st.floats(0, 10), st.floats(0, 3))
def test_what_is_held_does_not_come_and_go(
    loads: list[Demand], limit_kw: float, base_kw: float, margin_kw: float
) -> None:
    """Nothing changes, nothing is decided otherwise; and whoever comes back leaves the margin."""
    first = guarded(limit_kw, base_kw, loads, {}, margin_kw)
    second = guarded(limit_kw, base_kw, loads, first, margin_kw)
    assert second == pytest.approx(first)
    eased = guarded(limit_kw + margin_kw / 2, base_kw, loads, first, margin_kw)
    for one in loads:
        if one.load_id in first and one.load_id not in eased:
            lower = {name: kw for name, kw in eased.items() if name != one.load_id}
            assert base_kw + sum(drawn(other, lower) for other in loads) <= limit_kw + margin_kw / 2 + 1e-9


def test_one_that_rests_stays_down_although_there_is_room() -> None:
    pump = Demand("pump", 2.0, rests=True)
    assert guarded(10, 0, [pump], {"pump": 0.0}) == {"pump": 0.0}
    assert guarded(10, 0, [pump], {}) == {}


# --- with all else that is asked --------------------------------------------------------------------------------------

CAR = Load(id="car", kind="ev", rated_kw=7.0, driver=Simulated(), floor_kw=1.4, priority=2)
BOILER = Load(id="boiler", kind="water_heater", rated_kw=3.0, driver=Gpio(pin=17), priority=1)


def states(car_kw: float | None = 7.0, boiler_kw: float | None = 3.0, **boiler: bool) -> list[State]:
    return [State(CAR, car_kw), State(BOILER, boiler_kw, **boiler)]


def wanted(asked: dict[str, float] | None = None, panel_kw: float | None = None, base_kw: float = 1.0) -> Wanted:
    return Wanted(asked or {}, panel_kw, base_kw, fuse_kw=12.0, margin=0.05)


def held(decision: Decision) -> dict[str, tuple[float, Why]]:
    return {name: (round(one.limit_kw, 6), one.why) for name, one in decision.holds.items()}


def test_nothing_is_held_that_nobody_asks_for() -> None:
    assert held(decide(wanted(), states(), Decision())) == {}


def test_an_event_holds_down_to_the_floor() -> None:
    decision = decide(wanted({"car": 0.0, "boiler": 0.0}), states(), Decision())
    assert held(decision) == {"car": (1.4, Why.ASKED), "boiler": (0.0, Why.ASKED)}


def test_comfort_goes_before_an_event_and_the_fuse_before_comfort() -> None:
    cold = states(may_hold=False)
    assert held(decide(wanted({"boiler": 0.0}), cold, Decision())) == {}
    over = decide(wanted({"boiler": 0.0}, base_kw=4.0), cold, Decision())
    assert held(over) == {"boiler": (0.0, Why.FUSE)}


def test_a_command_to_the_panel_spares_whom_comfort_spares() -> None:
    decision = decide(wanted(panel_kw=6.0), states(may_hold=False), Decision())
    assert held(decision) == {"car": (2.0, Why.PANEL)}
    assert held(decide(wanted(panel_kw=6.0), states(), Decision())) == {
        "car": (5.0, Why.PANEL),
        "boiler": (0.0, Why.PANEL),
    }


def test_what_the_fuse_held_comes_back_with_a_margin() -> None:
    over = decide(wanted(base_kw=4.0), states(), Decision())
    assert held(over) == {"boiler": (0.0, Why.FUSE)}
    tight = decide(wanted(base_kw=2.0), states(boiler_kw=0.0), over)
    assert held(tight) == {"boiler": (0.0, Why.FUSE)}
    assert held(decide(wanted(base_kw=1.5), states(boiler_kw=0.0), tight)) == {"boiler": (0.0, Why.FUSE)}
    assert held(decide(wanted(base_kw=1.3), states(boiler_kw=0.0), tight)) == {}


def test_what_went_off_for_an_event_rests_before_it_comes_back() -> None:
    during = decide(wanted({"boiler": 0.0}), states(), Decision())
    resting = decide(wanted(), states(boiler_kw=0.0, rests=True), during)
    assert held(resting) == {"boiler": (0.0, Why.REST)}
    assert held(decide(wanted(), states(boiler_kw=0.0), resting)) == {}


def test_a_load_that_is_unknown_is_held_where_it_is_asked_to_be() -> None:
    decision = decide(wanted({"car": 2.0}), states(car_kw=None), Decision(guarded=Guarded(fuse={"car": 3.0})))
    assert held(decision) == {"car": (2.0, Why.ASKED)}
