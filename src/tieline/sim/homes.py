"""Homes that behave like homes, hundreds at a time. Pure: what comes of a fleet follows from its seed, the time and
the limits it is held to; without limits it is the counterfactual, exactly.

    fixed: range, refrigerator, outlets, lights, sun      what each sheddable load wants
                        │                                           │
                        ▼                                     min with its limit
       room left below the panel's limit ◀── hvac, water, dryer, then the car: the last to be served yields first
                        │
                        ▼
    powers ─▶ house, tank, car, battery move on by one substep; what was held back is wanted again: the rebound

State and powers are arrays over homes; inside, a load is a row. Power is in kW, positive when drawn.
"""

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tieline.base.time import EPOCH
from tieline.sim.routine import Array, Day, Routine, habits
from tieline.sim.stock import (
    BATTERY,
    DRYER,
    EV,
    HVAC,
    LIGHTS,
    OUTLETS,
    PV,
    RANGE,
    REFRIGERATOR,
    SHEDDABLE,
    WATER_HEATER,
    Stock,
    stock,
)  # fmt: skip
from tieline.sim.weather import Sky, Weather

Flags = npt.NDArray[np.bool_]

SUBSTEP_S = 60.0
DEADBAND_K = 0.4
COMFORT_K = 2.5  # warmer than this above its setting, a house has nothing left to give
REFILL, LUKEWARM = 0.82, 0.35  # of a full tank: where heating starts; below it there is nothing left to give
STANDING_LOSS_PER_H = 0.008
EV_EFFICIENCY, EV_TARGET, EV_RESERVE = 0.9, 0.8, 0.1
EV_SLACK_H = 1.0
BATTERY_EFFICIENCY = 0.95  # each way
BATTERY_RESERVE = 0.1
PEAK_H = (17.0, 21.0)  # when batteries are emptied
SERVED = (HVAC, WATER_HEATER, DRYER, EV)
FIXED = (RANGE, REFRIGERATOR, OUTLETS, LIGHTS, PV)


@dataclass
class State:
    """What a home remembers, and how much of each energy has come and gone since the start (in kWh)."""

    indoor_c: Array
    cooling: Flags
    heating: Flags
    tank_kwh: Array
    tank_on: Flags
    ev_kwh: Array
    ev_home: Flags
    laundry_kwh: Array  # what the dryer has still to do
    battery_kwh: Array
    conducted_kwh: Array  # through the envelope, inwards
    gained_kwh: Array  # from sun, people and appliances
    pumped_kwh: Array  # by the air conditioner, inwards: negative when it cools
    drawn_kwh: Array  # hot water used
    lost_kwh: Array  # through the wall of the tank
    driven_kwh: Array


@dataclass(frozen=True)
class Step:
    """Means over [start_at, end_at) and what stands at its end; arrays are (homes, loads) in the order of `LOADS`.

    `withheld_kw` is how much more each load wanted than commands let it have. `sheddable_kw` is what it could still
    give up of what it draws at the end, `hold_s` how long it could then stay down, infinite: as long as it is asked to;
    `shed` where it was held down.
    """

    start_at: datetime
    end_at: datetime
    power_kw: Array
    withheld_kw: Array
    sheddable_kw: Array
    hold_s: Array
    shed: Flags

    @property
    def meter_kw(self) -> Array:
        """Net of what the home makes, (homes,)."""
        return np.asarray(self.power_kw.sum(axis=1))


@dataclass(frozen=True)
class Held:
    """What commands hold the homes to, in kW, infinite where nothing is held: (homes, loads) and (homes,)."""

    loads: Array
    panels: Array


class _Hold:
    """What is held in one step, by load (loads, homes), and what came of it."""

    def __init__(self, held: Held | None, panel_kw: Array, shape: tuple[int, ...]) -> None:
        free = np.full(shape, np.inf)
        self.loads = free if held is None else np.ascontiguousarray(held.loads.T)
        self.panel_kw = panel_kw if held is None else np.minimum(panel_kw, held.panels)
        self.withheld_kw = np.zeros(shape)
        self.shed = np.zeros(shape, dtype=bool)

    def note(self, row: int, free: Array, given: Array) -> None:
        """What a load would have had, and what it had."""
        self.withheld_kw[row] += np.maximum(free - given, 0.0)
        self.shed[row] |= given < free


@dataclass(frozen=True)
class _Now:
    """The world in the middle of a substep."""

    hour: float
    running_h: float  # since 1970
    length_h: float
    sky: Sky
    day: Day


