"""How often and how long a program may call a VEN, and how long it rests in between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from tieline.base.time import Span
from tieline.dispatch.planning.arrays import ROUNDING, Floats, Ints, Mask
from tieline.dispatch.planning.reasons import Reason


class CallLimits(msgspec.Struct, frozen=True):
    """Of a program, for each of its VENs; None: without limit. Days and months are those of the VEN's zone; a call
    counts, whole, on the day and in the month in which it begins."""

    events_a_day: int | None = None
    hours_a_month: float | None = None
    rest_h: float | None = None


def limited(
    event: Span, calls: Iterable[tuple[str, datetime, datetime]], limits: CallLimits, zones: Mapping[str, ZoneInfo]
) -> dict[str, Reason]:
    """The VENs, of those in `zones`, that one more call, over `event`, would take beyond the limits, and which limit.

    `calls` are (VEN, start, end) of the events for which each was called, one for each event, past and planned, in any
    order, without this very event.
    """
    history = _History.of(calls, list(zones))
    found: dict[str, Reason] = {}
    for reason, beyond in (
        (Reason.REST, _unrested(event, history, limits.rest_h)),
        (Reason.CALL_LIMIT_MONTH, _month_is_full(event, history, limits.hours_a_month, zones)),
        (Reason.CALL_LIMIT_DAY, _day_is_full(event, history, limits.events_a_day, zones)),
    ):
        found |= {history.ven_ids[i]: reason for i in np.flatnonzero(beyond)}
    return found


@dataclass(frozen=True)
class _History:
    """Calls as columns: `ven` is a position in `ven_ids`; instants are seconds since 1970."""

    ven_ids: list[str]
    ven: Ints
    start_s: Floats
    end_s: Floats

    @classmethod
    def of(cls, calls: Iterable[tuple[str, datetime, datetime]], ven_ids: list[str]) -> "_History":
        place = {ven_id: i for i, ven_id in enumerate(ven_ids)}
        known = [(place[ven], start.timestamp(), end.timestamp()) for ven, start, end in calls if ven in place]
        ven, start_s, end_s = np.array(known, dtype=np.float64).reshape(-1, 3).T
        return cls(ven_ids, ven.astype(np.int64), start_s, end_s)

    def began_within(self, spans_s: Floats) -> Mask:
        """Which calls began within the span of their VEN, [VENs, 2]."""
        opens_s, closes_s = spans_s[self.ven].T
        return np.asarray((self.start_s >= opens_s) & (self.start_s < closes_s))

    def per_ven(self, weights: Floats | Mask) -> Floats:
        return np.asarray(np.bincount(self.ven, weights, len(self.ven_ids)), np.float64)


def _day_is_full(event: Span, history: _History, most: int | None, zones: Mapping[str, ZoneInfo]) -> Mask:
    if most is None:
        return np.zeros(len(zones), np.bool_)
    days = {zone: _day(event.start.astimezone(zone)) for zone in set(zones.values())}
    spans_s = np.array([days[zone] for zone in zones.values()]).reshape(-1, 2)
    return np.asarray(history.per_ven(history.began_within(spans_s)) + 1 > most)


def _month_is_full(event: Span, history: _History, most_h: float | None, zones: Mapping[str, ZoneInfo]) -> Mask:
    if most_h is None:
        return np.zeros(len(zones), np.bool_)
    months = {zone: _month(event.start.astimezone(zone)) for zone in set(zones.values())}
    spans_s = np.array([months[zone] for zone in zones.values()]).reshape(-1, 2)
    seconds = np.where(history.began_within(spans_s), history.end_s - history.start_s, 0.0)
    return np.asarray(history.per_ven(seconds) / 3600 + event.hours > most_h * (1 + ROUNDING))


def _unrested(event: Span, history: _History, rest_h: float | None) -> Mask:
    """Those called less than the rest before the event, or after it."""
    if rest_h is None:
        return np.zeros(len(history.ven_ids), np.bool_)
    between_s = np.maximum(event.start.timestamp() - history.end_s, history.start_s - event.end.timestamp())
    return history.per_ven(between_s < rest_h * 3600) > 0


def _day(local: datetime) -> tuple[float, float]:
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()


def _month(local: datetime) -> tuple[float, float]:
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()
