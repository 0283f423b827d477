"""The switchboard: a site's devices, what is known of them, and what each is held to.

readings ─▶ what the premises draw beside the loads that can be held ─▶ decision ─▶ limits
   └─▶ noted, to be stored
"""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from tieline.ven.agent.configuration import Load, Site
from tieline.ven.agent.decision import Decision, Wanted, decide
from tieline.ven.agent.device import NOT_YET_READ, Device
from tieline.ven.agent.drivers.driver import Place, Wiring
from tieline.ven.agent.drivers.fitting import fitted
from tieline.ven.agent.resource import Resource
from tieline.ven.agent.schedule import Schedule
from tieline.ven.agent.store import PREMISES, Energy, Power

METER = "panel meter"


class Switchboard:
    """Opens the drivers; `devices` are to be run by who has it. `read_s` stands in the schedule's settings."""

    def __init__(self, site: Site, wiring: Wiring, schedule: Schedule, energies: Mapping[str, Energy]) -> None:
        self.noted: list[Power] = []
        self.power_kw: float | None = None
        self.decision = Decision()
        self._site, self._schedule, self._wiring = site, schedule, wiring
        self._clock = wiring.clock
        zone = ZoneInfo(site.zone)
        self.resources = {
            load.id: Resource(load, self._device(load), zone, energies.get(load.id)) for load in site.load
        }
        self._meter = self._metered()
        self._meter_read_at: datetime | None = None
        self._base_kw: float | None = None

    @property
    def devices(self) -> list[Device]:
        return [*(one.device for one in self.resources.values()), *([self._meter] if self._meter else [])]

    @property
    def energies(self) -> dict[str, Energy]:
        return {load_id: one.energy for load_id, one in self.resources.items() if one.energy}

    def take_noted(self) -> list[Power]:
        """What was read since the last time; the premises too, where no meter does it and all loads are known."""
        powers = [one.power_kw for one in self.resources.values()]
        if self._meter is None:
            known = [power_kw for power_kw in powers if power_kw is not None]
            self.power_kw = sum(known) if len(known) == len(powers) else None
            self._note(PREMISES, self._clock.now(), self.power_kw)
        noted, self.noted = self.noted, []
        return noted

    # --- deciding -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take what the devices have read, and decide anew."""
        now = self._clock.now()
        for load_id, one in self.resources.items():
            if one.look(now):
                self._note(load_id, now, one.power_kw)
        self._look_at_meter()
        self._decide(now)

    def _decide(self, now: datetime) -> None:
        panel, schedule = self._site.panel, self._schedule
        wanted = Wanted(
            asked=schedule.limits(now),
            panel_kw=schedule.panel_limit(now),
            base_kw=self._beside_kw(),
            fuse_kw=panel.limit_kw,
            margin=panel.margin,
        )
        states = [one.state(now) for one in self.resources.values() if one.load.sheddable]
        self.decision = decide(wanted, states, self.decision)
        for load_id, one in self.resources.items():
            one.hold = self.decision.holds.get(load_id)
            one.device.hold(one.hold.limit_kw if one.hold else None)

    def _look_at_meter(self) -> None:
        """The loads' powers are taken at the same moment, so that one that just went off is not reckoned twice."""
        meter = self._meter
        if meter is None:
            return
        if meter.reading is None or meter.reading.power_kw is None:
            self.power_kw = None
        elif meter.read_at is not None and meter.read_at != self._meter_read_at:
            self._meter_read_at, self.power_kw = meter.read_at, meter.reading.power_kw
            self._base_kw = self.power_kw - sum(one.power_kw or 0.0 for one in self._holdable())
            self._note(PREMISES, meter.read_at, self.power_kw)

    def _beside_kw(self) -> float:
        """What is drawn beside the known loads that can be held; of one that does not answer, the worst."""
        if self._base_kw is not None:
            return self._base_kw
        beside = [one for one in self.resources.values() if one.power_kw is None or not one.load.sheddable]
        asked = [one for one in beside if one.device.trouble != NOT_YET_READ]
        return sum(one.load.rated_kw if one.power_kw is None else one.power_kw for one in asked)

    def _holdable(self) -> list[Resource]:
        return [one for one in self.resources.values() if one.load.sheddable and one.power_kw is not None]

    def _note(self, source: str, at: datetime, power_kw: float | None) -> None:
        if power_kw is not None:
            self.noted.append(Power(source, at, power_kw))

    # --- devices ------------------------------------------------------------------------------------------------------

    def _device(self, load: Load) -> Device:
        place = Place(self._wiring, load.id, load.rated_kw)
        sensor = load.comfort.sensor if load.comfort else None
        driver = fitted(place, load.driver, load.meter, sensor)
        return Device(load.id, driver, self._clock, on_turn=self.look, read_s=self._read_s, refresh_s=load.refresh_s)

    def _metered(self) -> Device | None:
        panel = self._site.panel
        if panel.meter is None:
            return None
        driver = panel.meter.open(Place(self._wiring, METER, panel.limit_kw))
        return Device(METER, driver, self._clock, on_turn=self.look, read_s=self._read_s)

    def _read_s(self) -> float:
        return float(self._schedule.settings["read_s"] or 0.0)
