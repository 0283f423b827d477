"""An event's meters against its frozen baselines: intervals, and the lines that are their sums. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

import numpy as np

from tieline.dispatch.model import LedgerRow
from tieline.settlement.intervals import MILLIWATT_HOURS, Intervals, Ints, measured
from tieline.settlement.model import (
    FrozenBaseline,
    StatementLine,
    VenBaseline,
    asked_kwh,
    edges_us,
    unsettled,
)
from tieline.telemetry.integration import Integrated
from tieline.wires.mqtt.messages import Answer


@dataclass(frozen=True)
class Reckoning:
    """Over [start, until) of an event; one whose gaps are above `most_gap` of it is not settled."""

    frozen: FrozenBaseline
    ledger: Mapping[str, Sequence[LedgerRow]]
    start_at: datetime
    until: datetime
    most_gap: Decimal

    @cached_property
    def edges_us(self) -> Ints:
        return edges_us(self.start_at, self.until)

    @cached_property
    def _baselines(self) -> dict[str, VenBaseline]:
        return {one.ven_id: one for one in self.frozen.vens}

    @cached_property
    def _reasons(self) -> dict[str, str]:
        return {one.ven_id: one.reason for one in self.frozen.left_out}

    def intervals(self, ven_ids: Sequence[str], used: Integrated) -> Intervals:
        """Of those VENs that have a baseline, out of what the meters of all of them integrate to."""
        steps = len(self.edges_us) - 1
        those = [i for i, ven_id in enumerate(ven_ids) if ven_id in self._baselines]
        kw = np.array([self._baselines[ven_ids[i]].kw[:steps] for i in those]).reshape(len(those), steps)
        whole = measured(kw, used.energy_kwh[those], used.covered_s[those])
        return Intervals([ven_ids[i] for i in those], self.edges_us, *whole)

    def lines(self, ven_ids: Sequence[str], intervals: Intervals, readings: Sequence[int]) -> list[StatementLine]:
        """One a VEN; `readings` counts what each was read from."""
        blocks = (intervals.baseline_mwh, intervals.used_mwh, intervals.covered_us)
        sums = dict(
            zip(intervals.ven_ids, zip(*(block.sum(axis=1).tolist() for block in blocks), strict=True), strict=True)
        )
        return [self._line(ven_id, sums.get(ven_id), count) for ven_id, count in zip(ven_ids, readings, strict=True)]

    def _line(self, ven_id: str, sums: tuple[int, int, int] | None, readings: int) -> StatementLine:
        ledger = self.ledger[ven_id]
        note, asked = _part_taken(ledger), asked_kwh(ledger, self.start_at, self.until)
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
        return StatementLine(ven_id, base_kwh, used_kwh, delivered_kwh, gap_s, readings, notes, asked)


def _part_taken(ledger: Sequence[LedgerRow]) -> str:
    answers = {row.answer for row in ledger}
    if Answer.ACCEPTED in answers:
        return ""
    return "took no part: " + (", ".join(sorted(answer for answer in answers if answer)) or "no answer")
