"""When, in which unit and of whom a report tells, who opts out in it, and what cannot be understood."""

from typing import Any

import pytest

from tests.unit.reports_said import (
    HOUR,
    QUARTER_HOUR,
    T0,
    USAGE,
    event,
    home,
    points,
    reasons,
    report,
    resource,
    understood,
)
from tieline.base.series import Flag
from tieline.base.time import iso
from tieline.vtn.expectations import Period
from tieline.vtn.readings import MOST_READINGS, Home
from tieline.wires.openadr31.messages import (
    Interval,
    IntervalPeriod,
    Program,
    ReportDescriptor,
    ReportPayloadDescriptor,
)

# --- when -------------------------------------------------------------------------------------------------------------


def intervals_of(*ids: int) -> tuple[Interval, ...]:
    return tuple(Interval(id=one, payloads=()) for one in ids)


def test_without_a_period_the_events_interval_of_that_id_tells() -> None:
    """User Guide 7.7: its report has no intervalPeriod at all."""
    period = IntervalPeriod(start=iso(T0), duration="PT15M")
    said = report([resource({"id": 7, "payloads": [{"type": "USAGE", "values": [1]}]}, period=None)])
    assert points(understood(said, asked=event(interval_period=period, intervals=intervals_of(5, 7, 9)))) == [
        ("home-1.hvac.power_kw", 30, 4.0, Flag.GOOD)
    ]
    for unclear in (
        event(interval_period=period, intervals=intervals_of(5, 7, 7)),
        event(interval_period=period, intervals=intervals_of(5, 7), duration="P9999Y"),
        event(interval_period=period, intervals=intervals_of(5)),
        event(interval_period=period),
        event(),
    ):
        assert reasons(understood(said, asked=unclear)) == ["no period"]


def test_periods_are_inherited_and_follow_one_another() -> None:
    quarter = [{"type": "USAGE", "values": [1]}]
    said = report(
        [
            resource(
                {"id": 0, "payloads": quarter},
                {"id": 1, "payloads": quarter, "intervalPeriod": {"duration": "PT5M"}},
                {"id": 2, "payloads": quarter, "intervalPeriod": {"start": iso(T0 + HOUR)}},
                {"id": 3, "payloads": quarter, "intervalPeriod": {"start": "0001-01-01"}},
                period=QUARTER_HOUR,
            )
        ]
    )
    assert [(at, kw) for _, at, kw, _ in points(understood(said))] == [(15, 4), (20, 12), (75, 4), (90, 4)]


@pytest.mark.parametrize(
    "period",
    [None, {"start": "0001-01-01", "duration": "PT1H"}, {"start": iso(T0)}, {"start": iso(T0), "duration": "PT0S"},
     {"start": iso(T0), "duration": "P9999Y"}, {"duration": "PT1H"}],
)  # fmt: skip
def test_energy_over_no_known_time_is_refused(period: Any) -> None:
    found = understood(report([resource([("USAGE", [1])], period=period)]))
    assert (found.readings, reasons(found)) == ([], ["no period"])


# --- unit and reading type --------------------------------------------------------------------------------------------


def test_the_nearest_that_says_a_unit_is_heard() -> None:
    said = [resource([("USAGE", [1])], period=QUARTER_HOUR)]
    asked = event(report_descriptors=(ReportDescriptor(payload_type="USAGE", units="WH", reading_type="ESTIMATED"),))
    whole = Program(
        id="p",
        created_date_time=T0,
        modification_date_time=T0,
        program_name="P",
        payload_descriptors=(ReportPayloadDescriptor(payload_type="USAGE", units="MWH"),),
    )
    assert points(understood(report(said), asked=asked, program=whole))[0][2:] == (4.0, Flag.ESTIMATED)
    assert points(understood(report(said, descriptors=[]), asked=asked, program=whole))[0][2] == 0.004
    assert points(understood(report(said, descriptors=[]), program=whole))[0][2] == 4000.0
    assert reasons(understood(report(said, descriptors=[]))) == ["no unit"]


def test_descriptors_that_contradict_each_other_are_refused() -> None:
    two = [USAGE, {"payloadType": "USAGE", "units": "WH"}]
    assert reasons(understood(report([resource([("USAGE", [1])])], descriptors=two))) == ["ambiguous"]


