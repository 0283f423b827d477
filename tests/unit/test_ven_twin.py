"""The device's side of its twin: what is desired is done as far as it can be, and no more is told than has changed."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given

from tests.unit.test_twins_model import states
from tieline.registry.twins.model import merged
from tieline.ven.twin import DeviceTwin, State, difference
from tieline.wires.mqtt.messages import CLASSIC, TWIN, TwinDelta, TwinReport

AT = datetime(2026, 7, 15, 17, tzinfo=UTC)


class Heater:
    """It takes any setpoint from 10 to 25, and knows of nothing else."""

    def __init__(self) -> None:
        self.said: list[TwinReport] = []
        self.state: State = {"setpoint_c": 19, "fan": {"on": True}}
        self.twin = DeviceTwin(self.send, self.apply)

    def send(self, kind: str, report: TwinReport) -> None:
        assert kind == TWIN
        self.said.append(msgspec.json.decode(msgspec.json.encode(report), type=TwinReport))

    def apply(self, desired: State) -> State:
        if "setpoint_c" in desired:
            self.state["setpoint_c"] = min(max(desired["setpoint_c"], 10), 25)
        return self.state

    def hear(
        self, version: int, state: State | None = None, *, name: str = CLASSIC, refused: str = ""
    ) -> list[State | None]:
        """What it reports when it is told so."""
        before = len(self.said)
        self.twin.on_desired(TwinDelta(name, version, AT, state or {}, refused=refused))
        return [one.reported for one in self.said[before:]]


@given(states, states)
def test_the_difference_of_two_states_makes_one_the_other(before: State, after: State) -> None:
    assert merged(before, difference(before, after)) == after
    assert difference(after, after) == {}


def test_what_is_told_once_is_not_told_again() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    heater.twin.report(heater.state)
    heater.state["fan"]["on"] = False
    heater.twin.report(heater.state)
    del heater.state["fan"]
    heater.twin.report(heater.state)
    assert [one.reported for one in heater.said] == [
        {"setpoint_c": 19, "fan": {"on": True}}, {"fan": {"on": False}}, {"fan": None},
    ]  # fmt: skip


def test_what_is_desired_is_done_as_far_as_it_can_be_and_told() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    assert heater.hear(2, {"setpoint_c": 21}) == [{"setpoint_c": 21}]
    assert heater.hear(4, {"setpoint_c": 40}) == [{"setpoint_c": 25}]
    assert heater.hear(6, {"light": "on"}) == []


def test_what_is_as_desired_and_asked_for_again_is_told_again() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    assert heater.hear(2, {"setpoint_c": 21}) == [{"setpoint_c": 21}]
    assert heater.hear(2, {"setpoint_c": 21}) == [{"setpoint_c": 21}]


def test_what_cannot_be_as_desired_is_told_once() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    assert heater.hear(2, {"setpoint_c": 40}) == [{"setpoint_c": 25}]
    assert heater.hear(3, {"setpoint_c": 40}) == []


def test_on_another_connection_it_may_be_an_older_platform_that_knows_nothing() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    heater.hear(9, {"setpoint_c": 40})
    heater.twin.on_connected()
    assert heater.hear(2, {"setpoint_c": 12}) == [{"setpoint_c": 12, "fan": {"on": True}}]


def test_a_delta_that_was_overtaken_is_not_acted_on() -> None:
    heater = Heater()
    heater.hear(5, {"setpoint_c": 21})
    assert heater.hear(4, {"setpoint_c": 12}) == []
    assert heater.state["setpoint_c"] == 21
    assert heater.hear(6, {"setpoint_c": 12}, name="another") == []


def test_what_was_refused_is_told_with_the_next() -> None:
    heater = Heater()
    heater.twin.report(heater.state)
    assert heater.hear(0, {"setpoint_c": 21}, refused="too large") == []
    assert heater.twin.refused == "too large"
    heater.twin.report(heater.state)
    assert heater.said[-1].reported == heater.state
    heater.hear(1)
    assert heater.twin.refused == ""


def test_it_can_ask() -> None:
    heater = Heater()
    heater.twin.ask()
    assert heater.said == [TwinReport(CLASSIC)]
