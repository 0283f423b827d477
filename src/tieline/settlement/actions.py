"""Freezing a baseline when an event starts, and settling the event when it is over."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from math import isnan

import msgspec
import numpy as np

from tieline import metrics
from tieline.base.errors import Conflict
from tieline.base.time import Clock, Span, iso
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import CLOSED, Event
from tieline.ports import Blobs, Rows, Series, Transaction
from tieline.settlement import covariates, metering, reads, store
from tieline.settlement.baseline.alike import Standing
from tieline.settlement.baseline.intervals import REACH_DAYS, History
from tieline.settlement.baseline.rules import Controls, Forecast, Rule
from tieline.settlement.baseline.sureness import Sureness, sureness
from tieline.settlement.calibration import calibration, packed
from tieline.settlement.choosing.history import sampled
from tieline.settlement.intervals import Intervals, joined
from tieline.settlement.matching import Calls, Matching
from tieline.settlement.model import (
    STEP_S,
    FrozenBaseline,
    LeftOut,
    Statement,
    StatementLine,
    Stood,
    VenBaseline,
    bounded,
    settled,
    settled_until,
    stated,
)
from tieline.settlement.outages import reads as outages
from tieline.settlement.outages.model import without
from tieline.settlement.reckoning import Reckoning
from tieline.settlement.terms.measuring import Measuring, measuring

# --- the baseline -----------------------------------------------------------------------------------------------------


async def freeze(
    event: Event,
    *,
    rows: Rows,
    series: Series,
    rule: Rule | None = None,
    holidays: Collection[date] = (),
    known_at: datetime | None = None,
) -> FrozenBaseline:
    """The baseline of every registered VEN, from what was known when the event started; computed once and kept, and
    once more, from the same knowledge, where the event was since called for longer. A rule that looks at hours of the
    event, or after it, is frozen once they are over, from what is known at `known_at`.

    By the rule, the holidays (and `holidays` beside them) and the export of the program's terms; by `rule` where given.

    Raises `Conflict` for an event that has not started, and before such hours are over.
    """
    kept = await rows.read(lambda reader: reads.find_baseline(reader, event.event_id))
    if kept is not None and kept.end_at >= event.end_at:
        return kept
    how = await _how(event, rows, rule, holidays)
    as_of = _known_at(event, how.rule, known_at)
    new, sure = await _worked_out(event, as_of, how, rows, series)

    def work(tx: Transaction) -> FrozenBaseline:
        first = reads.find_baseline(tx, event.event_id)
        if first is not None and first.end_at >= new.end_at:
            return first
        store.put_baseline(tx, new, sure)
        return new

    return await rows.transaction(work)


async def _worked_out(
    event: Event, as_of: datetime, how: Measuring, rows: Rows, series: Series
) -> tuple[FrozenBaseline, bytes | None]:
    """The baseline, and packed how sure it is; None where that cannot be told."""
    back_days = how.rule.look_back_days + 1
    further_days = back_days + REACH_DAYS
    calls = await _earlier_calls(event, as_of, rows, event.start_at - timedelta(days=further_days))
    matching = await _matching(event, as_of, how, rows, series, calls, back_days)
    groups = await metering.meters(rows, lambda ven: ven.created_at <= as_of)
    new = await _matched(matching, groups)
    further = await _matching(event, as_of, how, rows, series, calls, further_days)
    vens, sure = await _sureness(further, groups)
    told = calibration(sure, vens)
    return msgspec.structs.replace(new, calibration=told), packed(sure) if sure is not None and told.digest else None


async def _how(event: Event, rows: Rows, rule: Rule | None, holidays: Collection[date]) -> Measuring:
    how = await rows.read(lambda reader: measuring(reader, event.program_id, event.start_at))
    return msgspec.structs.replace(how, rule=rule or how.rule, holidays=frozenset((*how.holidays, *holidays)))


def _known_at(event: Event, rule: Rule, known_at: datetime | None) -> datetime:
    """As known at which instant a baseline is frozen. Raises `Conflict` before the start, and before all is over that
    its rule looks at."""
    if event.started_at is None:
        raise Conflict(f"event {event.event_id} has not started: its baseline is frozen at {iso(event.start_at)}")
    if (until := looked_until(event, rule)) is None:
        return event.started_at
    if event.state not in CLOSED or known_at is None or known_at < until:
        raise Conflict(
            f"event {event.event_id}: {rule.name} looks at hours until {iso(until)}: its baseline is frozen with the "
            "first statement after them"
        )
    return known_at


def looked_until(event: Event, rule: Rule) -> datetime | None:
    """When all is over that a rule looks at; None where it looks at nothing after the start."""
    return None if rule.after_h is None else settled_until(event) + timedelta(hours=rule.after_h)


async def _sureness(matching: Matching, groups: Sequence[metering.Meters]) -> tuple[int, Sureness | None]:
    """How sure the baselines are, as a sample of so many VENs has it; None where there is none."""
    some = sampled([ven_id for group in groups for ven_id in group.ven_ids], matching.event.program_id)
    found = []
    for group in groups:
        if those := [ven_id for ven_id in group.ven_ids if ven_id in some]:
            found.append(await matching.history(replace(group, ven_ids=those)))
    return len(some), await asyncio.to_thread(sureness, History.joined(found)) if found else None


async def _matching(
    event: Event, as_of: datetime, how: Measuring, rows: Rows, series: Series, calls: Calls, back_days: int
) -> Matching:
    """With all that its rule looks at beside the meters, so many days back."""
    rule = how.rule
    whole = Span(event.start_at - timedelta(days=back_days), event.end_at)
    out = await rows.read(lambda reader: outages.over(reader, whole.start, whole.end, as_of))
    matching = Matching(event, as_of, how, calls, series, out)
    if isinstance(rule.average, Controls):
        return replace(matching, chosen=await dispatch.called_vens(rows, event.event_id))
    if rule.wants_temperature and how.temperature:
        found = await covariates.temperature(rows, series, how.temperature, whole, as_of)
        return replace(matching, temperature=found)
    if isinstance(rule.average, Forecast):
        return replace(matching, outlooks=await covariates.outlooks(rows, series, event, whole, as_of))
    return matching


async def _earlier_calls(event: Event, known_at: datetime, rows: Rows, since: datetime) -> Calls:
    calls: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for other in await dispatch.calls(rows):
        begun = other.started_at is not None and other.started_at <= known_at
        if begun and other.event_id != event.event_id and settled_until(other) > since:
            for ven_id in await dispatch.called_vens(rows, other.event_id):
                calls[ven_id].append((other.start_at, settled_until(other)))
    return calls


async def _matched(matching: Matching, groups: Sequence[metering.Meters]) -> FrozenBaseline:
    event = matching.event
    vens: list[VenBaseline] = []
    left_out: list[LeftOut] = []
    for group in groups:
        found, stood = await matching.baselines(group)
        for i, ven_id in enumerate(group.ven_ids):
            if i in found.reasons:
                left_out.append(LeftOut(ven_id, found.reasons[i]))
            else:
                kw, factor = found.kw[i].round(6).tolist(), round(float(found.factor[i]), 6)
                vens.append(VenBaseline(ven_id, kw, factor, found.days(i), found.note(i), _stood(stood, i)))
    return FrozenBaseline(
        event_id=event.event_id,
        rule=matching.rule.name,
        known_at=matching.known_at,
        start_at=event.start_at,
        end_at=event.end_at,
        step_s=STEP_S,
        vens=sorted(vens, key=lambda one: one.ven_id),
        left_out=sorted(left_out, key=lambda one: one.ven_id),
        export=matching.how.export,
        holidays=matching.how.named,
        beside=[one.used for one in matching.covariates] or msgspec.UNSET,
        outages=sorted({one.named for each in matching.out.values() for one in each}) or msgspec.UNSET,
    )


def _stood(stood: Standing, i: int) -> Stood:
    lift_kw, highest_kw, least_kw = (
        round(float(one), 6) for one in (stood.lift_kw[i], stood.highest_kw[i], stood.least_kw[i])
    )
    return Stood(None if isnan(lift_kw) else lift_kw, highest_kw, least_kw)


# --- the statement ----------------------------------------------------------------------------------------------------


async def settle(
    event_id: str,
    *,
    rows: Rows,
    series: Series,
    clock: Clock,
    blobs: Blobs,
    known_at: datetime | None = None,
    holidays: Collection[date] = (),
    again: bool = True,
) -> Statement:
    """The event's statement from what is known at `known_at` (None: now); its intervals are kept in `blobs`.

    Where it states just what the newest one does, or knows less, that one stands, and so does any where it is not to be
    stated `again`; otherwise it is added as the next one, and told.
    Raises `NotFound`, and `Conflict` for an event that is not over or never started.
    """
    now = clock.now()
    event = await dispatch.event(rows, event_id)
    if event.state not in CLOSED or event.started_at is None:
        raise Conflict(f"event {event_id} is {event.state}: only one that started and is over can be settled")
    as_of = known_at or now
    frozen = await freeze(event, rows=rows, series=series, holidays=holidays, known_at=as_of)
    drawn, intervals = await _drawn_up(event, frozen, as_of, rows, series)
    drawn = msgspec.structs.replace(drawn, intervals_digest=await blobs.put(intervals.packed()))

    def work(tx: Transaction) -> tuple[Statement, bool]:
        earlier = reads.statements_of(tx, event_id)
        if earlier and (not again or drawn.known_at < earlier[-1].known_at or drawn.repeats(earlier[-1])):
            return earlier[-1], False
        new = drawn.numbered(len(earlier) + 1)
        store.add_statement(tx, new, now)
        tx.say("news.statement.made", msgspec.json.encode(new.summary()))
        return new, True

    made, is_new = await rows.transaction(work)
    metrics.STATEMENTS.inc(is_new)
    return made


async def _drawn_up(
    event: Event, frozen: FrozenBaseline, known_at: datetime, rows: Rows, series: Series
) -> tuple[Statement, Intervals]:
    until = settled_until(event)
    ledger = await dispatch.participants(rows, event.event_id)
    how = await rows.read(lambda reader: measuring(reader, event.program_id, event.start_at))
    out = await rows.read(lambda reader: outages.over(reader, event.start_at, until, known_at))
    sure = await rows.read(lambda reader: reads.sureness_of(reader, event.event_id))
    reckoning = Reckoning(frozen, ledger, event.start_at, until, how.most_gap, out, sure)
    lines: list[StatementLine] = []
    digests: dict[str, bytes] = {}
    parts: list[Intervals] = []
    for group in await metering.meters_of(rows, ledger):
        read = await metering.read(series, group, event.start_at, until, known_at)
        used = await read.counting(frozen.export).on(reckoning.edges_us)
        used = without(used, group.ven_ids, reckoning.edges_us, out)
        for i, ven_id in enumerate(group.ven_ids):
            at_us, value_kw = read.of(i)
            digests[ven_id] = at_us.astype("<i8").tobytes() + value_kw.astype("<f8").tobytes()
        found, over = reckoning.intervals(group.ven_ids, used)
        parts.append(found)
        counts = np.bincount(read.index, minlength=len(group.ven_ids)).tolist()
        lines += reckoning.lines(group.ven_ids, found, over, counts)
    readings_digest, whole = _digest(digests), joined(parts, reckoning.edges_us)
    statement = stated(event, until, frozen, known_at, lines, most_gap=how.most_gap, readings_digest=readings_digest)
    return bounded(statement, *reckoning.together(whole, settled(statement))), whole


def _digest(readings: Mapping[str, bytes]) -> str:
    """Of all readings used: per VEN, in order of id, its id, a zero, its instants, its values."""
    whole = hashlib.sha256()
    for ven_id in sorted(readings):
        whole.update(ven_id.encode() + b"\0" + readings[ven_id])
    return whole.hexdigest()