def test_a_payload_type_twice_in_an_interval_is_refused() -> None:
    """User Guide 8.3 shows it and does not say what it means."""
    assert reasons(understood(report([resource([("USAGE", [1]), ("USAGE", [2])])]))) == ["ambiguous"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"payloadType": "X" * 70, "units": "KW"}, "unknown unit"),
        ({"payloadType": "X", "units": "u" * 40}, "unknown unit"),
        ({"payloadType": "READING"}, "no unit"),
    ],
)
def test_what_makes_no_series_is_refused(said: dict[str, Any], reason: str) -> None:
    assert reasons(understood(report([resource([(said["payloadType"], [1])])], descriptors=[said]))) == [reason]


def test_a_report_of_too_many_readings_is_taken_as_far_as_it_may_be() -> None:
    found = understood(report([resource([("USAGE", [1] * (MOST_READINGS + 5))])]))
    assert len(found.readings) == MOST_READINGS
    assert reasons(found) == ["too large"]
    assert found.refused[0].detail.endswith("(and 4 more in this report)")


def test_an_interval_of_a_lifetime_is_not_cut_into_parts() -> None:
    found = understood(report([resource([("USAGE", [1])], period={"start": iso(T0), "duration": "P90Y"})]))
    assert (found.readings, reasons(found)) == ([], ["too large"])


# --- whose ------------------------------------------------------------------------------------------------------------


def test_an_unknown_resource_is_refused_and_the_rest_taken() -> None:
    some = [resource([("USAGE", [1])], name=name, period=QUARTER_HOUR) for name in ("Pool", "Charger")]
    found = understood(report(some))
    assert [one.series.series_id for one in found.readings] == ["home-1.ev.power_kw"]
    assert reasons(found) == ["unknown load"]
    assert set(found.answered) == {"home-1"}


def test_a_client_of_several_vens_says_which_it_means() -> None:
    homes = [home(), home("home-2", "Home 2")]
    said = [resource([("USAGE", [1])], name="AGGREGATED_REPORT", period=QUARTER_HOUR)]
    assert reasons(understood(report(said), homes=homes)) == ["ambiguous"]
    for name in ("Home 2", "home-2"):
        found = understood(report(said, client_name=name), homes=homes)
        assert [one.series.series_id for one in found.readings] == ["home-2.power_kw"]
        assert set(found.answered) == {"home-2"}


def test_a_client_without_a_ven_is_refused() -> None:
    found = understood(report([resource([("USAGE", [1])])]), homes=[])
    assert (reasons(found), found.answered) == (["unknown VEN"], {})


def test_what_a_report_answers() -> None:
    found = understood(
        report(
            [resource([("USAGE", [1])]), resource([("DEMAND", ["?"])], name="AGGREGATED_REPORT", period=None)],
            descriptors=[{**USAGE, "readingType": "SUMMED"}],
        )
    ).answered["home-1"]
    assert found.types == {"USAGE", "DEMAND"}
    assert found.reading_types == {("USAGE", "SUMMED")}
    assert found.aggregated
    assert found.period == Period(T0, T0 + HOUR)
    assert understood(report([])).answered["home-1"].types == {"USAGE"}


# --- opt-out ----------------------------------------------------------------------------------------------------------


def opted(name: str, *states: str) -> dict[str, Any]:
    return resource([("OPERATING_STATE", list(states))], name=name, period=None)


def test_an_opt_out_is_of_a_load_or_of_all_of_a_vens() -> None:
    found = understood(report([opted("HVAC", "IDLE_OPTED_OUT")]))
    assert [tuple(one) for one in found.opted_out] == [("home-1", ("hvac",), "IDLE_OPTED_OUT", None)]
    found = understood(report([opted("AGGREGATED_REPORT", "RUNNING_OPTED_OUT")]))
    assert [tuple(one) for one in found.opted_out] == [("home-1", ("hvac", "ev"), "RUNNING_OPTED_OUT", None)]
    bare = Home(home().ven, [])
    found = understood(report([opted("AGGREGATED_REPORT", "RUNNING_OPTED_OUT")]), homes=[bare])
    assert [tuple(one) for one in found.opted_out] == [("home-1", ("AGGREGATED_REPORT",), "RUNNING_OPTED_OUT", None)]


@pytest.mark.parametrize("states", [["NORMAL"], ["RUNNING_CURTAILED", "IDLE_NORMAL"], ["SGD_ERROR_CONDITION"], []])
def test_other_states_are_no_opt_out(states: list[str]) -> None:
    found = understood(report([opted("HVAC", *states)]))
    assert (found.opted_out, found.refused, found.readings) == ([], [], [])


def test_the_opt_out_of_an_unknown_resource_is_refused() -> None:
    found = understood(report([opted("Pool", "IDLE_OPTED_OUT")]))
    assert (found.opted_out, reasons(found)) == ([], ["unknown load"])
