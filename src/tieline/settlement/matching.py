"""The baseline of a group of meters for one event: which days they offer, read as of the event's start."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.time import micros
from tieline.dispatch.model import Event
from tieline.ports import Series
from tieline.settlement import metering
from tieline.settlement.baseline.days import candidates, kind_of
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.frame import Floats, Frame, Ints, Mask, span_s
from tieline.settlement.baseline.picking import wanting
from tieline.settlement.baseline.result import Baselines
from tieline.settlement.baseline.rules import Pick, Rule
from tieline.settlement.metering import Meters
from tieline.settlement.model import edges_us
from tieline.settlement.terms.measuring import Measuring

Span = tuple[datetime, datetime]
"""[start, end)."""
Calls = Mapping[str, Sequence[Span]]
"""When each VEN was called by other events that began before."""


@dataclass(frozen=True)
class Matching:
    """Matches days for one event as of an instant."""

    event: Event
    known_at: datetime
    how: Measuring
    calls: Calls
    series: Series

    @property
    def rule(self) -> Rule:
        return self.how.rule

    @property
    def holidays(self) -> Collection[date]:
        return self.how.holidays

    async def baselines(self, group: Meters) -> Baselines:
        """What each meter would have drawn, by the rule."""
        local = self.event.start_at.astimezone(ZoneInfo(group.zone))
        frame = await self._today(group, local)
        pick = self.rule.picks.get(kind_of(local.date(), self.rule.kinds, self.holidays))
        return apply(self.rule, frame if pick is None else await self._with_days(group, local, frame, pick))

    async def _with_days(self, group: Meters, local: datetime, frame: Frame, pick: Pick) -> Frame:
        """Goes back day by day, reading only those meters that still want days."""
        days = candidates(self.rule, local.date(), self.holidays)
        called = self._called(group, days)
        steps = frame.steps(self.rule.windows)
        whole = np.zeros(frame.meters, np.int64)
        kw: list[Floats] = []
        for day, called_then in zip(days, called, strict=True):
            if not (more := wanting(self.rule, pick, whole)).any():
                break
            # The same time on the clock; from there on, time as it passes, also when clocks are changed.
            start = datetime.combine(day, local.timetz()).astimezone(UTC)
            kw.append(await self._power(group, local, start, np.flatnonzero(more).tolist()))
            whole += ~np.isnan(kw[-1][steps].sum(axis=0)) & ~called_then
        read = len(kw)
        return replace(frame, days=days[:read], kw=np.stack(kw) if kw else frame.kw, called=called[:read])

    async def _today(self, group: Meters, local: datetime) -> Frame:
        """The event day; the days beside it are still to come."""
        start = local.astimezone(UTC)
        edges_s = (self._edges_us(local, start) - micros(start)) // 1_000_000
        today_kw = await self._power(group, local, start)
        return Frame(
            event_day=local.date(),
            event_s=self._event_s,
            start_s=_clock_s(local),
            days=[],
            kw=np.empty((0, *today_kw.shape)),
            today_kw=today_kw,
            offset_s=edges_s[:-1],
            length_s=np.diff(edges_s),
            holidays=self.holidays,
            touched=self._touched(group, local),
        )

    async def _power(
        self, group: Meters, local: datetime, start: datetime, only: Sequence[int] | None = None
    ) -> Floats:
        """Mean power [steps, meters] around an event that starts then instead of at its own `local` time."""
        edges = self._edges_us(local, start)
        first, last = (start + timedelta(microseconds=int(edge) - micros(start)) for edge in edges[[0, -1]])
        read = await metering.read(self.series, group, first, last, self.known_at, only)
        return (await read.counting(self.how.export).on(edges)).mean_kw.T

    def _edges_us(self, local: datetime, start: datetime) -> Ints:
        """Where the steps of the event and of the rule's windows begin and end; what lies between is one long step."""
        event = (start, start + (self.event.end_at - self.event.start_at))
        return np.unique(np.concatenate([edges_us(*span) for span in (event, *self._windows(local, start))]))

    def _windows(self, local: datetime, start: datetime) -> list[Span]:
        spans = [span_s(window, _clock_s(local), self._event_s) for window in self.rule.windows]
        return [(start + timedelta(seconds=opens), start + timedelta(seconds=closes)) for opens, closes in spans]

    @property
    def _event_s(self) -> int:
        return round((self.event.end_at - self.event.start_at).total_seconds())

    def _called(self, group: Meters, days: Sequence[date]) -> Mask:
        """The days that other events of each VEN touch, [days, meters]."""
        called = np.zeros((len(days), len(group.ven_ids)), bool)
        for meter, ven_id in enumerate(group.ven_ids):
            touched = self._days_called(ven_id, ZoneInfo(group.zone))
            called[:, meter] = [day in touched for day in days]
        return called

    def _days_called(self, ven_id: str, zone: ZoneInfo) -> set[date]:
        """The local days that other events of the VEN touch."""
        days: set[date] = set()
        for start, end in self.calls.get(ven_id, ()):
            first = start.astimezone(zone).date()
            last = (end - timedelta(microseconds=1)).astimezone(zone).date()
            days |= {first + timedelta(days=n) for n in range((last - first).days + 1)}
        return days

    def _touched(self, group: Meters, local: datetime) -> Mask:
        """The VENs that were under another event in the rule's windows."""
        windows = self._windows(local, local.astimezone(UTC))
        calls = [self.calls.get(ven_id, ()) for ven_id in group.ven_ids]
        return np.array([any(_meet(call, window) for call in spans for window in windows) for spans in calls])


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def _clock_s(local: datetime) -> int:
    return (local.hour * 60 + local.minute) * 60 + local.second
