"""What a report tells, as the platform understands it: readings, loads that opted out, what cannot be taken. Pure.

    USAGE in KWH, DEMAND in KW   measured, summed, averaged or estimated: mean power in kW on the meter's or the load's
                                 power series, at the end of the interval. A value there stands for a quarter hour at
                                 most: a longer interval becomes parts of equal length, each flagged SPREAD
    any other number             a series of its own: {ven}.{resource}.openadr_{payload type}_{reading type}_{unit}
    DATA_QUALITY                 flags all that its interval tells; what is MISSING was not read, and is no reading
    OPERATING_STATE              an opt-out, where it says so, from its interval on
    texts, points                stay in the report

Several values in one payload divide its interval (User Guide 7.3). What cannot be understood is refused with its
reason; the report itself stays as it came.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import NamedTuple, TypeGuard

import msgspec

from tieline.base.names import is_series_id, power_series, reported_series
from tieline.base.series import Declaration, Flag, Stamp
from tieline.registry.model import METER_HOLD_S, METER_STEP_S, Resource, Ven
from tieline.telemetry.model import UNKNOWN_LOAD, Dead, Reported
from tieline.vtn.expectations import Answered, Period
from tieline.vtn.meaning import DIMENSIONLESS, Lapse, Meaning, lapses, meaning
from tieline.wires.openadr31.messages import Event, Interval, Program, Report, ReportResource, Value, ValuesMap
from tieline.wires.openadr31.vocabulary import AGGREGATED_REPORT, OPTED_OUT, DataQuality, ReadingType, ReportPayload

MOST_READINGS = 20_000
"""Of one report: it is a VEN's message, not a file."""
LONGEST_UNIT = 32
ENERGY_KWH = {"WH": 0.001, "KWH": 1.0, "MWH": 1000.0}
POWER_KW = {"W": 0.001, "KW": 1.0, "MW": 1000.0}
MEASURED = frozenset(
    {ReadingType.DIRECT_READ, ReadingType.SUMMED, ReadingType.MEAN, ReadingType.AVERAGE, ReadingType.ESTIMATED}
)
QUALITY: dict[str, Flag] = {DataQuality.ESTIMATED: Flag.ESTIMATED, DataQuality.BAD: Flag.DOUBTED}
NAMEPLATE = 1.1
"""A load may draw so much of its nameplate power before that is odd, as in its own messages."""
SOURCE = "openadr"


class Home(msgspec.Struct, frozen=True):
    """A VEN of the reporting client, and its resources."""

    ven: Ven
    resources: Sequence[Resource]


class OptOut(NamedTuple):
    """Of these loads, from when on; None: at once."""

    ven_id: str
    loads: tuple[str, ...]
    state: str
    from_at: datetime | None = None


class Told(msgspec.Struct, frozen=True):
    """`answered` is what the report tells of each VEN, whatever could be taken of it."""

    readings: list[Reported]
    refused: list[Dead]
    opted_out: list[OptOut]
    answered: dict[str, Answered]


def told(report: Report, homes: Sequence[Home], event: Event | None, program: Program | None) -> Told:
    """`homes` are the VENs of the report's client; of several, `clientName` or the resources tell which is meant."""
    understood = _Understanding(report, homes, event, program)
    for resource in report.resources:
        understood.take(resource)
    return understood.told()


# --- a report, resource by resource -----------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Whose values these are: a load's, or the whole VEN's."""

    home: Home
    load: Resource | None

    @property
    def ven(self) -> Ven:
        return self.home.ven

    @property
    def load_id(self) -> str | None:
        return self.load.resource_id if self.load else None

    @property
    def loads(self) -> tuple[str, ...]:
        """It, or all of the VEN's; a VEN without any counts as one."""
        if self.load is not None:
            return (self.load.resource_id,)
        return tuple(one.resource_id for one in self.home.resources) or (AGGREGATED_REPORT,)


