"""Which reports an event asks for, and when each is due (User Guide 7.5, 8.7 and 8.8). Pure.

intervals       0    1    2    3    4    5          of the event, lap after lap where it repeats; of an event
              ├────┼────┼────┼────┼────┼────┤       without any, its intervalPeriod again and again

historical      ├─ 0..1 ─▲├─ 2..3 ─▲├─ 4..5 ─▲      startInterval 1, numIntervals 2, frequency 2, repeat 3:
                                                    due at the end of an interval, about it and those before
forecast        ▲─ 0..2 ─┤                          startInterval 0, numIntervals 3, frequency 1, repeat -1:
                     ▲─ 1..3 ─┤                     due at the start of an interval, about it and those after
                          ▲─ 2..4 ─┤

-1              startInterval: the last of a lap, or of the first so many where a frequency divides the lap; of a
                forecast the first; numIntervals: all of a lap; frequency: as many as numIntervals; repeat: for ever
 0              frequency: whenever the VEN likes, so that no report is ever due
"""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from tieline.wires.openadr31.duration import Length, length
from tieline.wires.openadr31.messages import Event, IntervalPeriod, Program, ReportDescriptor
from tieline.wires.openadr31.timeline import Slot, laps, lifespan

MOST_STEPS = 10_000
"""Of a report; and laps that are walked one by one, where months make them differ."""


class Step(NamedTuple):
    """An interval of an event; `id` is the event's own number for it."""

    id: int
    start: datetime
    end: datetime | None


class Duty(NamedTuple):
    """The `number`-th report, from 0, that a descriptor asks for."""

    number: int
    due_at: datetime
    steps: tuple[Step, ...]


class Duties:
    """Of one descriptor of an event, as a VEN plays it; `draw` is what its dice say (`timeline`)."""

    def __init__(
        self, event: Event, descriptor: ReportDescriptor, program: Program | None, *, draw: float = 0.0
    ) -> None:
        steps = _Repeated(event, program, draw) if event.intervals else _Implied(event, program)
        asked = self._asked = descriptor
        self._step = steps.step
        self._count = min(steps.lap if asked.num_intervals < 0 else max(asked.num_intervals, 1), MOST_STEPS)
        self._every = self._count if asked.frequency < 0 else asked.frequency
        again = 0 < asked.frequency < steps.lap and asked.repeat != 1
        last = (self._every if again else steps.lap) - 1 if asked.historical else 0
        self._first = last if asked.start_interval < 0 else asked.start_interval

    def due(self, now: datetime, done: int = -1) -> tuple[Duty | None, datetime | None]:
        """The latest that is due and not done, and when the next one will be: what was missed is asked for once."""
        first_at = self._due_at(done + 1)
        if first_at is None or first_at > now:
            return None, first_at
        number = self._last_due(done + 1, now)
        return self._duty(number), self._due_at(number + 1)

    @property
    def scheduled(self) -> bool:
        """Whether a report is ever due; else the VEN reports when it likes."""
        return self._due_at(0) is not None

    def between(self, after: datetime, until: datetime, heard_at: datetime) -> Iterator[Duty]:
        """Those due in (after, until], in order. Of those that were due when the event was heard of, or changed, only
        the latest is, and at once (User Guide 7.5, "'do it now' event reporting")."""
        behind = self._latest(heard_at)
        if behind >= 0 and after < heard_at <= until and (duty := self._duty(behind)):
            yield duty._replace(due_at=heard_at)
        for number in itertools.count(max(behind, self._latest(after)) + 1):
            if (duty := self._duty(number)) is None or duty.due_at > until:
                return
            if duty.due_at > after:
                yield duty

    def near(self, at: datetime, heard_at: datetime) -> list[Duty]:
        """The last one due by then and the one after it, as far as there are any."""
        number = max(self._latest(at), self._latest(heard_at), 0)
        found = [duty for one in (number, number + 1) if (duty := self._duty(one))]
        return [duty._replace(due_at=max(duty.due_at, heard_at)) for duty in found]

    def _latest(self, at: datetime) -> int:
        """The number of the last one due by then; -1 for none."""
        first_at = self._due_at(0)
        return -1 if first_at is None or first_at > at else self._last_due(0, at)

    def _last_due(self, number: int, now: datetime) -> int:
        """By doubling and halving: an event that has repeated for years has many behind it."""

        def is_due(one: int) -> bool:
            due_at = self._due_at(one)
            return due_at is not None and due_at <= now

        stride = 1
        while is_due(number + stride):
            stride *= 2
        while stride > 1:
            stride //= 2
            number += stride if is_due(number + stride) else 0
        return number

    def _due_at(self, number: int) -> datetime | None:
        if self._every == 0 or 0 <= self._asked.repeat <= number:
            return None
        step = self._step(self._at(number))
        return (step.end if self._asked.historical else step.start) if step else None

    def _duty(self, number: int) -> Duty | None:
        at, due_at = self._at(number), self._due_at(number)
        about = range(max(at - self._count + 1, 0), at + 1) if self._asked.historical else range(at, at + self._count)
        return Duty(number, due_at, tuple(self._steps(about))) if due_at else None

    def _steps(self, numbers: Iterable[int]) -> Iterator[Step]:
        """Up to the last there is."""
        for number in numbers:
            if (step := self._step(number)) is None:
                return
            yield step

    def _at(self, number: int) -> int:
        return self._first + number * self._every


