"""What a VEN agent reports, over hours of virtual time: what it says of itself, and what events ask it to tell."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ven_world import START, Home, away
from tieline.base.time import iso
from tieline.ven import Asked
from tieline.ven.openadr import exchange
from tieline.wires.openadr31.messages import Value, ValuesMap

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_PAUSE_S", 0.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def at(hours: float) -> str:
    return iso(START + hours * HOUR)


def reports(home: Home) -> list[dict[str, Any]]:
    return list(home.vtn.kept["reports"].values())


async def sent(home: Home, count: int) -> None:
    while len(reports(home)) < count:
        await home.pass_(minutes=10)


async def test_a_report_reaches_the_vtn_once_and_after_a_restart(home: Home) -> None:
    event_id = home.vtn.event(home.vtn.program("evening"), start=at(0))
    async with home.agent(resources=("boiler",)) as agent:
        [event] = agent.events
        await agent.report(event, ValuesMap(type="USAGE", values=(1.5,)), end=START + HOUR, report_name="first")
        await sent(home, 1)
        home.vtn.reach = away
        await agent.report(event, ValuesMap(type="USAGE", values=(2.5,)), report_name="second")
        await home.pass_(minutes=5)
        assert agent.unsent == 1
    async with home.agent() as agent:
        assert agent.unsent == 1
        home.vtn.reach = lambda _: None
        await sent(home, 2)
        await home.pass_(hours=1)
    assert [one["reportName"] for one in reports(home)] == ["first", "second"]
    [first, _] = reports(home)
    assert (first["eventID"], first["clientName"]) == (event_id, "home")
    assert first["resources"] == [
        {
            "resourceName": "boiler",
            "intervals": [
                {
                    "id": 0,
                    "intervalPeriod": {"start": at(0), "duration": "PT3600S"},
                    "payloads": [{"type": "USAGE", "values": [1.5]}],
                }
            ],
        }
    ]


async def test_who_opts_out_says_so_and_takes_no_part(home: Home) -> None:
    program = home.vtn.program("evening")
    home.vtn.event(program, start=at(0), duration="PT9H", value=1)
    home.vtn.event(program, start=at(0), duration="PT9H", value=2, priority=9)
    async with home.agent(resources=("boiler", "ev")) as agent:
        await agent.opt_out(agent.events[0], "guests")
        await sent(home, 1)
        assert home.last == (2, None)
        home.told.clear()
    async with home.agent():
        assert home.last == (2, None)
    [report] = reports(home)
    assert report["reportName"] == "opt-out: guests"
    told = {one["resourceName"]: one["intervals"][0]["payloads"] for one in report["resources"]}
    state = [{"type": "OPERATING_STATE", "values": ["RUNNING_OPTED_OUT"]}]
    assert told == {"boiler": state, "ev": state}


async def meter(asked: Asked) -> Sequence[Value] | None:
    """A kWh for each hour of the day."""
    return [float(asked.start.hour)] if asked.resource_name != "ev" else None


async def test_what_events_ask_for_is_told_when_it_is_due(home: Home) -> None:
    intervals: list[dict[str, Any]] = [{"id": number, "payloads": []} for number in (7, 8, 9, 10)]
    asked = [
        {"payloadType": "USAGE", "units": "KWH", "startInterval": 1, "numIntervals": 2, "frequency": 2, "repeat": 2},
        {"payloadType": "USAGE_FORECAST", "historical": False, "aggregate": True},
    ]
    event = home.vtn.event(home.vtn.program("evening"), start=at(1))
    home.vtn.change("events", event, intervals=intervals, reportDescriptors=asked)
    async with home.agent(source=meter, resources=("boiler", "ev")):
        await sent(home, 1)
        assert home.clock.now() >= START + HOUR
        await sent(home, 2)
        assert home.clock.now() >= START + 3 * HOUR
    async with home.agent(source=meter):  # what was told is not told again
        await sent(home, 3)
        await home.pass_(hours=2)
    forecast, first, second = reports(home)
    assert [one["resourceName"] for one in forecast["resources"]] == ["AGGREGATED_REPORT"]
    assert forecast["payloadDescriptors"][0]["payloadType"] == "USAGE_FORECAST"
    assert first["payloadDescriptors"][0] | {"units": "KWH"} == first["payloadDescriptors"][0]
    for report, ids, values in ((first, [7, 8], [18.0, 19.0]), (second, [9, 10], [20.0, 21.0])):
        [resource] = report["resources"]
        assert resource["resourceName"] == "boiler"
        assert [one["id"] for one in resource["intervals"]] == ids
        assert [one["payloads"][0]["values"] for one in resource["intervals"]] == [[value] for value in values]


async def test_descriptors_with_targets_are_answered_by_those_who_have_them(home: Home) -> None:
    ven = home.vtn.add("vens", {"venName": "home"})
    home.vtn.add("resources", {"resourceName": "boiler", "venID": ven, "targets": ["hot"]})
    home.vtn.add("resources", {"resourceName": "fridge", "venID": ven, "targets": ["cold"]})
    event = home.vtn.event(home.vtn.program("evening"), start=at(0))
    asked = [{"payloadType": "USAGE", "targets": [target]} for target in ("hot", "cold", "elsewhere")]
    home.vtn.change("events", event, reportDescriptors=asked)
    async with home.agent(source=meter):
        await sent(home, 2)
        await home.pass_(hours=1)
    assert [[one["resourceName"] for one in report["resources"]] for report in reports(home)] == [
        ["boiler"],
        ["fridge"],
    ]


async def test_a_meter_in_trouble_is_asked_again(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    event = home.vtn.event(home.vtn.program("evening"), start=at(0))
    home.vtn.change("events", event, reportDescriptors=[{"payloadType": "USAGE"}])
    broken = True

    async def sometimes(_: Asked) -> Sequence[Value]:
        if broken:
            raise ConnectionError("no answer from the meter")
        return [1.0]

    async with home.agent(source=sometimes):
        await home.pass_(hours=1.2)
        assert not reports(home)
        broken = False
        await sent(home, 1)
    assert "no answer from the meter" in caplog.text
