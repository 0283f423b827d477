"""An event's meters against its frozen baselines: intervals, and the lines that are their sums. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TypeAlias

import msgspec
import numpy as np

from tieline.dispatch.model import LedgerRow
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.sureness import Sureness
from tieline.settlement.bounds import Bounds
from tieline.settlement.intervals import MILLIWATT_HOURS, Intervals, Ints, ends, measured
from tieline.settlement.model import (
    FrozenBaseline,
    StatementLine,
    VenBaseline,
    asked_kwh,
    edges_us,
    unsettled,
)
from tieline.settlement.outages.model import Out
from tieline.telemetry.integration import Integrated
from tieline.wires.mqtt.messages import Answer

Ends: TypeAlias = Mapping[str, Sequence[int]]
"""Low and high end of VENs' baselines over the whole event, mWh."""


@dataclass(frozen=True)
class Reckoning:
    """Over [start, until) of an event; one whose gaps are above `most_gap` of it is not settled. `out` are the outages
    in it: they are gaps. Without `sure` nothing is told of how sure the baselines are."""

    frozen: FrozenBaseline
    ledger: Mapping[str, Sequence[LedgerRow]]
    start_at: datetime
    until: datetime
    most_gap: Decimal
    out: Out = field(default_factory=dict)
    sure: Sureness | None = None

    @cached_property
    def edges_us(self) -> Ints:
        return edges_us(self.start_at, self.until)

    @cached_property
    def _baselines(self) -> dict[str, VenBaseline]:
        return {one.ven_id: one for one in self.frozen.vens}

    @cached_property
    def _reasons(self) -> dict[str, str]:
        return {one.ven_id: one.reason for one in self.frozen.left_out}

    def intervals(self, ven_ids: Sequence[str], used: Integrated) -> tuple[Intervals, Ends]:
        """Of those VENs that have a baseline, out of what the meters of all of them integrate to; and both ends of each
        baseline over the whole event."""
        steps = len(self.edges_us) - 1
        those = [i for i, ven_id in enumerate(ven_ids) if ven_id in self._baselines]
        vens = [self._baselines[ven_ids[i]] for i in those]
        kw = np.array([one.kw[:steps] for one in vens]).reshape(len(those), steps)
        whole = measured(kw, used.energy_kwh[those], used.covered_s[those])
        found = Intervals([one.ven_id for one in vens], self.edges_us, *whole)
        if self.sure is None:
            return found, {}
        low, high = (ends(kwh) for kwh in Bounds(self.sure, vens, used.covered_s[those]).each())
        sure = replace(found, low_mwh=low[:, :-1], high_mwh=high[:, :-1])
        over = {one: (low[i, -1].item(), high[i, -1].item()) for one, i in sure.place.items() if sure.ends_of(i)}
        return sure, over

    def together(self, intervals: Intervals, ven_ids: Sequence[str]) -> tuple[Floats, Floats]:
        """Both ends of the baseline of all these, kWh [intervals and the whole]; NaN where that cannot be told."""
        if self.sure is None or self.sure.why_no_sum or not ven_ids:
            return (np.full(len(self.edges_us), np.nan),) * 2
        those = [intervals.place[ven_id] for ven_id in ven_ids]
        vens = [self._baselines[ven_id] for ven_id in ven_ids]
        return Bounds(self.sure, vens, intervals.covered_us[those] / 1_000_000).together()

    def lines(
        self, ven_ids: Sequence[str], intervals: Intervals, over: Ends, readings: Sequence[int]
    ) -> list[StatementLine]:
        """One a VEN; `readings` counts what each was read from."""
        blocks = (intervals.baseline_mwh, intervals.used_mwh, intervals.covered_us)
        sums = dict(
            zip(intervals.ven_ids, zip(*(block.sum(axis=1).tolist() for block in blocks), strict=True), strict=True)
        )
        those = zip(ven_ids, readings, strict=True)
        return [self._line(ven_id, sums.get(ven_id), over.get(ven_id), count) for ven_id, count in those]

    def _line(
        self, ven_id: str, sums: tuple[int, int, int] | None, over: Sequence[int] | None, readings: int
    ) -> StatementLine:
        ledger = self.ledger[ven_id]
        note, asked = "; ".join(self._part_taken(ven_id, ledger)), asked_kwh(ledger, self.start_at, self.until)
        if sums is None:
            return unsettled(ven_id, self._reasons.get(ven_id, "it has no baseline"), readings, note, asked)
        base, used, covered_us = sums
        whole_us = int(self.edges_us[-1] - self.edges_us[0])
        gap_s = (whole_us - covered_us) / 1_000_000
        if (share := Decimal(whole_us - covered_us) / (whole_us or 1)) > self.most_gap:
            reason = f"{share:.1%} of the event is a gap in its readings; {self.most_gap:.1%} may be"
            return unsettled(ven_id, reason, readings, note, asked, gap_s)
        notes = "; ".join(filter(None, (self._baselines[ven_id].note, note)))
        base_kwh, used_kwh, delivered_kwh = (mwh / MILLIWATT_HOURS for mwh in (base, used, base - used))
        line = StatementLine(ven_id, base_kwh, used_kwh, delivered_kwh, gap_s, readings, notes, asked)
        if over is None:
            return line
        low, high = ((end - used) / MILLIWATT_HOURS for end in over)
        return msgspec.structs.replace(line, delivered_low_kwh=low, delivered_high_kwh=high)

    def _part_taken(self, ven_id: str, ledger: Sequence[LedgerRow]) -> Iterator[str]:
        answers = {row.answer for row in ledger}
        if Answer.ACCEPTED not in answers:
            yield "took no part: " + (", ".join(sorted(answer for answer in answers if answer)) or "no answer")
        for one in self.out.get(ven_id, ()):
            yield f"outage {one.named}: {one.reason}"