class _Repeated:
    """The intervals of an event by their number, over all its laps."""

    def __init__(self, event: Event, program: Program | None, draw: float) -> None:
        bare = tuple(replace(interval, payloads=()) for interval in event.intervals or ())
        self._event = replace(event, intervals=bare)  # several values in a payload would divide them
        self._program = program
        self._draw = draw
        first, second = itertools.islice(itertools.chain(self._laps(), ([], [])), 2)
        self._first = first
        self._apart = second[0].start - first[0].start if first and second else None
        self._calendar = any(length(one.duration).months for one in _periods(event, program) if one.duration)
        self._lap = lru_cache(maxsize=4)(self._find)
        self.lap = len(first)

    def step(self, number: int) -> Step | None:
        lap, index = divmod(number, self.lap) if self.lap else (0, 0)
        slots = self._lap(lap)
        return Step(slots[index].interval_id, slots[index].start, slots[index].end) if index < len(slots) else None

    def _find(self, lap: int) -> list[Slot]:
        if lap == 0 or self._apart is None:
            return self._first if lap == 0 else []
        if self._calendar:  # months differ: there is no way but along them
            return next(itertools.islice(self._laps(), lap, None), []) if lap < MOST_STEPS else []
        try:
            at = self._first[0].start + lap * self._apart
        except OverflowError:
            return []
        slots = next(self._laps(at), [])
        return slots if slots and slots[0].start >= at else []

    def _laps(self, after: datetime | None = None) -> Iterator[list[Slot]]:
        heard_at = self._event.created_date_time
        return laps(self._event, self._program, heard_at, draw=self._draw, after=after)


class _Implied:
    """Intervals that an event does not list: its intervalPeriod, again and again until its duration is over."""

    lap = 1

    def __init__(self, event: Event, program: Program | None) -> None:
        self._begin, end = lifespan(event, program, event.created_date_time)
        self._end = end if event.duration else None
        period = next(_periods(event, program), None)
        self._each = length(period.duration) if period and period.duration and end != self._begin else None

    def step(self, number: int) -> Step | None:
        if self._each is None:
            return None if number else Step(0, self._begin, self._end)
        start, end = self._at(number), self._at(number + 1)
        if start is None or (self._end and start >= self._end):
            return None
        return Step(number, start, min(end, self._end) if end and self._end else end)

    def _at(self, number: int) -> datetime | None:
        assert self._each is not None
        try:
            return Length(self._each.months * number, self._each.exact * number).after(self._begin)
        except OverflowError:
            return None


def _periods(event: Event, program: Program | None) -> Iterator[IntervalPeriod]:
    for period in (
        event.interval_period,
        program.interval_period if program else None,
        *(interval.interval_period for interval in event.intervals or ()),
    ):
        if period:
            yield period