class _Understanding:
    """What was understood of a report so far."""

    def __init__(self, report: Report, homes: Sequence[Home], event: Event | None, program: Program | None) -> None:
        self._report = report
        named = [one for one in homes if report.client_name in (one.ven.name, one.ven.ven_id)]
        self._homes = named or homes
        self._event = event
        self._program = program
        self._meanings: dict[str, Meaning | Dead] = {}
        self._readings: list[Reported] = []
        self._refused: list[Dead] = []
        self._out: dict[OptOut, None] = {}
        self._said: dict[str, list[Answered]] = {}

    def told(self) -> Told:
        descriptors = self._report.payload_descriptors or ()
        if not self._report.resources and len(self._homes) == 1:
            self._said[self._homes[0].ven.ven_id] = [Answered(frozenset(one.payload_type for one in descriptors))]
        kinds = frozenset((one.payload_type, one.reading_type) for one in descriptors if one.reading_type)
        answered = {ven_id: _joined(some, kinds) for ven_id, some in self._said.items()}
        return Told(self._readings, together(self._refused), list(self._out), answered)

    def take(self, resource: ReportResource) -> None:
        spans = lapses(resource, self._event, self._program)
        place = _place(resource.resource_name, self._homes)
        if isinstance(place, _Place):
            self._note(place.ven.ven_id, resource, spans)
            for interval, span in zip(resource.intervals, spans, strict=True):
                self._take_interval(place, interval, span)
        else:
            if len(self._homes) == 1:  # it came, even if nothing of it can be taken
                self._note(self._homes[0].ven.ven_id, resource, spans)
            self._refuse(place)

    def _note(self, ven_id: str, resource: ReportResource, spans: Sequence[Lapse | None]) -> None:
        types = frozenset(payload.type for one in resource.intervals for payload in one.payloads)
        known = [span for span in spans if span is not None]
        ends = [one.end or one.start for one in known]
        period = Period(min(one.start for one in known), max(ends)) if known else None
        aggregated = resource.resource_name == AGGREGATED_REPORT
        self._said.setdefault(ven_id, []).append(Answered(types, aggregated=aggregated, period=period))

    def _take_interval(self, place: _Place, interval: Interval, span: Lapse | None) -> None:
        times = Counter(payload.type for payload in interval.payloads)
        for payload in interval.payloads:
            if payload.type == ReportPayload.OPERATING_STATE:
                said = [value for value in payload.values if isinstance(value, str) and value in OPTED_OUT]
                from_at = span.start if span else None
                self._out |= {OptOut(place.ven.ven_id, place.loads, value, from_at): None for value in said[:1]}
            elif payload.type == ReportPayload.DATA_QUALITY or not any(map(_is_number, payload.values)):
                continue
            elif times[payload.type] > 1:
                self._refuse(
                    Dead("ambiguous", f"{payload.type} is twice in an interval: write several values"), interval
                )
            else:
                self._take_payload(place, interval, payload, span)

    def _take_payload(self, place: _Place, interval: Interval, payload: ValuesMap, span: Lapse | None) -> None:
        means, count = self._meaning(payload.type), len(payload.values)
        if isinstance(means, Dead):
            self._refuse(means, interval)
            return
        if span is None or (count > 1 and span.end is None):
            self._refuse(
                Dead("no period", f"nothing says when {payload.type} was so: give an intervalPeriod"), interval
            )
            return
        sink = _sink(place, payload.type, means, span.part(0, count).seconds)
        if isinstance(sink, Dead):
            self._refuse(sink, interval)
            return
        for index, (value, flags) in enumerate(zip(payload.values, _qualities(interval, count), strict=True)):
            if flags is not None and _is_number(value):
                made = sink.readings(value, span.part(index, count), flags, MOST_READINGS - len(self._readings))
                if isinstance(made, Dead):
                    self._refuse(made, interval)
                else:
                    self._readings += made

    def _meaning(self, kind: str) -> Meaning | Dead:
        if kind not in self._meanings:
            self._meanings[kind] = meaning(kind, self._report, self._event, self._program)
        return self._meanings[kind]

    def _refuse(self, dead: Dead, interval: Interval | None = None) -> None:
        where = f" (interval {interval.id})" if interval else ""
        self._refused.append(Dead(dead.reason, f"{dead.detail}{where}"))


def _place(name: str, homes: Sequence[Home]) -> _Place | Dead:
    if not homes:
        return Dead("unknown VEN", "the client has no VEN: create its ven object, then let it report")
    if name == AGGREGATED_REPORT:
        found = [_Place(home, None) for home in homes]
    else:
        found = [_Place(home, one) for home in homes for one in home.resources if one.name == name]
    if not found:
        vens = ", ".join(home.ven.name for home in homes[:5])
        return Dead(UNKNOWN_LOAD, f"there is no resource {name!r} at {vens}: create its resource object first")
    if len(found) > 1:
        return Dead(
            "ambiguous", f"{name!r} is at {len(found)} VENs of the client: say in clientName which one is meant"
        )
    return found[0]


def _joined(some: Sequence[Answered], reading_types: frozenset[tuple[str, str]]) -> Answered:
    """What the resources of one VEN tell together."""
    periods = [one.period for one in some if one.period]
    return Answered(
        types=frozenset[str]().union(*(one.types for one in some)),
        reading_types=reading_types,
        aggregated=any(one.aggregated for one in some),
        period=Period(min(one.start for one in periods), max(one.end for one in periods)) if periods else None,
    )


