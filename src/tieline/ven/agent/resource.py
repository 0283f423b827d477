"""A load and what is known of it: its power, since when it is on or off, its comfort, its energy."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from msgspec.structs import replace

from tieline.ven.agent import allowance
from tieline.ven.agent.allowance import Condition
from tieline.ven.agent.configuration import Load
from tieline.ven.agent.decision import Hold, State, Why
from tieline.ven.agent.device import Device
from tieline.ven.agent.store import PREMISES, Energy
from tieline.wires.mqtt import messages
from tieline.wires.mqtt.messages import LoadState

DRAWING_KW = 0.02
"""A load that draws less is off."""
NEARLY = 0.95
"""A load that draws less of its limit has no use for more."""


def left_over(means_kw: Mapping[str, float]) -> list[messages.Load]:
    """What was read before a crash, as told afterwards: nobody knows any more what could have been shed of it."""
    return [
        messages.Load(name, round(kw, 4), 0.0, LoadState.ON if abs(kw) > DRAWING_KW else LoadState.OFF)
        for name, kw in means_kw.items()
        if name != PREMISES
    ]


class Resource:
    """`power_kw` is None while it is unknown; `hold` is what it is held to, None while it is free."""

    def __init__(self, load: Load, device: Device, zone: tzinfo, energy: Energy | None = None) -> None:
        self.load = load
        self.device = device
        self.power_kw: float | None = None
        self.free_kw: float | None = None
        self.hold: Hold | None = None
        self.condition = Condition(energy_kwh=energy.kwh if energy else 0.0)
        self._zone = zone
        self._due_at = energy.due_at if energy else None
        self._read_at: datetime | None = None

    # --- what is known ------------------------------------------------------------------------------------------------

    def look(self, now: datetime) -> bool:
        """Take what its device has read; whether that is news."""
        device = self.device
        if device.reading is None:
            self.power_kw, self._read_at = None, None
            self.condition = replace(self.condition, temperature_c=None)
            return False
        if device.read_at == self._read_at:
            return False
        power_kw, before_at = device.reading.power_kw, self._read_at
        self.power_kw = self._assumed_kw() if power_kw is None else power_kw
        self._read_at = device.read_at
        if self.hold is None:
            self.free_kw = self.power_kw
        self._meter((now - before_at).total_seconds() if before_at else 0.0, now)
        self._feel(device.reading.temperature_c, now)
        return True

    def state(self, now: datetime) -> State:
        return State(
            load=self.load,
            power_kw=self.power_kw,
            may_hold=self.holdable_s(now) != 0,
            is_bound=self._is_bound(),
            rests=self.power_kw is not None and allowance.rests(self.load, self.condition, now),
        )

    def holdable_s(self, now: datetime) -> float | None:
        """For how many seconds more a call may hold it down; None: as long as it likes."""
        is_held = self.hold is not None
        return allowance.holdable_s(self.load, self.condition, now, self._zone, is_held=is_held)

    @property
    def energy(self) -> Energy | None:
        """What it drew since it was last to be ready, of a load that is to be."""
        return Energy(self._due_at, self.condition.energy_kwh) if self._due_at else None

    def _is_bound(self) -> bool:
        """Whether its limit keeps it from drawing more; it is given some readings to come up to a new one."""
        limited_at, read_at = self.device.limited_at, self._read_at
        if self.hold is None or self.power_kw is None or limited_at is None or read_at is None:
            return True
        has_settled = (read_at - limited_at).total_seconds() >= self.device.settling_s
        return not has_settled or self.power_kw >= NEARLY * self.hold.limit_kw

    def _assumed_kw(self) -> float:
        """Of a load that nobody measures: what it may draw."""
        rated_kw, limit_kw = self.load.rated_kw, self.device.limit_kw
        if limit_kw is None or limit_kw >= rated_kw:
            return rated_kw
        return limit_kw if self.load.driver.is_stepless else 0.0

    def _meter(self, seconds: float, now: datetime) -> None:
        """Its energy, which begins anew when it was to be ready."""
        ready_by = self.load.ready_by
        if ready_by is None:
            return
        due_at = allowance.due_at(ready_by, now, self._zone)
        before_kwh = self.condition.energy_kwh if due_at == self._due_at else 0.0
        energy_kwh = before_kwh + max(self.power_kw or 0.0, 0.0) * seconds / 3600
        self._due_at = due_at
        self.condition = replace(self.condition, energy_kwh=energy_kwh)

    def _feel(self, temperature_c: float | None, now: datetime) -> None:
        """Whether it is on, and how it is."""
        comfort, before = self.load.comfort, self.condition
        is_on = abs(self.power_kw or 0.0) > DRAWING_KW
        has_changed = before.is_on is not None and is_on != before.is_on
        changed_at = now if has_changed else before.changed_at
        strained = before.strained
        if comfort and temperature_c is not None:
            strained = allowance.strained(comfort, temperature_c, before.strained)
        self.condition = replace(
            before, is_on=is_on, changed_at=changed_at, temperature_c=temperature_c, strained=strained
        )

    # --- what is told -------------------------------------------------------------------------------------------------

    def told(self, now: datetime, mean_kw: float, free_s: float | None = None) -> messages.Load | None:
        """Of the report; None while it is unknown. `free_s`: for how long its owner leaves it to be held."""
        if self.power_kw is None:
            return None
        hold_s = min((span for span in (self.holdable_s(now), free_s) if span is not None), default=None)
        may_shed = self.load.sheddable and hold_s != 0
        return messages.Load(
            resource_id=self.load.id,
            power_kw=round(mean_kw, 4),
            sheddable_kw=round(max(0.0, self.power_kw - self.load.floor_kw), 4) if may_shed else 0.0,
            state=self._told_state(),
            hold_s=None if hold_s is None else round(hold_s, 1),
            withheld_kw=self._withheld_kw(),
        )

    def _told_state(self) -> LoadState:
        if self.hold and self.hold.why in (Why.ASKED, Why.PANEL):
            return LoadState.SHED
        return LoadState.ON if self.condition.is_on else LoadState.OFF

    def _withheld_kw(self) -> float | None:
        if self.hold is None or self.free_kw is None or self.power_kw is None:
            return None
        return round(max(0.0, self.free_kw - self.power_kw), 4)
