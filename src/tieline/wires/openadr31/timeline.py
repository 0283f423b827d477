"""What an event means in time: which payloads hold when (User Guide 7.1, 7.3, 7.4 and 7.9). Pure.

    event.intervalPeriod  start 0:00, duration PT1H       event.duration  PT7H
    intervals a, b, c     b brings its own duration PT2H, c its own start 4:00

        0    1    2    3    4    5    6    7 h
        ├ a ─┼─── b ───┤    ├ c ─┼ a ─┼ b ─┤         a lap with the gap that the event made, and the next lap
        ├p0┼p1┤                            ┆         several values in one payload divide their interval
        └───────── event.duration ─────────┘         longer than a lap: repeated; shorter: cut

    period    an interval's own, field by field over its event's; where neither has one, its program's
    start     absolute; or absent, or 0001-01-01: right after the interval before, and of the first one: now
    duration  absent or P9999Y: for ever, so that nothing comes after it unless it has a start of its own;
              PT0S: no time, which at 0001-01-01 is how an event is cancelled
    randomizeStart  shifts the first interval and all after it, until an interval brings its own

Spans are [start, end) in UTC; an end of None is for ever. "Now" is when the event was heard of, which is given in.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import UNSET, UnsetType, structs

from tieline.base.time import EPOCH, MICROSECOND
from tieline.wires.openadr31.duration import FOR_EVER, NO_TIME, Length, length, moved, width
from tieline.wires.openadr31.messages import (
    Event,
    EventRequest,
    Interval,
    IntervalPeriod,
    Point,
    Program,
    ProgramRequest,
    ValuesMap,
)
from tieline.wires.openadr31.scalars import NOW, read_instant
from tieline.wires.openadr31.vocabulary import UNITARY_PAYLOADS

_NO_PERIOD = IntervalPeriod()


class Slot(NamedTuple):
    """What an interval, or a part of it, asks for in [start, end)."""

    start: datetime
    end: datetime | None
    interval_id: int
    payloads: tuple[ValuesMap, ...]


def lifespan(
    event: EventRequest, program: ProgramRequest | None, heard_at: datetime
) -> tuple[datetime, datetime | None]:
    """From the first start to the last end of its intervals, or for event.duration; no time when it is cancelled.

    An event without intervals, which only asks for reports, lives for its intervalPeriod.
    """
    plan = _plan(event, program, heard_at, draw=0.0)
    return plan.begin, plan.end


def timeline(
    event: EventRequest,
    program: ProgramRequest | None,
    heard_at: datetime,
    *,
    draw: float = 0.0,
    after: datetime | None = None,
) -> Iterator[Slot]:
    """Its slots by their start, without end for an event that repeats for ever; those of no length are left out.

    `draw`, from -1 to 1, is what the reader's dice said: every randomizeStart shifts by so much of its width.
    `after` skips the laps that were over by then, without walking through them.
    """
    return itertools.chain.from_iterable(laps(event, program, heard_at, draw=draw, after=after))


def laps(
    event: EventRequest,
    program: ProgramRequest | None,
    heard_at: datetime,
    *,
    draw: float = 0.0,
    after: datetime | None = None,
) -> Iterator[list[Slot]]:
    """The same, each repetition of the intervals as a list."""
    plan = _plan(event, program, heard_at, draw)
    late = _late_by(plan, after) if after else NO_TIME
    while spans := _walk(plan.steps, late):
        begin, over = _extent(spans)
        if not (after and over and over <= after):
            slots = (_cut(slot, plan.end) for span in spans for slot in _parts(span))
            yield sorted(filter(None, slots), key=lambda slot: slot.start)
        if over is None or over <= begin or (plan.end and over >= plan.end):
            return
        late += over - begin


# ---------------------------------------------------------------- the plan of an event


class _Step(NamedTuple):
    """An interval with what it inherits; without a start it follows the one before, without a shift it shares its."""

    interval: Interval
    start: datetime | None
    length: Length
    shift: timedelta | None


class _Span(NamedTuple):
    start: datetime
    end: datetime | None
    interval: Interval


class _Plan(NamedTuple):
    """The intervals of a lap, where the first lap begins, and where the last one is cut."""

    steps: list[_Step]
    begin: datetime
    end: datetime | None


def _late_by(plan: _Plan, at: datetime) -> timedelta:
    """How late the lap of `at` begins, when every lap is as long as the first; else the first lap, to go on from."""
    _, over = _extent(_walk(plan.steps, NO_TIME)) if plan.steps else (plan.begin, None)
    if over is None or over <= plan.begin or at < over or any(step.length.months for step in plan.steps):
        return NO_TIME
    at = min(at, plan.end) if plan.end else at
    return (at - plan.begin) // (over - plan.begin) * (over - plan.begin)


def _plan(event: EventRequest, program: ProgramRequest | None, heard_at: datetime, draw: float) -> _Plan:
    if steps := [_step(interval, event, program, draw) for interval in event.intervals or ()]:
        steps[0] = _first(steps[0], _inherited(event, program, steps[0].interval), heard_at, draw)
        begin, over = _extent(_walk(steps, NO_TIME))
    else:
        period = _inherited(event, program)
        begin = _start(period) or heard_at
        over = _length(period.duration).after(begin)
    if event.duration is not UNSET and over != begin:
        over = length(event.duration).after(begin)
    return _Plan(steps, begin, over)


def _inherited(event: EventRequest, program: ProgramRequest | None, interval: Interval | None = None) -> IntervalPeriod:
    if event.interval_period:
        return event.interval_period
    if program and program.interval_period and not (interval and interval.interval_period):
        return program.interval_period
    return _NO_PERIOD


def _step(interval: Interval, event: EventRequest, program: ProgramRequest | None, draw: float) -> _Step:
    own, inherited = interval.interval_period or _NO_PERIOD, _inherited(event, program, interval)
    start = _start(own)
    shift = _shift(own, start, draw) if start else None
    return _Step(interval, start, _length(own.duration or inherited.duration), shift)


def _first(step: _Step, inherited: IntervalPeriod, heard_at: datetime, draw: float) -> _Step:
    """It begins where its event does, or now; its shift is everybody's."""
    own = step.interval.interval_period or _NO_PERIOD
    start = step.start or _start(inherited) or heard_at
    return step._replace(start=start, shift=_shift(own if own.randomize_start else inherited, start, draw))


