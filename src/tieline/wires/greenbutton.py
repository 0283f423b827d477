"""Green Button (NAESB REQ.21 ESPI): a meter's energy by interval as an Atom feed that other tools read. Pure.

    feed ─ UsagePoint ─ MeterReading ─┬ ReadingType      what the numbers are: Wh, by interval
                                      └ IntervalBlock…   a day's intervals at most, without a gap between them

Starts are epoch seconds in UTC and durations are seconds, so the feed names no time zone.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from xml.sax.saxutils import escape

import msgspec

from tieline.base.time import iso

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
_ELECTRICITY, _DELTA, _NORMAL, _ENERGY, _WATT_HOURS = 1, 4, 12, 12, 72  # as REQ.21 numbers them
_FORWARD, _NET = 1, 4  # to the customer; or what went in less what came out
_QUESTIONABLE = 10
_DAY_S = 86_400


class Interval(msgspec.Struct, frozen=True):
    """Energy from `start_s` (since 1970) on; not `whole` where some of it was not measured."""

    start_s: int
    duration_s: int
    energy_wh: float
    whole: bool = True


class _Read(msgspec.Struct, frozen=True):
    of: Interval
    wh: int


def feed(usage_point: str, intervals: Sequence[Interval], now: datetime) -> str:
    """The intervals, in order of start, as an Atom feed; what is missing is left out.

    Values are whole watt-hours. What rounding takes from one interval is given to the next: over any of them it is less
    than one watt-hour.
    """
    read = list(_rounded(intervals))
    path = f"RetailCustomer/tieline/UsagePoint/{escape(usage_point, {chr(34): '&quot;'})}"
    reading = f"{path}/MeterReading/1"
    length = intervals[0].duration_s if intervals else 0
    flow = _NET if any(one.wh < 0 for one in read) else _FORWARD
    entries = [
        _entry(
            path, "UsagePoint", _in("UsagePoint", "<ServiceCategory><kind>0</kind></ServiceCategory>"), [reading], now
        ),
        _entry(reading, "MeterReading", _in("MeterReading", ""), [f"{reading}/IntervalBlock", "ReadingType/1"], now),
        _entry("ReadingType/1", "ReadingType", _in("ReadingType", _reading_type(length, flow)), [], now),
    ]
    for number, block in enumerate(_blocks(read), 1):
        entries.append(_entry(f"{reading}/IntervalBlock/{number}", "IntervalBlock", _block(block), [], now))
    head = f"<id>{_urn(path + '/feed')}</id><title>{escape(usage_point)}</title><updated>{iso(now)}</updated>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">{head}\n{"".join(entries)}</feed>\n'


def _rounded(intervals: Sequence[Interval]) -> Iterator[_Read]:
    owed = 0.0
    for one in intervals:
        wh = round(one.energy_wh + owed)
        owed += one.energy_wh - wh
        yield _Read(one, wh)


def _blocks(read: Sequence[_Read]) -> Iterator[list[_Read]]:
    """Of a day (UTC) each, and without a gap."""
    block: list[_Read] = []
    for one in read:
        if block and not _goes_on(block[-1].of, one.of):
            yield block
            block = []
        block.append(one)
    if block:
        yield block


def _goes_on(before: Interval, one: Interval) -> bool:
    return before.start_s + before.duration_s == one.start_s and before.start_s // _DAY_S == one.start_s // _DAY_S


def _block(read: Sequence[_Read]) -> str:
    start, end = read[0].of.start_s, read[-1].of.start_s + read[-1].of.duration_s
    readings = "".join(map(_interval_reading, read))
    return _in("IntervalBlock", f"<interval>{_period(end - start, start)}</interval>{readings}")


def _interval_reading(read: _Read) -> str:
    doubted = "" if read.of.whole else f"<ReadingQuality><quality>{_QUESTIONABLE}</quality></ReadingQuality>"
    period = f"<timePeriod>{_period(read.of.duration_s, read.of.start_s)}</timePeriod>"
    return f"<IntervalReading>{doubted}{period}<value>{read.wh}</value></IntervalReading>"


def _period(duration_s: int, start_s: int) -> str:
    return f"<duration>{duration_s}</duration><start>{start_s}</start>"


def _reading_type(length_s: int, flow: int) -> str:
    """In the order that the schema wants."""
    told = {
        "accumulationBehaviour": _DELTA,
        "commodity": _ELECTRICITY,
        "dataQualifier": _NORMAL,
        "flowDirection": flow,
        "intervalLength": length_s,
        "kind": _ENERGY,
        "powerOfTenMultiplier": 0,
        "uom": _WATT_HOURS,
    }
    return "".join(f"<{name}>{value}</{name}>" for name, value in told.items())


def _in(kind: str, content: str) -> str:
    return f'<{kind} xmlns="{ESPI}">{content}</{kind}>'


def _entry(path: str, title: str, content: str, related: Sequence[str], now: datetime) -> str:
    links = [("self", path), ("up", path.rpartition("/")[0]), *(("related", one) for one in related)]
    said = "".join(f'<link rel="{rel}" href="{href}"/>' for rel, href in links)
    times = f"<published>{iso(now)}</published><updated>{iso(now)}</updated>"
    return f"<entry><id>{_urn(path)}</id>{said}<title>{title}</title><content>{content}</content>{times}</entry>\n"


def _urn(path: str) -> str:
    """The same for the same thing, whoever makes it."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{ESPI}/{path}").urn
