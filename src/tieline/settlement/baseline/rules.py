"""What a rule may say: which days, how many of them, their average, its adjustment, its bounds. Data, and nothing else.

    look-back                                                   event day
    ┊ Mo Tu We Th Fr Sa Su Mo …                                ┊   start − 4 h    start − 1 h    start        end
    ┊ pick: the newest whole days of the event day's kind,     ┊   |== adjustment ==|            |==== event ====|
    ┊ without those it was called on; all, or the highest, …   ┊   its load here against theirs here
    ┊ average: the mean of each step over them                 ┊   → a factor, or a difference, within bounds

A rule survives JSON unchanged, so that a market's rule can be kept, signed and sent beside what was settled by it.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from tieline.base.errors import Refused


class Kinds(StrEnum):
    """How days are told apart: not at all; by business days and others; by weekdays, Saturdays and Sundays."""

    EVERY = "every"
    BUSINESS = "business"
    WEEK = "week"


class Kind(StrEnum):
    """A day's kind; a holiday is another day, or a Sunday."""

    ANY = "calendar"
    BUSINESS = "business"
    OTHER = "other"
    WEEKDAY = "week"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday or holiday"


class Order(StrEnum):
    """Which of the eligible days are kept, by their mean power in the event's hours."""

    HIGHEST = "highest"
    MIDDLE = "middle"


class Pick(msgspec.Struct, frozen=True):
    """The `most` nearest eligible days, of which `keep` are averaged (0: all); with fewer than `least` there is no
    baseline. `shares` weighs the days kept, the first in their order first; without it they weigh the same.

    Raises `Refused` for what cannot be."""

    most: int
    least: int
    keep: int = 0
    order: Order = Order.HIGHEST
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (1 <= self.least <= self.most and 0 <= self.keep <= self.most):
            raise Refused(f"1 ≤ least ≤ most and 0 ≤ keep ≤ most was expected of {self}")
        if self.shares and (len(self.shares) != self.keep or min(self.shares) <= 0):
            raise Refused(f"a share above 0 for each of the {self.keep} days kept was expected of {self}")


class Anchor(StrEnum):
    """What the hours of a window count from."""

    START = "start"
    END = "end"
    CLOCK = "clock"


class Window(msgspec.Struct, frozen=True):
    """Hours of the event day: from the event's start, from its end, or on the clock from midnight."""

    anchor: Anchor
    from_h: float
    until_h: float


class Mean(msgspec.Struct, frozen=True, tag="mean"):
    """The mean of the picked days, step by step."""


class Exponential(msgspec.Struct, frozen=True, tag="exponential"):
    """The mean of the `seed` oldest days; then, day by day, `keep` of what was and 1 - `keep` of that day."""

    keep: float
    seed: int


class Regression(msgspec.Struct, frozen=True, tag="regression"):
    """Ordinary least squares, each step for itself: a level for each weekday, and where `temperature` is asked for, the
    degrees under `heating_c` and over `cooling_c`."""

    temperature: bool
    heating_c: float = 15.0
    cooling_c: float = 20.0


class SameDay(msgspec.Struct, frozen=True, tag="same day"):
    """The mean of the event day itself over these windows, for every step of the event."""

    windows: tuple[Window, ...]


class Controls(msgspec.Struct, frozen=True, tag="controls"):
    """The event day's mean of the `nearest` meters that were not called, by their usual load on the picked days."""

    nearest: int


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """The mean of the picked days, times what the meter's group was forecast to draw, before the event was called, over
    what it drew on them."""


Average: TypeAlias = Mean | Exponential | Regression | SameDay | Controls | Forecast


class How(StrEnum):
    """Whether an adjustment multiplies or adds."""

    RATIO = "ratio"
    DIFFERENCE = "difference"


class Adjust(msgspec.Struct, frozen=True):
    """The event day against the average over the windows: their ratio, or the difference of their means in kW, no less
    than `least` and no more than `most` (None: without bound)."""

    how: How
    windows: tuple[Window, ...]
    least: float | None = None
    most: float | None = None


class Lasting(msgspec.Struct, frozen=True):
    """How far the event day is from its picked days in each window, and as much of that in each step of the event as
    lasted on those days: least squares, each meter and each step for itself. `shares` is what is believed to last of
    each window before any day was seen; it weighs as much as `weighs` days.

    Raises `Refused` for what cannot be."""

    windows: tuple[Window, ...]
    shares: tuple[float, ...]
    weighs: float

    def __post_init__(self) -> None:
        if not self.windows or len(self.shares) != len(self.windows) or self.weighs <= 0:
            raise Refused(f"windows, a share for each and a weight above 0 were expected of {self}")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One way to a baseline. `read` says how we know what `source` says.

    `low_use`: days whose mean power in the event's hours is below this share of the picked days' mean are replaced.
    `make_up`: where days are too few, those of earlier events make up for them, the highest first.
    `floor_kw`: no step is below it. `within_contract`: none is above the meter's contract capacity, where it has one.
    """

    name: str
    title: str
    source: str
    read: str
    kinds: Kinds
    picks: dict[Kind, Pick] = {}
    look_back_days: int = 45
    look_ahead_days: int = 0
    average: Average = Mean()
    adjust: Adjust | None = None
    lasting: Lasting | None = None
    low_use: float = 0.0
    make_up: bool = False
    floor_kw: float | None = None
    within_contract: bool = False

    @property
    def windows(self) -> tuple[Window, ...]:
        """All hours beside the event's own that the rule looks at."""
        same_day = self.average.windows if isinstance(self.average, SameDay) else ()
        return (
            *same_day,
            *(self.adjust.windows if self.adjust else ()),
            *(self.lasting.windows if self.lasting else ()),
        )

    @property
    def after_h(self) -> float | None:
        """How many hours after the event's end all is over that the rule looks at, the event's own hours among it;
        None: it looks at nothing after the start."""
        looks_within = isinstance(self.average, Controls) or self.wants_temperature
        after = [window.until_h for window in self.windows if window.anchor is Anchor.END]
        return max([0.0, *after]) if looks_within or any(hours > 0 for hours in after) else None

    @property
    def wants_temperature(self) -> bool:
        return isinstance(self.average, Regression) and self.average.temperature