def _start(period: IntervalPeriod) -> datetime | None:
    return None if period.start is UNSET or NOW.match(period.start) else read_instant(period.start)


def _length(duration: str | UnsetType) -> Length:
    return FOR_EVER if duration is UNSET else length(duration)


def _shift(period: IntervalPeriod, start: datetime, draw: float) -> timedelta | None:
    return None if period.randomize_start is UNSET else width(period.randomize_start, start) * draw


def _walk(steps: list[_Step], late: timedelta) -> list[_Span]:
    """The lap that begins `late` after the first; what has a start of its own keeps its distance."""
    spans: list[_Span] = []
    shift, at = NO_TIME, None
    for step in steps:
        shift = shift if step.shift is None else step.shift
        at = moved(step.start, late + shift) if step.start else at
        if at is None:
            continue  # the one before goes on for ever
        spans.append(_Span(at, step.length.after(at), step.interval))
        at = spans[-1].end
    return spans


def _extent(spans: list[_Span]) -> tuple[datetime, datetime | None]:
    ends = [span.end for span in spans if span.end]
    return min(span.start for span in spans), max(ends) if len(ends) == len(spans) else None


# ---------------------------------------------------------------- the slots of an interval


def _parts(span: _Span) -> Iterator[Slot]:
    """Cut wherever a value of any payload gives way to the next (User Guide 7.3, multi-valued payloads)."""
    start, end, interval = span
    counted = [(payload, _count(payload)) for payload in interval.payloads]
    if end is None:
        yield Slot(start, None, interval.id, tuple(_part(payload, count, 0) for payload, count in counted))
        return
    total = (end - start) // MICROSECOND
    counts = {count for _, count in counted} | {1}
    cuts = sorted({total * part // count for count in counts for part in range(count)} | {total})
    for begin, over in itertools.pairwise(cuts):
        payloads = tuple(_part(payload, count, _index(begin, count, total)) for payload, count in counted)
        yield Slot(start + begin * MICROSECOND, start + over * MICROSECOND, interval.id, payloads)


def _count(payload: ValuesMap) -> int:
    """How many values follow each other."""
    unitary = payload.type in UNITARY_PAYLOADS and not any(isinstance(value, Point) for value in payload.values)
    return max(len(payload.values), 1) if unitary else 1


def _index(at: int, count: int, total: int) -> int:
    """Which of `count` equal parts of `total` holds at `at`: the last that has begun."""
    return min(((at + 1) * count - 1) // total, count - 1)


def _part(payload: ValuesMap, count: int, index: int) -> ValuesMap:
    return payload if count == 1 else ValuesMap(type=payload.type, values=(payload.values[index],))


def _cut(slot: Slot, limit: datetime | None) -> Slot | None:
    """The slot up to the end of its event, if there is any of it."""
    end = min(slot.end or limit, limit) if limit else slot.end
    return None if end and end <= slot.start else slot._replace(end=end)


# ---------------------------------------------------------------- what holds


class Held(NamedTuple):
    """A payload of an event while it holds."""

    start: datetime
    end: datetime | None
    payload: ValuesMap
    interval_id: int
    event: Event


class Outlook(NamedTuple):
    """What holds now, and what will hold next, be it after a while of nothing."""

    now: Held | None
    next: Held | None


def now_and_next(
    programs: Iterable[Program], events: Iterable[Event], now: datetime, draws: Mapping[str, float] | None = None
) -> dict[str, Outlook]:
    """By payload type; types that neither hold nor will are left out. `draws` are of events by their id.

    Where events meet, the lower priority number holds, none at all goes last (User Guide 7.1). What that leaves open is
    decided by the later start, then the later modification, then the id: never by the order they came in.
    """
    by_id = {program.id: program for program in programs}
    parts: dict[str, list[_Part]] = {}
    for event in events:
        program, draw = by_id.get(event.program_id), (draws or {}).get(event.id, 0.0)
        for kind in {payload.type for interval in event.intervals or () for payload in interval.payloads}:
            parts.setdefault(kind, []).append(_Part(event, program, draw, kind))
    found = {kind: _outlook(parts[kind], now) for kind in sorted(parts)}
    return {kind: outlook for kind, outlook in found.items() if any(outlook)}


class _Part(NamedTuple):
    """What an event says of one payload type."""

    event: Event
    program: Program | None
    draw: float
    kind: str

    def from_then(self, at: datetime) -> list[Held]:
        """What holds at an instant and in the rest of its lap and the next one: whatever comes, comes there first."""
        told = laps(self._alone(), self.program, self.event.created_date_time, draw=self.draw, after=at)
        return [
            Held(slot.start, slot.end, payload, slot.interval_id, self.event)
            for slot in itertools.chain.from_iterable(itertools.islice(told, 2))
            for payload in slot.payloads
            if slot.end is None or slot.end > at
        ]

    def _alone(self) -> Event:
        """The event without its other payloads, whose values would cut this one's."""
        intervals = (
            structs.replace(interval, payloads=tuple(one for one in interval.payloads if one.type == self.kind))
            for interval in self.event.intervals or ()
        )
        return structs.replace(self.event, intervals=tuple(intervals))


def _outlook(parts: list[_Part], now: datetime) -> Outlook:
    helds = [held for part in parts for held in part.from_then(now)]
    holds = _best(helds, now)
    starts = [held.start for held in helds if held.start > now and (holds is None or _goes_before(held, holds))]
    turn = min([*starts, holds.end] if holds and holds.end else starts, default=None)
    if turn is None:
        return Outlook(holds, None)
    later = [held for part in parts for held in part.from_then(turn)]
    turn = min(max(turn, held.start) for held in later) if later else turn
    return Outlook(holds, _best(later, turn))


def _best(helds: list[Held], at: datetime) -> Held | None:
    return min((held for held in helds if held.start <= at), key=_rank, default=None)


def _goes_before(one: Held, other: Held) -> bool:
    return _rank(one) < _rank(other)


def _rank(held: Held) -> tuple[float, timedelta, timedelta, str]:
    priority = math.inf if held.event.priority is None else held.event.priority
    return priority, EPOCH - held.start, EPOCH - held.event.modification_date_time, held.event.id
