"""The baseline of a group of meters for one event: which days they offer, read as of the event's start."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tieline.dispatch.model import Event
from tieline.ports import Series
from tieline.settlement import metering
from tieline.settlement.baseline import Baselines, DayMatch, Floats, Mask, Rule, candidates
from tieline.settlement.metering import Meters
from tieline.settlement.model import edges_us

Calls = Mapping[str, Sequence[tuple[datetime, datetime]]]
"""When each VEN was called by other events that began before: [start, end)."""


@dataclass(frozen=True)
class Matching:
    """Matches days for one event as of an instant."""

    event: Event
    known_at: datetime
    rule: Rule
    holidays: Collection[date]
    calls: Calls
    series: Series

    async def baselines(self, group: Meters) -> Baselines:
        """Goes back day by day, reading only those meters that still want days."""
        local = self.event.start_at.astimezone(ZoneInfo(group.zone))
        match = DayMatch(self.rule, local.date(), len(group.ven_ids), self.holidays)
        called_on = [self._days_called(ven_id, ZoneInfo(group.zone)) for ven_id in group.ven_ids]
        for day in candidates(self.rule, local.date(), self.holidays):
            if not (wanting := match.wanting).any():
                break
            # The same time on the clock; from there on, time as it passes, also when clocks are changed.
            start = datetime.combine(day, local.timetz()).astimezone(UTC)
            before_kw, event_kw = await self._power(group, start, np.flatnonzero(wanting).tolist())
            match.offer(day, before_kw, event_kw, np.array([day in days for days in called_on]))
        before_kw, _ = await self._power(group, self.event.start_at)
        return match.result(before_kw, self._touched(group))

    async def _power(self, group: Meters, start: datetime, only: Sequence[int] | None = None) -> tuple[Floats, Floats]:
        """Mean power [meters, steps] in the adjustment window before `start`, and for the event's length from it."""
        opens, closes = self._window(start)
        end = start + (self.event.end_at - self.event.start_at)
        before, during = edges_us(opens, closes), edges_us(start, end)
        read = await metering.read(self.series, group, opens, end, self.known_at, only)
        kw = (await read.on(np.concatenate([before, during]))).mean_kw
        return kw[:, : len(before) - 1], kw[:, len(before) :]  # the one long step between them is for nobody

    def _window(self, start: datetime) -> tuple[datetime, datetime]:
        return (
            start - timedelta(seconds=self.rule.adjust_from_s),
            start - timedelta(seconds=self.rule.adjust_until_s),
        )

    def _days_called(self, ven_id: str, zone: ZoneInfo) -> set[date]:
        """The local days that other events of the VEN touch."""
        days: set[date] = set()
        for start, end in self.calls.get(ven_id, ()):
            first = start.astimezone(zone).date()
            last = (end - timedelta(microseconds=1)).astimezone(zone).date()
            days |= {first + timedelta(days=n) for n in range((last - first).days + 1)}
        return days

    def _touched(self, group: Meters) -> Mask:
        """The VENs that were under another event in the adjustment window."""
        opens, closes = self._window(self.event.start_at)
        calls = [self.calls.get(ven_id, ()) for ven_id in group.ven_ids]
        return np.array([any(start < closes and end > opens for start, end in spans) for spans in calls])
