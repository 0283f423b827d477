"""What reports an event makes VENs owe, and which of them a report pays. Pure.

    report descriptor ─▶ duties (wires) ─▶ Due ──────▶ received   by its time and a grace
                                            │    ├───▶ late       after that
                                            │    └───▶ missing    nothing came by then; what comes still makes it late
                                            └ until then: expected

    not wanted    a report that answers nothing that the event asks of this VEN, or nothing it still owed
    received      without a due time: what a VEN may send when it likes (frequency 0)

A report pays every due report whose whole time it covers; covering none, the one nearest in time that it touches.
"""

import enum
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from tieline.base.time import MICROSECOND, micros
from tieline.wires.openadr31.duties import Duties, Duty
from tieline.wires.openadr31.messages import Event, Program, ReportDescriptor

GRACE_S = 900.0
"""A report that comes so much later than it was due is not late yet."""
MOST = 1000
"""Due reports of one descriptor that are looked at together."""
UNWANTED = -1
"""The descriptor of a report that answers none."""
FOR_EVER = datetime.max.replace(tzinfo=UTC)


class State(enum.StrEnum):
    EXPECTED = "expected"
    RECEIVED = "received"
    LATE = "late"
    MISSING = "missing"
    NOT_WANTED = "not_wanted"


class Due(NamedTuple):
    """A report that an event's `descriptor`-th asks for: due at an instant, about [start, end). `turn` is its identity
    among those of the descriptor, whenever else it may be due: the microsecond at which its time comes."""

    due_at: datetime
    descriptor: int
    turn: int
    start: datetime
    end: datetime


class Period(NamedTuple):
    """[start, end)"""

    start: datetime
    end: datetime


class Answered(msgspec.Struct, frozen=True):
    """What a report answers for one VEN: payload types with their reading types where it says them, whether as a sum,
    and the time it is about where that is known."""

    types: frozenset[str]
    reading_types: frozenset[tuple[str, str]] = frozenset()
    aggregated: bool = False
    period: Period | None = None


def due(event: Event, program: Program | None, *, after: datetime, until: datetime) -> list[Due]:
    """All that is due in (after, until], in order; where that is too much of a descriptor, all up to an instant."""
    heard_at = event.modification_date_time
    found: list[Due] = []
    for index, duties in _duties(event, program):
        some = [_due(event, index, one) for one in itertools.islice(duties.between(after, until, heard_at), MOST)]
        until = some[-1].due_at if len(some) == MOST else until
        found += some
    return sorted(one for one in found if one.due_at <= until)


def next_due_at(event: Event, program: Program | None, *, after: datetime) -> datetime | None:
    """When the next report is due after an instant."""
    heard_at = event.modification_date_time
    firsts = [next(duties.between(after, FOR_EVER, heard_at), None) for _, duties in _duties(event, program)]
    return min((one.due_at for one in firsts if one), default=None)


def asks(descriptor: ReportDescriptor, event: Event, grants: Collection[str]) -> bool:
    """Whether a VEN of these grants is asked: the event is meant for it, and so is the descriptor."""
    return all(not asked or set(asked) & set(grants) for asked in (event.targets, descriptor.targets))


def answers(descriptor: ReportDescriptor, answered: Answered) -> bool:
    """Whether the report tells what the descriptor asks for."""
    if descriptor.payload_type not in answered.types or (descriptor.aggregate and not answered.aggregated):
        return False
    said = {kind for name, kind in answered.reading_types if name == descriptor.payload_type}
    return not said or descriptor.reading_type is None or descriptor.reading_type in said


def met(
    event: Event, program: Program | None, index: int, answered: Answered, received_at: datetime
) -> Sequence[Due] | None:
    """Which of the reports that a descriptor asks for this one is, paid before or not; None where none is ever due."""
    duties = next(duties for each, duties in _duties(event, program) if each == index)
    if not duties.scheduled:
        return None
    heard_at, period = event.modification_date_time, answered.period
    found = duties.near(received_at, heard_at)
    if period is not None:
        within = duties.between(period.start - MICROSECOND, period.end, heard_at)
        found += duties.near(period.start, heard_at) + duties.near(period.end, heard_at)
        found += itertools.islice(within, MOST)
    dues = sorted({_due(event, index, one) for one in found})
    if period is None:
        return _nearest(dues, received_at)
    whole = [one for one in dues if period.start <= one.start and one.end <= period.end]
    return whole or _nearest([one for one in dues if one.start < period.end and period.start < one.end], received_at)


def state(due_at: datetime, received_at: datetime, grace: timedelta) -> State:
    return State.RECEIVED if received_at <= due_at + grace else State.LATE


def _duties(event: Event, program: Program | None) -> Iterator[tuple[int, Duties]]:
    """As the VEN whose dice threw the latest start plays it: nobody is late who could not be sooner."""
    for index, descriptor in enumerate(event.report_descriptors or ()):
        yield index, Duties(event, descriptor, program, draw=1.0)


def _due(event: Event, index: int, duty: Duty) -> Due:
    steps, descriptor = duty.steps, (event.report_descriptors or ())[index]
    turn_at = (steps[-1].end or FOR_EVER) if descriptor.historical else steps[0].start
    end = max(step.end or FOR_EVER for step in steps)
    return Due(duty.due_at, index, micros(turn_at), min(step.start for step in steps), end)


def _nearest(dues: Iterable[Due], at: datetime) -> list[Due]:
    return sorted(dues, key=lambda one: (abs(one.due_at - at), one.turn))[:1]
