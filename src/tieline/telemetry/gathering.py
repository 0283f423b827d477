"""Meter messages by the thousand, to columns at once: what is as it should be costs no more than its decoding.

message ── typed decode ──▶ samples ─┐
message ── typed decode ──▶ samples ─┴─▶ columns: limits and flags of all together ──▶ readings
                 └ no such message         └ of a message with anything odd in it ──▶ `take`, one by one
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np

from tieline.base.names import power_series
from tieline.base.series import Flag
from tieline.base.time import micros
from tieline.telemetry.batch import Columns
from tieline.telemetry.model import MOST_KW, Known, Limits
from tieline.wires.mqtt.messages import MAX_BYTES, Meter

_JSON, _PACKED = msgspec.json.Decoder(Meter), msgspec.msgpack.Decoder(Meter)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Gathering:
    """Messages in the order in which they were offered, until `columns`."""

    def __init__(self, known_at: datetime, limits: Limits) -> None:
        self._known_at = known_at
        self._limits = limits
        self._series: dict[str, int] = {}
        self._of: list[int] = []  # by message: its series, limit, position and number of readings
        self._limit_kw: list[float] = []
        self._seq: list[int] = []
        self._counts: list[int] = []
        self._at_s: list[float] = []  # by reading
        self._value: list[float] = []

    def offer(self, ven: Known, data: bytes, seq: int) -> bool:
        """Whether it was gathered: otherwise it is no message that is as it should be."""
        if len(data) > MAX_BYTES:
            return False
        try:
            samples = (_JSON if data[:1] == b"{" else _PACKED).decode(data).samples
        except _UNREADABLE:
            return False
        # One that no clock shows is odd, and found so below; that of a double is exact to the microsecond till 2242.
        self._at_s += [one.at.timestamp() for one in samples]
        self._value += [one.power_kw for one in samples]
        self._of.append(self._series.setdefault(ven.ven_id, len(self._series)))
        self._limit_kw.append(ven.limit_kw)
        self._seq.append(seq)
        self._counts.append(len(samples))
        return True

    def columns(self) -> tuple[Columns, list[int]]:
        """The readings of all messages in which nothing is odd, and the positions of the others."""
        counts = np.array(self._counts, np.int64)
        at = np.rint(np.array(self._at_s, np.float64) * 1e6).astype(np.int64)
        value, limit_kw = np.array(self._value, np.float64), np.repeat(np.array(self._limit_kw), counts)
        message = np.repeat(np.arange(len(counts)), counts)
        age_s = (micros(self._known_at) - at) / 1e6
        odd = (age_s < -self._limits.future_s) | (age_s > self._limits.stale_s) | ~(np.abs(value) < MOST_KW)
        odd[1:] |= (at[1:] <= at[:-1]) & (message[1:] == message[:-1])
        flags = np.where(age_s < -self._limits.ahead_s, int(Flag.AHEAD), 0)
        flags |= np.where(age_s > self._limits.late_s, int(Flag.LATE), 0)
        flags |= np.where((np.abs(value) > limit_kw) & (limit_kw > 0), int(Flag.BEYOND_RATING), 0)
        series, seq = np.array(self._of, np.int64), np.array(self._seq, np.int64)
        names = [power_series(ven_id) for ven_id in self._series]
        whole = Columns(self._known_at, names, series[message], at, value, flags, seq[message])
        if not odd.any():
            return whole, []
        unusual = np.unique(message[odd])
        return whole.part(~np.isin(message, unusual)), seq[unusual].tolist()
