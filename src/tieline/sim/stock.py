"""The housing stock: which homes have which loads, and how large. Pure.

Rows of a (loads, homes) array are in the order of `LOADS`; `rated_kw` is 0 where a home does not have the load.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LOADS = (
    "hvac", "water_heater", "ev", "dryer", "range", "refrigerator", "outlets", "lights", "pv", "battery",
)  # fmt: skip
HVAC, WATER_HEATER, EV, DRYER, RANGE, REFRIGERATOR, OUTLETS, LIGHTS, PV, BATTERY = range(len(LOADS))
SHEDDABLE = (HVAC, WATER_HEATER, EV, DRYER, BATTERY)  # never the refrigerator
SHARES = np.array([0.93, 0.6, 0.4, 0.65, 0.6, 1, 1, 1, 0.35, 0.15])  # of homes that have the load

SUPPLY_KV = 0.24
PANELS_A = np.array([100, 150, 200])
KWH_PER_LITRE_K = 4.186 / 3600
DESIGN_C, INDOOR_C = 42.0, 24.0  # what the air conditioning is sized for


class Stock(NamedTuple):
    """What stands for decades. Homes are the last axis of every array."""

    rated_kw: Array  # (loads, homes)
    panel_a: npt.NDArray[np.int64]
    latitude: Array
    longitude: Array
    # the house: one thermal mass behind one resistance
    resistance_k_per_kw: Array
    capacity_kwh_per_k: Array
    window_m2: Array
    cool_c: Array
    heat_c: Array
    away_k: Array  # how much warmer it may get while nobody is at home
    tank_kwh: Array  # hot water above the temperature of the inlet, when full
    ev_kwh: Array
    ev_timer_h: Array  # charges from this hour on; from arrival when negative
    battery_kwh: Array
    outlets_idle_kw: Array
    outlets_active_kw: Array
    cooking_kw: Array
    refrigerator_period_h: Array
    refrigerator_phase: Array

    @property
    def panel_kw(self) -> Array:
        return np.asarray(self.panel_a * SUPPLY_KV, np.float64)

    def rows(self, home: int) -> list[int]:
        """The rows of the loads that a home has."""
        return [row for row in range(len(LOADS)) if self.rated_kw[row, home] > 0]


def _owned(draw: np.random.Generator, homes: int) -> npt.NDArray[np.bool_]:
    """Which home has which load, [loads, homes]; a battery only beside PV."""
    has = draw.random((len(LOADS), homes)) < SHARES[:, None]
    has[BATTERY] &= has[PV]
    has[BATTERY] |= has[PV] & (draw.random(homes) < 0.3)
    return has


def stock(draw: np.random.Generator, homes: int, latitude: float, longitude: float) -> Stock:
    """As many homes, scattered over about 10 km around a place."""

    def between(low: float, high: float) -> Array:
        return draw.uniform(low, high, homes)

    has = _owned(draw, homes)
    resistance, window = between(3.2, 5.2), between(1.2, 2.4)
    hvac_kw = 1.2 * ((DESIGN_C - INDOOR_C) / resistance + 0.8 + 0.7 * window) / 2.9
    rated = np.empty((len(LOADS), homes))
    rated[HVAC], rated[WATER_HEATER] = hvac_kw, draw.choice([3.8, 4.5], homes)
    rated[EV], rated[DRYER] = draw.choice([7.2, 11.0], homes, p=[0.7, 0.3]), draw.choice([4.8, 5.4], homes)
    rated[RANGE], rated[REFRIGERATOR] = 8.0, between(0.12, 0.2)
    rated[OUTLETS], rated[LIGHTS] = 3.6, between(0.15, 0.5)
    rated[PV], rated[BATTERY] = between(3.0, 7.0), 5.0
    rated = np.where(has, rated, 0.0)
    panel_a = np.where(draw.random(homes) < 0.3, PANELS_A[1], PANELS_A[2])
    small = (rated[[HVAC, WATER_HEATER, EV, DRYER]].sum(axis=0) < 11.0) & (draw.random(homes) < 0.6)
    return Stock(
        rated_kw=rated,
        panel_a=np.where(small, PANELS_A[0], panel_a),
        latitude=latitude + 0.04 * draw.standard_normal(homes),
        longitude=longitude + 0.05 * draw.standard_normal(homes),
        resistance_k_per_kw=resistance,
        capacity_kwh_per_k=between(2.2, 4.2),
        window_m2=window,
        cool_c=24.4 + 0.8 * np.clip(draw.standard_normal(homes), -2, 2),
        heat_c=between(19.0, 21.0),
        away_k=np.where(draw.random(homes) < 0.4, 2.0, 0.0),
        tank_kwh=np.where(has[WATER_HEATER], draw.choice([150, 190, 300], homes) * KWH_PER_LITRE_K * 40, 0.0),
        ev_kwh=np.where(has[EV], draw.choice([58.0, 77.0], homes), 0.0),
        ev_timer_h=np.where(draw.random(homes) < 0.4, between(22.5, 23.5), -1.0),
        battery_kwh=np.where(has[BATTERY], draw.choice([10.0, 13.5], homes), 0.0),
        outlets_idle_kw=between(0.08, 0.25),
        outlets_active_kw=between(0.15, 0.6),
        cooking_kw=np.where(has[RANGE], between(1.5, 3.0), 0.0),
        refrigerator_period_h=between(0.6, 0.95),
        refrigerator_phase=draw.random(homes),
    )
