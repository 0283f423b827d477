"""When people are at home and what they do there: habits for years, a day drawn around them. Pure.

A day follows only from the seed and the local date, never from what anyone commands. All arrays are over homes (n,);
hours are local, with fractions; NEVER stands for what does not happen that day.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NEVER = 99.0
SATURDAY = 6  # of (ordinal - 1) % 7 counted from Monday = 0, the first of the two days below
# Share of a day's hot water in each hour: the morning's showers, the evening's dishes.
HOT_WATER = np.array([1, 1, 1, 1, 2, 6, 12, 12, 7, 4, 3, 3, 4, 3, 3, 3, 4, 6, 9, 9, 8, 6, 4, 2]) / 114


class Habits(NamedTuple):
    """The usual hours of each household, and how much hot water and driving a day takes."""

    wake: Array
    leave: Array
    back: Array
    sleep: Array
    dinner: Array
    laundry: Array
    works_out: npt.NDArray[np.bool_]  # leaves the home empty on working days
    hot_water_kwh: Array
    drive_kwh: Array


class Day(NamedTuple):
    """One local day. `hot_water_kw` and `activity` have a row for each hour (24, n)."""

    wake: Array
    leave: Array
    back: Array
    sleep: Array
    drive_from: Array
    drive_until: Array
    drive_kwh: Array
    dryer_at: Array
    dryer_kwh: Array
    cook_from: Array
    cook_until: Array
    hot_water_kw: Array
    activity: Array


def habits(draw: np.random.Generator, homes: int) -> Habits:
    def around(hour: float, spread: float) -> Array:
        return hour + spread * np.clip(draw.standard_normal(homes), -2, 2)

    return Habits(
        wake=around(6.3, 0.6),
        leave=around(8.0, 0.6),
        back=around(17.2, 0.7),
        sleep=around(22.6, 0.5),
        dinner=around(18.4, 0.5),
        laundry=around(18.5, 1.2),
        works_out=draw.random(homes) < 0.62,
        hot_water_kwh=draw.uniform(5.0, 11.0, homes),
        drive_kwh=draw.uniform(6.0, 16.0, homes),
    )


class Routine:
    """The days of these households; `day` takes the proleptic ordinal of the local date."""

    def __init__(self, seed: int, usual: Habits) -> None:
        self._seed = seed
        self.usual = usual
        self.day = lru_cache(maxsize=8)(self._day)

    def _day(self, day: int) -> Day:
        draw, usual = np.random.default_rng([self._seed, day, 2]), self.usual
        homes = len(usual.wake)
        free = (day - 1) % 7 >= SATURDAY - 1

        def jitter(hours: float) -> Array:
            return hours * np.clip(draw.standard_normal(homes), -2.5, 2.5)

        wake = usual.wake + jitter(0.2) + (1.3 if free else 0.0)
        leave, back = self._outing(draw, free)
        driving = (leave < NEVER) & (draw.random(homes) < (0.7 if free else 0.95))
        dryer_at = usual.laundry + jitter(0.5) - (4.0 if free else 0.0)
        cook_from = usual.dinner + jitter(0.25)
        return Day(
            wake=wake,
            leave=leave,
            back=back,
            sleep=np.minimum(usual.sleep + jitter(0.25) + (0.4 if free else 0.0), 23.9),
            drive_from=np.where(driving, leave, NEVER),
            drive_until=np.where(driving, back, NEVER),
            drive_kwh=np.where(driving, usual.drive_kwh * draw.uniform(0.8, 1.2, homes), 0.0),
            dryer_at=np.where(draw.random(homes) < (0.6 if free else 0.35), dryer_at, NEVER),
            dryer_kwh=draw.uniform(2.2, 3.6, homes),
            cook_from=np.where(draw.random(homes) < 0.85, cook_from, NEVER),
            cook_until=cook_from + draw.uniform(0.4, 0.9, homes),
            hot_water_kw=HOT_WATER[:, None] * usual.hot_water_kwh * draw.gamma(8.0, 1 / 8, (24, homes)),
            activity=draw.gamma(12.0, 1 / 12, (24, homes)),
        )

    def _outing(self, draw: np.random.Generator, free: bool) -> tuple[Array, Array]:
        """When the home is left empty and until when: for work, or on a free day perhaps for pleasure."""
        usual, homes = self.usual, len(self.usual.wake)
        if free:
            going, leave = draw.random(homes) < 0.55, draw.uniform(10.0, 14.0, homes)
            back = leave + draw.uniform(1.5, 5.0, homes)
        else:
            going = usual.works_out & (draw.random(homes) < 0.97)
            leave, back = (
                usual.leave + 0.2 * draw.standard_normal(homes),
                usual.back + 0.3 * draw.standard_normal(homes),
            )
        return np.where(going, leave, NEVER), np.where(going, np.minimum(back, 23.5), NEVER)
