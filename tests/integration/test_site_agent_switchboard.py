"""The switchboard with a meter of the panel: what is drawn beside the loads counts, and is told; on virtual time."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.driver_world import START, wired
from tests.integration.site_world import SIMULATED, SITE
from tieline.base.time import VirtualClock
from tieline.ven.agent.configuration import read
from tieline.ven.agent.drivers.driver import Reading
from tieline.ven.agent.schedule import Schedule
from tieline.ven.agent.store import PREMISES
from tieline.ven.agent.switchboard import Switchboard

METERED = '10\nmeter = { type = "simulated" }'


class Bench:
    """A boiler of 3 kW and a car of 7 under a fuse of 10 kW; readings come when the test says so."""

    def __init__(self, folder: Path) -> None:
        text = SITE.format(port=1, page_port=1, boiler=SIMULATED, limit_kw=METERED)
        (folder / "site.toml").write_text(text, encoding="utf-8")
        wiring = wired(folder)
        assert isinstance(wiring.clock, VirtualClock)
        schedule = Schedule(["boiler", "car"], {"read_s": 0.1, "report_s": 1.0})
        self.board = Switchboard(read(folder / "site.toml"), wiring, schedule, {})
        self._seconds = 0

    def reads(self, **powers_kw: float | None) -> dict[str, float]:
        """What is held after these readings."""
        self._seconds += 1
        for device in self.board.devices:
            name = device.name.removeprefix("panel ")
            if name in powers_kw:
                power_kw = powers_kw[name]
                device.reading = None if power_kw is None else Reading(power_kw)
                device.read_at, device.trouble = START + timedelta(seconds=self._seconds), "" if power_kw else "gone"
        self.board.look()
        return {name: round(one.limit_kw, 3) for name, one in self.board.decision.holds.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_drawn_beside_the_loads_counts(bench: Bench) -> None:
    assert bench.reads(boiler=3, car=4, meter=9) == {}
    assert bench.reads(meter=12) == {"boiler": 1.0}  # 5 kW beside, 4 of the car's
    assert bench.reads(boiler=1, meter=10) == {"boiler": 1.0}
    assert bench.reads(boiler=1, meter=7) == {}


def test_a_load_that_is_unknown_is_within_what_the_meter_says(bench: Bench) -> None:
    bench.reads(boiler=3, car=4, meter=9)
    assert bench.reads(boiler=None, meter=9) == {}
    assert bench.reads(meter=11) == {"car": 3.0}


def test_without_its_meter_the_last_is_assumed_and_nothing_is_told_of_the_premises(bench: Bench) -> None:
    bench.reads(boiler=3, car=4, meter=12)
    assert bench.reads(boiler=1, meter=None) == {"boiler": 1.0}
    assert bench.board.power_kw is None
    premises = [one.power_kw for one in bench.board.take_noted() if one.source == PREMISES]
    assert premises == [12]
    bench.reads(boiler=1)
    assert {one.source for one in bench.board.take_noted()} == {"boiler"}
