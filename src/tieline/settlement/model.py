"""The frozen baseline and the statement: what they hold, and the arithmetic between them. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieline.base.time import micros
from tieline.dispatch.model import Event, EventState, LedgerRow
from tieline.settlement.terms.model import Export, Holidays
from tieline.wires.mqtt.messages import Answer

STEP_S = 300
"""Baselines stand in steps of five minutes from the event's start; the last one may be shorter."""


def edges_us(start_at: datetime, end_at: datetime) -> NDArray[np.int64]:
    """Where the steps of a span begin and end, in microseconds since 1970."""
    return np.append(np.arange(micros(start_at), micros(end_at), STEP_S * 1_000_000), micros(end_at))


class Stood(msgspec.Struct, frozen=True):
    """How a VEN stood just before an event: how far above its usual load (None: nothing was read), and the most and the
    least that it drew in those hours of the days that its rule takes for alike."""

    lift_kw: float | None
    highest_kw: float
    least_kw: float


class VenBaseline(msgspec.Struct, frozen=True):
    """What one VEN would have drawn, mean power by step; the adjustment and the days that it comes from."""

    ven_id: str
    kw: list[float]
    factor: float
    days: list[date]
    note: str = ""
    stood: Stood | msgspec.UnsetType = msgspec.UNSET


class LeftOut(msgspec.Struct, frozen=True):
    ven_id: str
    reason: str


class SeriesUsed(msgspec.Struct, frozen=True):
    """Readings beside the meters that a rule looked at: those of a series over a span, as known at an instant. `digest`
    is of their instants and values; `gap_s` is what of the span they do not cover."""

    series_id: str
    unit: str
    start_at: datetime
    end_at: datetime
    known_at: datetime
    readings: int
    gap_s: float
    digest: str


class Calibration(msgspec.Struct, frozen=True):
    """How the intervals of an event's baselines were made: of so many `errors` of its rule on so many like `days`, of
    so many `vens`. Each of those days was judged by those before it: `held` is the share of its VENs that lay within,
    and `sum_held` that of sums of those that stood highest; None where there was none to judge. `why` and `sum_why` say
    why there is no interval of a VEN, and of the sum; `digest` is of what the intervals are made of, empty where there
    are none."""

    level: float
    days: int
    vens: int
    errors: int
    held: float | None
    sum_held: float | None
    digest: str
    why: str = ""
    sum_why: str = ""


class FrozenBaseline(msgspec.Struct, frozen=True):
    """The baselines of all VENs for one event, from what was known at `known_at`; never computed again.

    `beside` is what the rule looked at beside the meters, `outages` names the versions of those that it heeded; unset
    where there was none. `calibration` is unset in those that were frozen before there was any."""

    event_id: str
    rule: str
    known_at: datetime
    start_at: datetime
    end_at: datetime
    step_s: int
    vens: list[VenBaseline]
    left_out: list[LeftOut]
    export: Export = Export.NET
    holidays: Holidays = Holidays()
    beside: list[SeriesUsed] | msgspec.UnsetType = msgspec.UNSET
    outages: list[str] | msgspec.UnsetType = msgspec.UNSET
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET

    @property
    def at(self) -> list[float]:
        """The start of each step, in seconds since 1970."""
        return [us / 1_000_000 for us in edges_us(self.start_at, self.end_at)[:-1].tolist()]

    @property
    def fleet_kw(self) -> list[float]:
        """The fleet's mean power by step: the sum over the VENs."""
        return [total(step) for step in zip(*(one.kw for one in self.vens), strict=True)] or [0.0] * len(self.at)


class StatementLine(msgspec.Struct, frozen=True):
    """One VEN's share: delivered = baseline - used, over the time that its readings cover. `asked_kwh` is what it was
    called for and accepted. One that is not `settled` counts nowhere, and `note` says why. What it delivered lies
    between `delivered_low_kwh` and `delivered_high_kwh`, as sure as the statement's calibration says; unset where no
    interval can be told."""

    ven_id: str
    baseline_kwh: float
    used_kwh: float
    delivered_kwh: float
    gap_seconds: float
    readings: int
    note: str = ""
    asked_kwh: float = 0.0
    settled: bool = True
    delivered_low_kwh: float | msgspec.UnsetType = msgspec.UNSET
    delivered_high_kwh: float | msgspec.UnsetType = msgspec.UNSET


class Summary(msgspec.Struct, frozen=True):
    """What an event was worth in all, from what was known at `known_at`: the sums of the lines, exactly; but the ends
    of what was delivered are from errors of sums, and nearer than sums of the lines' are."""

    statement_id: str
    event_id: str
    program_id: str
    start_at: datetime
    end_at: datetime
    target_kw: float
    known_at: datetime
    baseline_kwh: float
    used_kwh: float
    delivered_kwh: float
    target_kwh: float
    gap_seconds: float
    vens: int
    delivered_low_kwh: float | msgspec.UnsetType = msgspec.UNSET
    delivered_high_kwh: float | msgspec.UnsetType = msgspec.UNSET


