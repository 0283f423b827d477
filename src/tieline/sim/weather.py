"""The weather over the simulated town: always a hot dry summer, whatever the calendar says. Pure.

So that there is something to shed whenever someone looks. It follows only from the seed and the local date and time:
the same every time it is asked, and the same whatever anyone commands. Neighbouring days resemble each other.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

HIGH_C, LOW_C = 35.5, 20.0  # of a usual day; Fresno in July
COOLEST_H, HOTTEST_H = 6.0, 16.0
NOON_H = 13.0  # daylight-saving time
DECLINATION = math.radians(21.5)  # of the sun in mid-July
MEMORY = 0.6  # how much of a day's anomaly the next day keeps


class Sky(NamedTuple):
    """`irradiance_kw_m2` falls on level ground; `cloud` is the covered share."""

    outdoor_c: float
    irradiance_kw_m2: float
    cloud: float


class Day(NamedTuple):
    high_c: float
    low_c: float
    cloud: tuple[float, ...]  # at each full hour, 0 to 24


class Weather:
    """`day` is a proleptic ordinal of the local date, `hour` the local hour of that day, with fractions."""

    def __init__(self, seed: int, latitude: float) -> None:
        self._seed = seed
        self._sine = math.sin(abs(math.radians(latitude))) * math.sin(DECLINATION)  # its own summer on either half
        self._cosine = math.cos(math.radians(latitude)) * math.cos(DECLINATION)
        self.day = lru_cache(maxsize=64)(self._day)

    def at(self, day: int, hour: float) -> Sky:
        today = self.day(day)
        before = int(min(hour, 23.999))
        cloud = today.cloud[before] + (today.cloud[before + 1] - today.cloud[before]) * (hour - before)
        height = max(0.0, self._sine + self._cosine * math.cos((hour - NOON_H) * math.pi / 12))
        return Sky(self._outdoor(day, hour), 1.05 * height**1.2 * (1 - 0.7 * cloud), cloud)

    def _outdoor(self, day: int, hour: float) -> float:
        """Half waves from the morning's low to the afternoon's high, and on to the next morning's low."""
        if COOLEST_H <= hour < HOTTEST_H:
            low, high = self.day(day).low_c, self.day(day).high_c
            return low + (high - low) * _half_wave((hour - COOLEST_H) / (HOTTEST_H - COOLEST_H))
        evening = day if hour >= HOTTEST_H else day - 1
        high, low = self.day(evening).high_c, self.day(evening + 1).low_c
        return high + (low - high) * _half_wave(((hour - HOTTEST_H) % 24) / (24 - HOTTEST_H + COOLEST_H))

    def _day(self, day: int) -> Day:
        keep = [MEMORY**k for k in range(8)]
        usual = math.sqrt(sum(k * k for k in keep))
        anomaly = sum(k * self._draw(day - i).standard_normal() for i, k in enumerate(keep)) / usual
        draw = self._draw(day)
        _, own, cloudiness = draw.standard_normal(), draw.standard_normal(), draw.beta(1.0, 7.0)
        cloud = np.clip(cloudiness + 0.08 * draw.standard_normal(25), 0.0, 1.0)
        return Day(HIGH_C + 2.2 * anomaly + 0.5 * own, LOW_C + 1.3 * anomaly + 0.4 * own, tuple(cloud.tolist()))

    def _draw(self, day: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, day, 1])


def _half_wave(share: float) -> float:
    """From 0 to 1, flat at both ends."""
    return (1 - math.cos(math.pi * share)) / 2