class Fleet:
    """Homes at an instant, moved on by `step`."""

    def __init__(self, seed: int, built: Stock, routine: Routine, weather: Weather, zone: ZoneInfo, at: datetime):
        self.stock = built
        self.at = at
        self._routine, self._weather, self._zone = routine, weather, zone
        self._panel_kw = built.panel_kw
        self.state = _begin(built, np.random.default_rng([seed, 3]))

    def twin(self) -> "Fleet":
        """The same homes, to be led another way from here on."""
        other = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        return other

    def step(self, until: datetime, held: Held | None = None, *, substep_s: float = SUBSTEP_S) -> Step:
        """Move on to `until`, no load and no home above what it is held to."""
        start, seconds = self.at, (until - self.at).total_seconds()
        count = max(1, int(np.ceil(seconds / substep_s - 1e-9)))
        length = timedelta(seconds=seconds / count)
        total = np.zeros_like(self.stock.rated_kw)
        hold = _Hold(held, self._panel_kw, total.shape)
        for i in range(count):
            now = self._now(start + i * length, length)
            power = self._advance(now, hold)
            total += power
        self.at = until
        sheddable, hold_s = self._sheddable(now, power), self._hold_s(now, power)
        withheld = hold.withheld_kw / count
        return Step(start, until, (total / count).T, withheld.T, sheddable.T, hold_s.T, hold.shed.T)

    def outdoor_c(self, at: datetime) -> float:
        """The temperature over the town, whatever the homes do."""
        return self._weather.at(*self._local(at)).outdoor_c

    def _local(self, at: datetime) -> tuple[int, float]:
        local = at.astimezone(self._zone)
        return local.toordinal(), local.hour + local.minute / 60 + (local.second + local.microsecond / 1e6) / 3600

    def _now(self, start: datetime, length: timedelta) -> _Now:
        middle = start + length / 2
        day, hour = self._local(middle)
        running_h, length_h = (middle - EPOCH).total_seconds() / 3600, length.total_seconds() / 3600
        return _Now(hour, running_h, length_h, self._weather.at(day, hour), self._routine.day(day))

    def _advance(self, now: _Now, hold: _Hold) -> Array:
        """Powers over one substep (loads, homes), with the state moved on; notes what was held down."""
        power = np.zeros_like(self.stock.rated_kw)
        at_home = (now.hour < now.day.leave) | (now.hour >= now.day.back)
        self._fixed(now, at_home, power)
        fixed = power[FIXED, :].sum(axis=0)
        wanted = self._wanted(now, at_home)
        room, breaker = np.maximum(hold.panel_kw - fixed, 0.0), np.maximum(self._panel_kw - fixed, 0.0)
        for row in SERVED:
            free = np.minimum(wanted[row], breaker)  # what the breaker would trip at nobody withholds
            power[row] = np.minimum(np.minimum(wanted[row], hold.loads[row]), room)
            hold.note(row, free, power[row])
            room -= power[row]
            breaker -= free
        surplus = np.maximum(-fixed - sum(wanted.values()), 0.0)
        self._battery(now, surplus, hold, power)
        self._settle(now, power)
        return power

    def _fixed(self, now: _Now, at_home: Flags, power: Array) -> None:
        """What nobody holds back."""
        built, day, hour = self.stock, now.day, now.hour
        awake = at_home & (hour >= day.wake) & (hour < day.sleep)
        dark = max(0.0, 1 - now.sky.irradiance_kw_m2 / 0.15)
        phase = (now.running_h / built.refrigerator_period_h + built.refrigerator_phase) % 1.0
        power[RANGE] = built.cooking_kw * ((hour >= day.cook_from) & (hour < day.cook_until))
        power[REFRIGERATOR] = built.rated_kw[REFRIGERATOR] * (phase < 0.3 + 0.006 * (now.sky.outdoor_c - 20))
        power[OUTLETS] = built.outlets_idle_kw + built.outlets_active_kw * day.activity[int(hour)] * awake
        power[LIGHTS] = built.rated_kw[LIGHTS] * dark * awake
        power[PV] = built.rated_kw[PV] * (-0.85 * now.sky.irradiance_kw_m2)

    def _wanted(self, now: _Now, at_home: Flags) -> dict[int, Array]:
        """What each sheddable load would draw if nothing held it back, by its row."""
        built, state, rated = self.stock, self.state, self.stock.rated_kw
        warm = state.indoor_c - self._cool_c(at_home)
        cold = built.heat_c - state.indoor_c
        state.cooling = (warm > DEADBAND_K) | (state.cooling & (warm > -DEADBAND_K))
        state.heating = (cold > DEADBAND_K) | (state.heating & (cold > -DEADBAND_K))
        self._drive_and_draw(now)
        missing = built.tank_kwh - state.tank_kwh
        state.tank_on = (state.tank_kwh < REFILL * built.tank_kwh) | (state.tank_on & (missing > 1e-6))
        charging = state.ev_home & ((now.hour >= built.ev_timer_h) | (now.hour < 10.0))
        to_charge = np.maximum(EV_TARGET * built.ev_kwh - state.ev_kwh, 0.0) / EV_EFFICIENCY
        return {
            HVAC: rated[HVAC] * (state.cooling | state.heating),
            WATER_HEATER: np.minimum(rated[WATER_HEATER], missing / now.length_h) * state.tank_on,
            DRYER: np.minimum(rated[DRYER], state.laundry_kwh / now.length_h),
            EV: np.minimum(rated[EV], to_charge / now.length_h) * charging,
        }

    def _cool_c(self, at_home: Flags) -> Array:
        return self.stock.cool_c + self.stock.away_k * ~at_home

    def _drive_and_draw(self, now: _Now) -> None:
        """What people take: hot water, miles, and laundry left with the dryer."""
        built, state, day, hours = self.stock, self.state, now.day, now.length_h
        drawn = np.minimum(day.hot_water_kw[int(now.hour)] * hours, state.tank_kwh)
        lost = STANDING_LOSS_PER_H * hours * (state.tank_kwh - drawn)
        state.tank_kwh -= drawn + lost
        state.drawn_kwh += drawn
        state.lost_kwh += lost
        ev_home = (now.hour < day.drive_from) | (now.hour >= day.drive_until)
        left = np.maximum(state.ev_kwh - EV_RESERVE * built.ev_kwh, 0.0)
        driven = np.minimum(day.drive_kwh, left) * (ev_home & ~state.ev_home)
        state.ev_kwh -= driven
        state.driven_kwh += driven
        state.ev_home = ev_home
        begins = np.abs(day.dryer_at - now.hour) <= hours / 2
        state.laundry_kwh += day.dryer_kwh * (begins & (built.rated_kw[DRYER] > 0))

    def _battery(self, now: _Now, surplus: Array, hold: _Hold, power: Array) -> None:
        """Charges on what the sun leaves over after all that the home wants; empties evenly over the evening's peak."""
        built, state, rated = self.stock, self.state, self.stock.rated_kw[BATTERY]
        wanted = discharge = np.zeros_like(rated)
        if PEAK_H[0] <= now.hour < PEAK_H[1]:
            left_h = max(PEAK_H[1] - now.hour + now.length_h / 2, now.length_h)
            usable = np.maximum(state.battery_kwh - BATTERY_RESERVE * built.battery_kwh, 0.0)
            discharge = np.minimum(usable * BATTERY_EFFICIENCY / left_h, rated)
        else:
            missing = (built.battery_kwh - state.battery_kwh) / BATTERY_EFFICIENCY
            wanted = np.minimum(np.minimum(surplus, rated), missing / now.length_h)
        charge = np.minimum(wanted, hold.loads[BATTERY])
        hold.note(BATTERY, wanted, charge)
        power[BATTERY] = charge - discharge
        state.battery_kwh += (charge * BATTERY_EFFICIENCY - discharge / BATTERY_EFFICIENCY) * now.length_h

    def _settle(self, now: _Now, power: Array) -> None:
        """The house, the tank, the car and the laundry after the substep."""
        built, state, hours, sky = self.stock, self.state, now.length_h, now.sky
        conducted = self._conducted_kw(sky) * hours
        gained = self._gained_kw(power, sky) * hours
        pumped = power[HVAC] * (state.heating * 1.0 - state.cooling) * (performance(sky.outdoor_c) * hours)
        state.indoor_c += (conducted + gained + pumped) / built.capacity_kwh_per_k
        state.conducted_kwh += conducted
        state.gained_kwh += gained
        state.pumped_kwh += pumped
        state.tank_kwh += power[WATER_HEATER] * hours
        state.ev_kwh += power[EV] * (EV_EFFICIENCY * hours)
        state.laundry_kwh -= power[DRYER] * hours

    def _sheddable(self, now: _Now, power: Array) -> Array:
        """What could still be given up of these powers without freezing, boiling or stranding anyone."""
        sheddable = np.zeros_like(power)
        sheddable[SHEDDABLE, :] = np.maximum(power[SHEDDABLE, :], 0.0)
        sheddable[HVAC] *= self._warmth_left(now) > 0
        sheddable[WATER_HEATER] *= self.state.tank_kwh > LUKEWARM * self.stock.tank_kwh
        sheddable[EV] *= self._hours_to_spare(now) > 0
        return sheddable

    def _hold_s(self, now: _Now, power: Array) -> Array:
        """How long each could stay down at the rate at which the house warms and the tank is used now."""
        state, hold_h = self.state, np.full_like(power, np.inf)
        warming = (self._conducted_kw(now.sky) + self._gained_kw(power, now.sky)) / self.stock.capacity_kwh_per_k
        used_kw = now.day.hot_water_kw[int(now.hour)] + STANDING_LOSS_PER_H * state.tank_kwh
        left_kwh = state.tank_kwh - LUKEWARM * self.stock.tank_kwh
        hold_h[HVAC] = _lasts(self._warmth_left(now), warming)
        hold_h[WATER_HEATER] = _lasts(left_kwh, used_kw)
        hold_h[EV] = np.where(state.ev_home, np.maximum(self._hours_to_spare(now), 0.0), np.inf)
        return hold_h * 3600

    def _warmth_left(self, now: _Now) -> Array:
        """By how much a house may still warm up."""
        at_home = (now.hour < now.day.leave) | (now.hour >= now.day.back)
        return self._cool_c(at_home) + COMFORT_K - self.state.indoor_c

    def _hours_to_spare(self, now: _Now) -> Array:
        """How long a car may wait and still be charged when it is needed."""
        built = self.stock
        missing_kwh = (EV_TARGET * built.ev_kwh - self.state.ev_kwh) / EV_EFFICIENCY
        parked_h = (self._routine.usual.leave - now.hour) % 24
        return np.asarray(parked_h - EV_SLACK_H - missing_kwh / np.maximum(built.rated_kw[EV], 1e-9))

    def _conducted_kw(self, sky: Sky) -> Array:
        return (sky.outdoor_c - self.state.indoor_c) / self.stock.resistance_k_per_kw

    def _gained_kw(self, power: Array, sky: Sky) -> Array:
        appliances = power[OUTLETS] + power[LIGHTS] + power[REFRIGERATOR] + 0.3 * power[RANGE]
        return np.asarray(0.2 + 0.8 * appliances + self.stock.window_m2 * sky.irradiance_kw_m2)


