"""What a reported number means: from when to when it holds, in which unit it is, and how it came about. Pure.

period     an interval's own, field by field over its resource's; without a start right after the interval before;
           where neither has one, that of the event's interval of the same id (User Guide 7.5 "interval id")
unit,      of the report's own descriptor of the payload type, else what the event asked for, else the program's;
reading    DIRECT_READ where nobody says (Definition, Table 3)
type
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from tieline.telemetry.model import Dead
from tieline.wires.openadr31.duration import length
from tieline.wires.openadr31.messages import (
    Event,
    Interval,
    IntervalPeriod,
    Program,
    Report,
    ReportDescriptor,
    ReportPayloadDescriptor,
    ReportResource,
)
from tieline.wires.openadr31.scalars import NOW, read_instant
from tieline.wires.openadr31.timeline import laps
from tieline.wires.openadr31.vocabulary import ReadingType, ReportPayload

DIMENSIONLESS = "1"
_NO_PERIOD = IntervalPeriod()


class Lapse(NamedTuple):
    """From when to when; an end of None is not said."""

    start: datetime
    end: datetime | None

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds() if self.end else 0.0

    def part(self, index: int, count: int) -> "Lapse":
        """The `index`-th of `count` equal parts."""
        if self.end is None or count == 1:
            return self
        whole = self.end - self.start
        return Lapse(self.start + whole * index / count, self.start + whole * (index + 1) / count)


class Meaning(NamedTuple):
    unit: str
    reading_type: str


def lapses(resource: ReportResource, event: Event | None, program: Program | None) -> list[Lapse | None]:
    """When each interval of a reported resource is; None where nothing tells."""
    whole = resource.interval_period or _NO_PERIOD
    found: list[Lapse | None] = []
    of_event: Mapping[int, Lapse] | None = None
    before: Lapse | None = None
    for index, interval in enumerate(resource.intervals):
        lapse = _lapse(interval, whole, before, first=index == 0)
        if lapse is None and event is not None:
            of_event = event_lapses(event, program) if of_event is None else of_event
            lapse = of_event.get(interval.id)
        found.append(before := lapse)
    return found


def event_lapses(event: Event, program: Program | None) -> Mapping[int, Lapse]:
    """When an event's intervals are, by their id; of an event that repeats, or ids that do, nobody knows which."""
    bare = replace(event, intervals=tuple(replace(one, payloads=()) for one in event.intervals or ()))
    found = list(islice(laps(bare, program, event.created_date_time), 2)) if bare.intervals else []
    if len(found) != 1:
        return {}
    times = Counter(slot.interval_id for slot in found[0])
    return {slot.interval_id: Lapse(slot.start, slot.end) for slot in found[0] if times[slot.interval_id] == 1}


def meaning(kind: str, report: Report, event: Event | None, program: Program | None) -> Meaning | Dead:
    """Of a payload type in a report."""
    said = list(_said(kind, report, event, program))
    unit = _agreed([{one.units for one in some} for some in said])
    reading_type = _agreed([{one.reading_type for one in some} for some in said])
    if len(unit) > 1 or len(reading_type) > 1:
        both = ", ".join(sorted(unit | reading_type))
        return Dead("ambiguous", f"{kind} has descriptors that say otherwise ({both}): send a report for each")
    if not unit and kind == ReportPayload.SIMPLE_LEVEL:
        unit = {DIMENSIONLESS}
    if not unit:
        return Dead("no unit", f"nothing says in which unit {kind} is: say units in the report's payloadDescriptors")
    return Meaning(unit.pop(), reading_type.pop() if reading_type else ReadingType.DIRECT_READ)


def _said(
    kind: str, report: Report, event: Event | None, program: Program | None
) -> Iterator[Sequence[ReportDescriptor | ReportPayloadDescriptor]]:
    """The descriptors of the payload type, the nearest first."""
    yield [one for one in report.payload_descriptors or () if one.payload_type == kind]
    yield [one for one in (event.report_descriptors if event else None) or () if one.payload_type == kind]
    of_program = (program.payload_descriptors if program else None) or ()
    yield [one for one in of_program if isinstance(one, ReportPayloadDescriptor) and one.payload_type == kind]


def _agreed(levels: Sequence[set[str | None]]) -> set[str]:
    """What the nearest level that says anything says."""
    return next((said for level in levels if (said := {one for one in level if one})), set())


def _lapse(interval: Interval, whole: IntervalPeriod, before: Lapse | None, *, first: bool) -> Lapse | None:
    own = interval.interval_period or _NO_PERIOD
    if own is _NO_PERIOD and whole is _NO_PERIOD:
        return None
    start = _start(own)
    if start is None:
        start = _start(whole) if first else before.end if before else None
    if start is None:
        return None
    duration = own.duration or whole.duration
    return Lapse(start, None if duration is UNSET else length(duration).after(start))


def _start(period: IntervalPeriod) -> datetime | None:
    return None if period.start is UNSET or NOW.match(period.start) else read_instant(period.start)