def together(refused: Iterable[Dead]) -> list[Dead]:
    """One for each reason, however often it is: the first, with how many more there are."""
    by_reason: dict[str, list[str]] = {}
    for dead in refused:
        by_reason.setdefault(dead.reason, []).append(dead.detail)
    more = {
        reason: f" (and {len(all_) - 1} more in this report)" for reason, all_ in by_reason.items() if len(all_) > 1
    }
    return [Dead(reason, details[0] + more.get(reason, "")) for reason, details in by_reason.items()]


# --- a value ----------------------------------------------------------------------------------------------------------


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _qualities(interval: Interval, count: int) -> list[Flag | None]:
    """Of each of so many values; None where there is none."""
    said = [value for one in interval.payloads if one.type == ReportPayload.DATA_QUALITY for value in one.values]
    return [_quality([word]) for word in said] if len(said) == count else [_quality(said)] * count


def _quality(said: Sequence[Value]) -> Flag | None:
    words = {word for word in said if isinstance(word, str)}
    if DataQuality.MISSING in words:
        return None
    return reduce(or_, (QUALITY.get(word, Flag.GOOD) for word in words), Flag.GOOD)


class _Sink(NamedTuple):
    """Where the values of a payload go: to a series, each times a factor, all with a flag."""

    series: Declaration
    flag: Flag
    factor: float = 1.0
    limit_kw: float | None = None

    def readings(self, value: float, span: Lapse, flags: Flag, room: int) -> list[Reported] | Dead:
        """At the end of the interval; a power that lasts for long at the end of each part; at most so many."""
        parts = 1 if self.limit_kw is None else max(1, math.ceil(span.seconds / METER_HOLD_S))
        if parts > room:
            return Dead("too large", f"more than {MOST_READINGS} readings in one report: send several")
        try:
            number = float(value) * self.factor
        except OverflowError:
            return Dead("not a number", "a value is more than a number can be")
        flags |= self.flag | (Flag.SPREAD if parts > 1 else Flag.GOOD)
        ends = (span.part(n, parts).end or span.start for n in range(parts))
        return [Reported(self.series, at, number, flags, self.limit_kw) for at in ends]


def _sink(place: _Place, kind: str, means: Meaning, seconds: float) -> _Sink | Dead:
    """For values that each last so long; 0 where nobody says."""
    measured = means.reading_type in MEASURED
    flag = Flag.ESTIMATED if means.reading_type == ReadingType.ESTIMATED else Flag.GOOD
    if measured and kind == ReportPayload.USAGE and means.unit in ENERGY_KWH:
        if seconds <= 0:
            return Dead("no period", f"{kind} is over a time: give its intervalPeriod a duration")
        return _power(place, ENERGY_KWH[means.unit] * 3600 / seconds, flag)
    if measured and kind == ReportPayload.DEMAND and means.unit in POWER_KW:
        return _power(place, POWER_KW[means.unit], flag)
    return _other(place, kind, means, seconds, flag)


def _power(place: _Place, factor: float, flag: Flag) -> _Sink:
    series_id = power_series(place.ven.ven_id, place.load_id)
    limit_kw = place.load.rated_kw * NAMEPLATE if place.load else place.ven.limit_kw
    return _Sink(_declared(place, series_id, "kW", METER_STEP_S), flag, factor, limit_kw)


def _other(place: _Place, kind: str, means: Meaning, seconds: float, flag: Flag) -> _Sink | Dead:
    reading_type = "" if means.reading_type == ReadingType.DIRECT_READ else means.reading_type
    unit = "" if means.unit == DIMENSIONLESS else means.unit
    what = "_".join(word for word in (kind, reading_type, unit) if word)
    series_id = reported_series(place.ven.ven_id, place.load_id, what)
    if not is_series_id(series_id) or len(means.unit) > LONGEST_UNIT:
        return Dead("unknown unit", f"{what[:100]!r} makes no name of a series: choose shorter words")
    step_s = min(round(seconds), 2**31 - 1) or METER_STEP_S
    return _Sink(_declared(place, series_id, means.unit, step_s), flag)


def _declared(place: _Place, series_id: str, unit: str, step_s: int) -> Declaration:
    return Declaration(
        series_id=series_id,
        unit=unit,
        step_s=step_s,
        zone=place.ven.zone,
        stamp=Stamp.END,
        hold_s=max(step_s, METER_HOLD_S),
        source=SOURCE,
        ven_id=place.ven.ven_id,
        resource_id=place.load_id,
    )