def _lasts(left: Array, per_hour: Array) -> Array:
    """Hours until nothing is left; for ever where nothing is used."""
    return np.where(per_hour > 0, np.maximum(left, 0.0) / np.maximum(per_hour, 1e-9), np.inf)


def performance(outdoor_c: float) -> float:
    """Heat moved per electricity used: worse the further it is from indoors to outdoors."""
    return 4.0 - 0.055 * abs(outdoor_c - 22.0)


def warmed_up(
    homes: int, seed: int, at: datetime, *, zone: str, latitude: float, longitude: float, days: int = 2
) -> Fleet:
    """A fleet that has already lived `days` when it stands at `at`."""
    draw = np.random.default_rng([seed, 0])
    built, routine = stock(draw, homes, latitude, longitude), Routine(seed, habits(draw, homes))
    fleet = Fleet(seed, built, routine, Weather(seed, latitude), ZoneInfo(zone), at - timedelta(days=days))
    fleet.step(at, substep_s=2 * SUBSTEP_S)
    return fleet


def _begin(built: Stock, draw: np.random.Generator) -> State:
    homes = len(built.panel_a)

    def none() -> Array:
        return np.zeros(homes)

    def never() -> Flags:
        return np.zeros(homes, dtype=bool)

    return State(
        indoor_c=built.cool_c + draw.uniform(-DEADBAND_K, DEADBAND_K, homes),
        cooling=draw.random(homes) < 0.5,
        heating=never(),
        tank_kwh=built.tank_kwh * draw.uniform(REFILL, 1.0, homes),
        tank_on=never(),
        ev_kwh=built.ev_kwh * draw.uniform(0.5, EV_TARGET, homes),
        ev_home=~never(),
        laundry_kwh=none(),
        battery_kwh=built.battery_kwh * draw.uniform(0.2, 0.8, homes),
        conducted_kwh=none(), gained_kwh=none(), pumped_kwh=none(), drawn_kwh=none(), lost_kwh=none(),
        driven_kwh=none(),
    )  # fmt: skip