class Statement(Summary, frozen=True, kw_only=True):
    """A summary with its lines and its inputs: `readings_digest` is of the very readings used, `baseline_digest` of
    the frozen baseline, `intervals_digest` of the intervals that the lines are sums of (empty: none were kept),
    `digest` of all the statement but itself. `low_kwh` and `high_kwh` are the ends of the baseline of all that are
    settled, interval by interval."""

    rule: str
    baseline_known_at: datetime
    baseline_digest: str
    readings_digest: str
    lines: list[StatementLine]
    digest: str = ""
    intervals_digest: str = ""
    export: Export = Export.NET
    holidays: Holidays = Holidays()
    most_gap: Decimal = Decimal(1)
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET
    low_kwh: list[float] | msgspec.UnsetType = msgspec.UNSET
    high_kwh: list[float] | msgspec.UnsetType = msgspec.UNSET

    @property
    def number(self) -> int:
        """Which statement of its event it is, from 1."""
        return int(self.statement_id.rpartition("-")[2])

    @property
    def edges_us(self) -> NDArray[np.int64]:
        """Of its intervals."""
        return edges_us(self.start_at, self.end_at)

    @property
    def length_us(self) -> int:
        return micros(self.end_at) - micros(self.start_at)

    def numbered(self, number: int) -> Self:
        """The same as the event's n-th statement, with its digest."""
        named = msgspec.structs.replace(self, statement_id=f"{self.event_id}-{number}", digest="")
        return msgspec.structs.replace(named, digest=digest_of(named))

    def summary(self) -> Summary:
        return Summary(**{name: getattr(self, name) for name in Summary.__struct_fields__})

    def repeats(self, other: Self) -> bool:
        """Whether both state the same, whenever each was made."""
        same = msgspec.structs.replace(
            other, statement_id=self.statement_id, known_at=self.known_at, digest=self.digest
        )
        return same == self


def stated(
    event: Event,
    until: datetime,
    frozen: FrozenBaseline,
    known_at: datetime,
    lines: list[StatementLine],
    *,
    most_gap: Decimal,
    readings_digest: str,
) -> Statement:
    """The statement of an event over [start, until), not yet numbered."""
    return Statement(
        statement_id="",
        event_id=event.event_id,
        program_id=event.program_id,
        start_at=event.start_at,
        end_at=until,
        target_kw=event.target_kw,
        known_at=known_at,
        baseline_kwh=total(line.baseline_kwh for line in lines),
        used_kwh=total(line.used_kwh for line in lines),
        delivered_kwh=total(line.delivered_kwh for line in lines),
        target_kwh=exact(event.energy_kwh(until)),
        gap_seconds=total(line.gap_seconds for line in lines),
        vens=len(lines),
        rule=frozen.rule,
        baseline_known_at=frozen.known_at,
        baseline_digest=digest_of(frozen),
        readings_digest=readings_digest,
        lines=sorted(lines, key=lambda line: line.ven_id),
        export=frozen.export,
        holidays=frozen.holidays,
        most_gap=most_gap,
        calibration=frozen.calibration,
    )


def settled(statement: Statement) -> list[str]:
    """Who is settled: of them the sums are."""
    return [line.ven_id for line in statement.lines if line.settled]


def bounded(statement: Statement, low_kwh: NDArray[np.float64], high_kwh: NDArray[np.float64]) -> Statement:
    """The same with both ends of the baseline of all together: of each interval, then of the whole; as it is where they
    are unknown."""
    if np.isnan(low_kwh + high_kwh).any():
        return statement
    low, high = ([exact(kwh) for kwh in end.tolist()] for end in (low_kwh, high_kwh))
    return msgspec.structs.replace(
        statement,
        low_kwh=low[:-1],
        high_kwh=high[:-1],
        delivered_low_kwh=exact(low[-1] - statement.used_kwh),
        delivered_high_kwh=exact(high[-1] - statement.used_kwh),
    )


def settled_until(event: Event) -> datetime:
    """Where the time ends that an event is settled for: its end, or when it was cancelled."""
    if event.state is EventState.CANCELLED and event.ended_at is not None:
        return min(event.end_at, event.ended_at)
    return event.end_at


def unsettled(
    ven_id: str, reason: str, readings: int, note: str, asked_kwh: float, gap_s: float = 0.0
) -> StatementLine:
    """The line of a VEN that cannot be settled: nothing on either side, and why."""
    notes = "; ".join(filter(None, (f"not settled: {reason}", note)))
    return StatementLine(ven_id, 0.0, 0.0, 0.0, gap_s, readings, notes, asked_kwh, settled=False)


def asked_kwh(ledger: Sequence[LedgerRow], start_at: datetime, until: datetime) -> float:
    """What a VEN was called for and accepted: of each load from the start, or from when it was chosen, to the end, or
    to when it was given back or its owner opted out."""
    accepted = [row for row in ledger if row.answer == Answer.ACCEPTED]
    spans = [(row.planned_kw, _asked_until(row, until) - max(start_at, row.planned_at)) for row in accepted]
    return total(exact(planned_kw * max(span, timedelta()).total_seconds() / 3600) for planned_kw, span in spans)


def _asked_until(row: LedgerRow, until: datetime) -> datetime:
    return min(until, row.restoring_at or until, row.opted_out_from_at or until)


def canonical(thing: msgspec.Struct) -> bytes:
    """JSON without spaces, fields as declared, keys of dicts sorted: the same bytes wherever it is made."""
    return msgspec.json.encode(thing, order="deterministic")


def digest_of(thing: msgspec.Struct) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(thing)).hexdigest()


def exact(value: float) -> float:
    """To the milliwatt-hour or the microsecond: a line is rounded here, once, and every sum after is exact."""
    return round(value, 6) + 0.0  # no -0.0


def total(values: Iterable[float]) -> float:
    """The sum of what `exact` has rounded, without any error."""
    return sum(round(value * 1_000_000) for value in values) / 1_000_000
