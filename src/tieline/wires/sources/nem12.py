"""NEM12 and NEM13 meter files: Australia's interval and accumulation meters, as their data providers send them.

AEMO's Meter Data File Format Specification (MDFF), cited here by its record types:

    100  header            who sent it, and when
    200  data stream       metering point (NMI), its suffix (E1: use, B1: feed-in …), unit, minutes an interval
    300  a day             one value an interval, in order from midnight; then quality, reason, when it was updated
    400  event             the quality of some intervals of the day before it, where the day's own is V (various)
    250  register (NEM13)  two readings of an accumulation meter, and what was used between them
    500  B2B details, 900  end

Days are of market time without daylight saving: UTC+10, in Western Australia UTC+8. A value is what flowed in its
interval and is stamped here at the interval's end; energy (Wh) becomes mean power (W), which integrates to the same.
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import csv
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tieline.base.dataset import Dataset, Measure
from tieline.base.errors import Refused
from tieline.base.names import escaped
from tieline.base.series import INSTANT, Flag, Stamp
from tieline.wires.sources.cells import utf8
from tieline.wires.sources.parsed import Columns, Draft, Numbers

MINUTES_A_DAY = 1440
LENGTHS = (5, 10, 15, 30)
"""Minutes of an interval. MDFF allows 5, 15 and 30; 10 is sent too."""
QUARTER_S = 91 * 86400  # how far apart registers are usually read
_HEADER = re.compile(rb"\s*\"?100\"?,\s*\"?NEM1[23]\"?,", re.IGNORECASE)
_DAY = re.compile(r"(19|20|21)\d{6}")
_INSTANT = re.compile(r"(19|20|21)\d{12}")
_QUALITY = re.compile(r"([AEFNSV])(\d\d)?")
_WESTERN = re.compile(r"WPN|WAEMO|WESTERN", re.IGNORECASE)
_ENERGY = {"wh": 0.001, "kwh": 1.0, "mwh": 1000.0}
_REACTIVE = {"varh": 0.001, "kvarh": 1.0, "mvarh": 1000.0}
_APPARENT = {"vah": 0.001, "kvah": 1.0, "mvah": 1000.0}
_DIRECTIONS = {"I": "import", "E": "export"}
_FLAGS = {"A": Flag.GOOD, "E": Flag.ESTIMATED, "F": Flag.ESTIMATED, "S": Flag.ESTIMATED}


class _Stream(NamedTuple):
    """A 200 record: whose values follow, how long each lasts, and by what they become the series' unit."""

    nmi: str
    measure: Measure
    minutes: int
    factor: float

    @property
    def intervals(self) -> int:
        return MINUTES_A_DAY // self.minutes


class _Day(NamedTuple):
    """A 300 record. `quality` has one letter an interval; blank where 400 records have yet to say it."""

    line: int
    date: datetime
    values: Numbers
    quality: list[str]


def recognises(head: bytes) -> bool:
    return _HEADER.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def read(data: bytes, draft: Draft) -> None:
    """Rows that cannot be placed are quarantined, each with its reason. Raises `Refused` for what is not text."""
    _File(draft).read(utf8(data).decode())


def dataset(minutes: int, zone: str) -> Dataset:
    """Interval data of one length."""
    return Dataset(
        name=f"meter.nem12.{minutes}m",
        description=f"Interval meters, {minutes} minutes: mean power of each data stream of a metering point",
        publisher="the metering data provider that sent the file",
        licence="the customer's own data",
        source="meter",
        zone=zone,
        stamp=Stamp.END,
        step_s=minutes * 60,
        measures=(),
    )


def registers(zone: str) -> Dataset:
    """Accumulation meters: what a register showed when it was read; two readings apart is what flowed between."""
    return Dataset(
        name="meter.nem13",
        description="Accumulation meters: the register as it was read",
        publisher="the metering data provider that sent the file",
        licence="the customer's own data",
        source="meter",
        zone=zone,
        stamp=Stamp.END,
        step_s=QUARTER_S,
        measures=(),
    )


