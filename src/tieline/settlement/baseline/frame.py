"""A fleet's load around one event: the event day, the days beside it, and what is known of them.

    steps       −4 h  −3 h  −2 h  −1 h | start … end | +1 h  +2 h      each step has its offset from the event's start
    days        [days, steps, meters]     NaN: unknown                  in any order
    event day   [steps, meters]           NaN: unknown, or not yet known; its steps in the event are never looked at

Meters come last, so that what is done to a step is done to a stretch of memory.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.baseline.rules import Anchor, Window

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Weather:
    """Outdoor temperature, degrees Celsius: of the days [days, steps] and of the event day [steps]."""

    days_c: Floats
    today_c: Floats


@dataclass(frozen=True)
class Outlook:
    """The mean load of one meter of a group, kW: as it came on the days [days, steps]; as it was forecast, before the
    event was called, of the event day [steps]; and of the days, before they began [days, steps]."""

    days_kw: Floats
    today_kw: Floats
    foretold_kw: Floats

    def of(self, days: slice | Sequence[int], today_kw: Floats) -> "Outlook":
        """The same for some of the days, and another event day."""
        return Outlook(self.days_kw[days], today_kw, self.foretold_kw[days])


@dataclass(frozen=True)
class Frame:
    """Load around one event. `offset_s` and `length_s` are of its steps; `start_s` is when it starts on the clock.

    `called` are days on which a meter was under another event, `out` those on which its load is not its own (an
    outage, a repair), both [days, meters]; a meter that is `touched` was under another event in the windows of the
    event day itself. `contract_kw` is the contract capacity of each meter. `controls` are meters that were not called;
    with `each_other` nobody was, and every meter has all the others.
    """

    event_day: date
    event_s: int
    start_s: int
    days: Sequence[date]
    kw: Floats
    today_kw: Floats
    offset_s: Ints
    length_s: Ints
    holidays: Collection[date] = ()
    called: Mask | None = None
    out: Mask | None = None
    touched: Mask | None = None
    contract_kw: Floats | None = None
    weather: Weather | None = None
    outlook: Outlook | None = None
    controls: "Frame | None" = None
    each_other: bool = False
    _sums: dict[tuple[int, int, int], Floats] = field(default_factory=dict, init=False, repr=False)

    @property
    def meters(self) -> int:
        return len(self.today_kw[0])

    @property
    def barred(self) -> Mask:
        """The days on which a meter was called, or out, [days, meters]."""
        barred: Mask = np.zeros((len(self.days), self.meters), bool)
        for marked in (self.called, self.out):
            barred = barred if marked is None else barred | marked
        return barred

    @property
    def during(self) -> slice:
        """The steps of the event."""
        first, last = np.searchsorted(self.offset_s, [0, self.event_s])
        return slice(int(first), int(last))

    @property
    def event_steps(self) -> int:
        return int(((self.offset_s >= 0) & (self.offset_s < self.event_s)).sum())

    def within(self, windows: Sequence[Window]) -> list[slice]:
        """The steps that meet each of those windows: where steps are longer than a window, the one it lies in."""
        spans = [span_s(window, self.start_s, self.event_s) for window in windows]
        ends_s = self.offset_s + self.length_s
        first = np.searchsorted(ends_s, [opens for opens, _ in spans], side="right")
        last = np.searchsorted(self.offset_s, [closes for _, closes in spans])
        return [slice(int(a), max(int(a), int(b))) for a, b in zip(first, last, strict=True)]

    def energy_kws(self, day: int, span: slice) -> Floats:
        """Of a day's steps, per meter; NaN where any of them is unknown. Kept, since many rules ask for the same."""
        key = (day, span.start, span.stop)
        if key not in self._sums:
            self._sums[key] = np.einsum("s,sm->m", self.length_s[span].astype(float), self.kw[day, span])
        return self._sums[key]

    def steps(self, windows: Sequence[Window]) -> Ints:
        """The steps of the event, then those of the windows."""
        every = np.arange(len(self.offset_s))
        return np.concatenate([every[span] for span in (self.during, *self.within(windows))])

    def of(self, meters: Ints) -> "Frame":
        """The same for some of its meters."""
        return replace(
            self,
            kw=self.kw[:, :, meters],
            today_kw=self.today_kw[:, meters],
            called=None if self.called is None else self.called[:, meters],
            out=None if self.out is None else self.out[:, meters],
            touched=None if self.touched is None else self.touched[meters],
            contract_kw=None if self.contract_kw is None else self.contract_kw[meters],
        )


def span_s(window: Window, start_s: int, event_s: int) -> tuple[int, int]:
    """From when to when a window is, in seconds from the event's start."""
    zero = {Anchor.START: 0, Anchor.END: event_s, Anchor.CLOCK: -start_s}[window.anchor]
    return zero + round(window.from_h * 3600), zero + round(window.until_h * 3600)
