"""The baseline of a group of meters for one event: which days they offer, read as of the event's start."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.time import micros
from tieline.dispatch.model import Event
from tieline.ports import Series
from tieline.settlement import metering
from tieline.settlement.baseline.alike import JUST_BEFORE, Standing, history, looked_at, standing
from tieline.settlement.baseline.days import candidates, kind_of
from tieline.settlement.baseline.engine import apply
from tieline.settlement.baseline.frame import Floats, Frame, Ints, Mask, Outlook, Weather, span_s
from tieline.settlement.baseline.intervals import History
from tieline.settlement.baseline.picking import known_beside, wanting
from tieline.settlement.baseline.result import Baselines
from tieline.settlement.baseline.rules import Controls, Pick, Rule, Window
from tieline.settlement.covariates import Covariate, Outlooks
from tieline.settlement.metering import Meters
from tieline.settlement.model import edges_us
from tieline.settlement.outages.model import Out, days_out, without
from tieline.settlement.terms.measuring import Measuring

Span = tuple[datetime, datetime]
"""[start, end)."""
Calls = Mapping[str, Sequence[Span]]
"""When each VEN was called by other events that began before."""


SILENT_DAYS = 10
"""After so many days without any reading none is looked for further back."""


@dataclass(frozen=True)
class Matching:
    """Matches days for one event as of an instant; `out` are outages that were known then, `chosen` the VENs that this
    event called: all others are controls."""

    event: Event
    known_at: datetime
    how: Measuring
    calls: Calls
    series: Series
    out: Out = field(default_factory=dict)
    temperature: Covariate | None = None
    outlooks: Outlooks | None = None
    chosen: Collection[str] = ()

    @property
    def covariates(self) -> list[Covariate]:
        """What is looked at beside the meters."""
        beside = (self.outlooks.came, self.outlooks.forecast) if self.outlooks else ()
        return [*([self.temperature] if self.temperature else []), *beside]

    @property
    def rule(self) -> Rule:
        return self.how.rule

    @property
    def holidays(self) -> Collection[date]:
        return self.how.holidays

    async def baselines(self, group: Meters) -> tuple[Baselines, Standing]:
        """What each meter would have drawn, by the rule; and how each stood just before."""
        local = self.event.start_at.astimezone(ZoneInfo(group.zone))
        frame = await self._today(group, local)
        pick = self.rule.picks.get(kind_of(local.date(), self.rule.kinds, self.holidays))
        if pick is not None:
            frame = await self._with_days(group, local, frame, pick)
        if isinstance(self.rule.average, Controls):
            others = [i for i, ven_id in enumerate(group.ven_ids) if ven_id not in self.chosen]
            frame = replace(frame, controls=frame.of(np.array(others, np.int64)))
        return apply(self.rule, frame), standing(self.rule, frame)

    async def history(self, group: Meters) -> History:
        """How the rule did on the like days before, each as if it had had this event."""
        local = self.event.start_at.astimezone(ZoneInfo(group.zone))
        days = looked_at(self.rule, local.date(), self.holidays)
        frame, starts = self._beside(group, local, await self._today(group, local), days)
        kw: list[Floats] = []
        silent = 0
        for start in starts:
            kw.append(await self._power(group, local, start))
            silent = silent + 1 if np.isnan(kw[-1]).all() else 0
            if silent == SILENT_DAYS:
                break
        return await asyncio.to_thread(history, self.rule, _of_days(frame, kw))

    async def _with_days(self, group: Meters, local: datetime, frame: Frame, pick: Pick) -> Frame:
        """Goes back day by day, reading only those meters that still want days."""
        frame, starts = self._beside(group, local, frame, candidates(self.rule, local.date(), self.holidays))
        barred = frame.barred | ~known_beside(self.rule, frame)[:, None]
        steps = frame.steps(self.rule.windows)
        whole = np.zeros(frame.meters, np.int64)
        kw: list[Floats] = []
        for start, barred_then in zip(starts, barred, strict=True):
            if not (more := wanting(self.rule, pick, whole)).any():
                break
            kw.append(await self._power(group, local, start, np.flatnonzero(more).tolist()))
            whole += ~np.isnan(kw[-1][steps].sum(axis=0)) & ~barred_then
        return _of_days(frame, kw)

    def _beside(self, group: Meters, local: datetime, frame: Frame, days: list[date]) -> tuple[Frame, list[datetime]]:
        """All that is known of those days but what was drawn, and when an event would have started on them: at the same
        time on the clock; from there on, time as it passes, also when clocks are changed."""
        starts = [datetime.combine(day, local.timetz()).astimezone(UTC) for day in days]
        called, out = self._called(group, days), self._out(group, days)
        return self._with_covariates(replace(frame, days=days, called=called, out=out), local, starts), starts

    def _with_covariates(self, frame: Frame, local: datetime, starts: Sequence[datetime]) -> Frame:
        """With the temperature, and what was forecast, on the steps of the days and of the event day."""
        start, steps = local.astimezone(UTC), len(frame.offset_s)

        def on(one: Covariate, at: Sequence[datetime]) -> Floats:
            return np.array([one.on(self._edges_us(local, each)) for each in at]).reshape(len(at), steps)

        if self.temperature is not None:
            weather = Weather(on(self.temperature, starts), on(self.temperature, [start])[0])
            frame = replace(frame, weather=weather)
        if self.outlooks is not None:
            came, before = on(self.outlooks.came, starts), on(self.outlooks.before, starts)
            frame = replace(frame, outlook=Outlook(came, on(self.outlooks.forecast, [start])[0], before))
        return frame

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
        integrated = await read.counting(self.how.export).on(edges)
        return without(integrated, group.ven_ids, edges, self.out).mean_kw.T

    def _edges_us(self, local: datetime, start: datetime) -> Ints:
        """Where the steps of the event and of the rule's windows begin and end; what lies between is one long step."""
        event = (start, start + (self.event.end_at - self.event.start_at))
        windows = self._windows(local, start, (*self.rule.windows, *JUST_BEFORE))
        return np.unique(np.concatenate([edges_us(*span) for span in (event, *windows)]))

    def _windows(self, local: datetime, start: datetime, windows: Sequence[Window]) -> list[Span]:
        spans = [span_s(window, _clock_s(local), self._event_s) for window in windows]
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

    def _out(self, group: Meters, days: Sequence[date]) -> Mask:
        """The days that outages of each VEN touch, [days, meters]."""
        out = np.zeros((len(days), len(group.ven_ids)), bool)
        for meter, ven_id in enumerate(group.ven_ids):
            if ven_id in self.out:
                touched = days_out(self.out[ven_id], ZoneInfo(group.zone))
                out[:, meter] = [day in touched for day in days]
        return out

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
        windows = self._windows(local, local.astimezone(UTC), self.rule.windows)
        calls = [self.calls.get(ven_id, ()) for ven_id in group.ven_ids]
        return np.array([any(_meet(call, window) for call in spans for window in windows) for spans in calls])


def _of_days(frame: Frame, kw: Sequence[Floats]) -> Frame:
    """Of its days only the first so many, which were read."""
    read = len(kw)
    called, out = (None if marked is None else marked[:read] for marked in (frame.called, frame.out))
    return replace(frame, days=frame.days[:read], kw=np.stack(kw) if kw else frame.kw, called=called, out=out)


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def _clock_s(local: datetime) -> int:
    return (local.hour * 60 + local.minute) * 60 + local.second