class _File:
    """Records in their order: what a 300 means is said by the 200 before it."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._zone, self._offset = "Australia/Brisbane", timedelta(hours=10)
        self._stream: _Stream | None = None
        self._day: _Day | None = None
        self._ended = False
        self._days: dict[tuple[int, str, Measure], list[tuple[Numbers, ...]]] = {}
        self._takers: dict[str, Callable[[int, list[str]], None]] = {
            "100": self._header,
            "200": self._data_stream,
            "250": self._registers,
            "300": self._interval_day,
            "400": self._event,
            "500": self._details,
            "900": self._end,
        }

    def read(self, text: str) -> None:
        # One line is one record, whatever its quotes: an open one must not swallow those after it.
        for line, record in enumerate(csv.reader(text.split("\n"), quoting=csv.QUOTE_NONE), 1):
            cells = [cell.strip(' \t"') for cell in record]
            if any(cells):
                try:
                    self._take(line, cells)
                except Refused as refused:
                    self._draft.quarantine(line, str(refused))
        self._settle_day()
        for (minutes, zone, measure), days in self._days.items():
            together = [np.concatenate(column) for column in zip(*days, strict=True)]
            self._draft.add(dataset(minutes, zone), measure, _columns(*together))
        if not self._ended:
            self._draft.find("cut", 1, "no 900 record at the end: the file may have been cut off")

    def _take(self, line: int, cells: list[str]) -> None:
        if cells[0] != "400":
            self._settle_day()
        if (taker := self._takers.get(cells[0])) is None:
            raise Refused(f"record type {cells[0][:20]!r}: MDFF knows {', '.join(self._takers)}")
        taker(line, cells)

    # --- one record each ----------------------------------------------------------------------------------------------

    def _header(self, _: int, cells: list[str]) -> None:
        self._stream, self._ended = None, False
        if _WESTERN.match(_cell(cells, 3)):
            self._zone, self._offset = "Australia/Perth", timedelta(hours=8)

    def _details(self, _: int, __: list[str]) -> None:
        """Of the business between participants: no readings."""

    def _end(self, _: int, __: list[str]) -> None:
        self._ended = True

    def _data_stream(self, _: int, cells: list[str]) -> None:
        self._stream = None
        nmi, suffix, unit, minutes = (_cell(cells, n) for n in (1, 4, 7, 8))
        if not minutes.isascii() or not minutes.isdigit() or int(minutes) not in LENGTHS:
            raise Refused(f"{minutes!r} minutes an interval: expected one of {', '.join(map(str, LENGTHS))}")
        self._stream = _stream(_named(nmi, "NMI"), _named(suffix, "suffix"), unit, int(minutes))

    def _interval_day(self, line: int, cells: list[str]) -> None:
        if (stream := self._stream) is None:
            raise Refused("a day of values whose data stream (record 200) is missing or was refused")
        date, count = _date(_cell(cells, 1)), stream.intervals
        values, quality = cells[2 : 2 + count], _cell(cells, 2 + count)
        if len(values) < count or not _QUALITY.fullmatch(quality):
            raise Refused(f"not {count} values of {stream.minutes} minutes and then their quality (A, E, F, N, S, V)")
        letters = [quality[0] if quality[0] != "V" else ""] * count
        self._day = _Day(line, date, _numbers(values), letters)

    def _event(self, _: int, cells: list[str]) -> None:
        if (day := self._day) is None:
            raise Refused("an event (record 400) without a day of values (record 300) before it")
        first, last, quality = (_cell(cells, n) for n in (1, 2, 3))
        if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= len(day.quality)):
            raise Refused(f"an event of intervals {first!r} to {last!r}: the day has 1 to {len(day.quality)}")
        if not _QUALITY.fullmatch(quality):
            raise Refused(f"an event of quality {quality!r}: expected A, E, F, N or S")
        day.quality[int(first) - 1 : int(last)] = [quality[0]] * (int(last) - int(first) + 1)

    def _settle_day(self) -> None:
        """A day is whole when its events are read."""
        day, self._day = self._day, None
        if day is None or self._stream is None:
            return
        stream, quality = self._stream, np.array(day.quality)
        null, unsaid, unread = quality == "N", np.isin(quality, ("", "V")), np.isnan(day.values)
        self._draft.find("missing", int(null.sum()), f"{stream.nmi} {stream.measure.column}: intervals of null data")
        if unsaid.any():
            number = int(np.flatnonzero(unsaid)[0]) + 1
            told = f"quality V, and no event (record 400) tells that of interval {number}"
            self._draft.quarantine(day.line, f"{told}: {int(unsaid.sum())} values are left out")
        if (wrong := unread & ~null & ~unsaid).any():
            number = int(np.flatnonzero(wrong)[0]) + 1
            self._draft.quarantine(day.line, f"interval {number} is not a number: {int(wrong.sum())} values left out")
        self._add(stream, day, ~(null | unsaid | unread))

    def _add(self, stream: _Stream, day: _Day, good: Numbers) -> None:
        number = np.flatnonzero(good)
        midnight = np.datetime64(day.date - self._offset, "us")
        ends = midnight + (number + 1) * np.timedelta64(stream.minutes * 60_000_000, "us")
        flags = np.array([_FLAGS[day.quality[n]] for n in number], np.int16)
        names, lines = np.full(len(number), stream.nmi, object), np.full(len(number), day.line)
        columns = (names, ends, day.values[good] * stream.factor, lines, flags)
        self._days.setdefault((stream.minutes, self._zone, stream.measure), []).append(columns)

    def _registers(self, line: int, cells: list[str]) -> None:
        nmi, suffix = _named(_cell(cells, 1), "NMI"), _named(_cell(cells, 4), "suffix")
        unit, factor = _unit(_cell(cells, 19), suffix)
        reads = _numbers([_cell(cells, 8), _cell(cells, 13), _cell(cells, 18)])
        if np.isnan(reads[:2]).any():
            raise Refused(f"readings {_cell(cells, 8)!r} and {_cell(cells, 13)!r}: both must be numbers")
        ats = [_instant(_cell(cells, n)) - self._offset for n in (9, 14)]
        if ats[0] >= ats[1]:
            raise Refused(f"the reading before ({_cell(cells, 9)}) is not earlier than that after it")
        flags = [int(_FLAGS.get(_cell(cells, n)[:1], Flag.DOUBTED)) for n in (10, 15)]
        self._check_quantity(nmi, suffix, reads)
        register = f"{escaped(suffix)}_{escaped(_named(_cell(cells, 3), 'register'))}_{_direction(_cell(cells, 7))}"
        measure = Measure(suffix, f"{register}_{unit}h", f"{_SHOWN[unit]}h", "Register")
        both = (np.full(2, nmi, object), np.array(ats, "M8[us]"), reads[:2] * factor, np.full(2, line))
        self._draft.add(registers(self._zone), measure, _columns(*both, np.array(flags, np.int16)))

    def _check_quantity(self, nmi: str, suffix: str, reads: Numbers) -> None:
        """The provider's own sum, which also knows multipliers and registers that turned over."""
        used = float(reads[1] - reads[0])
        if not np.isnan(reads[2]) and abs(used - float(reads[2])) > 1e-6 * max(1.0, abs(used)):
            told = f"{nmi} {suffix}: the readings differ by {used:g}, the quantity stated is {float(reads[2]):g}"
            self._draft.find("quantity", 1, told)


def _stream(nmi: str, suffix: str, unit: str, minutes: int) -> _Stream:
    named, factor = _unit(unit, suffix)
    measure = Measure(suffix, f"{escaped(suffix)}_{minutes}m_{named}", _SHOWN[named], "Mean over the interval")
    return _Stream(nmi, measure, minutes, factor * 60 / minutes)


_SHOWN = {"kw": "kW", "kvar": "kvar", "kva": "kVA"}


def _unit(unit: str, suffix: str) -> tuple[str, float]:
    """The power that flows as a stated unit of energy, and how much of it in an hour. Raises `Refused`."""
    for named, known in zip(_SHOWN, (_ENERGY, _REACTIVE, _APPARENT), strict=True):
        if unit.lower() in known:
            return named, known[unit.lower()]
    known_units = "Wh, kWh, MWh, varh, kvarh, Mvarh, VAh, kVAh, MVAh"
    raise Refused(f"data stream {suffix} is in {unit!r}: expected one of {known_units}")


def _cell(cells: Sequence[str], number: int) -> str:
    return cells[number] if number < len(cells) else ""


def _named(text: str, what: str) -> str:
    if not text or len(escaped(text)) > 40:
        raise Refused(f"{what} {text[:60]!r}: expected a short name")
    return text


def _direction(text: str) -> str:
    """As MDFF names it."""
    if text not in _DIRECTIONS:
        raise Refused(f"direction {text[:20]!r}: expected I (import) or E (export)")
    return _DIRECTIONS[text]


def _numbers(texts: Sequence[str]) -> Numbers:
    """NaN for what is no finite number."""
    try:
        found = np.array(texts, np.float64)
    except ValueError:
        found = np.array([_number(one) for one in texts])
    return np.where(np.isfinite(found), found, np.nan)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _date(text: str) -> datetime:
    return _clocked(text, _DAY, "%Y%m%d", "a day such as 20260420")


def _instant(text: str) -> datetime:
    return _clocked(text, _INSTANT, "%Y%m%d%H%M%S", "a time such as 20260420000000")


def _clocked(text: str, form: re.Pattern[str], format_: str, expected: str) -> datetime:
    if form.fullmatch(text):
        with suppress(ValueError):
            return datetime.strptime(text, format_)  # noqa: DTZ007  market time, made UTC by its offset
    raise Refused(f"{text[:20]!r} is not {expected}")


def _columns(names: Numbers, ats: Numbers, values: Numbers, lines: Numbers, flags: Numbers) -> Columns:
    things, instants = pa.array(names, pa.string()), pa.array(ats).cast(INSTANT)
    return Columns(things, instants, pa.array(values), pa.array(lines, pa.int64()), pa.array(flags, pa.int16()))
