"""Freezing a baseline when an event starts, and settling the event when it is over."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec

from tieline import metrics
from tieline.base.errors import Conflict
from tieline.base.time import Clock, iso
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import CLOSED, Event, LedgerRow
from tieline.ports import Rows, Series, Transaction
from tieline.settlement import metering, reads, store
from tieline.settlement.baseline.markets import CAISO_10_IN_10
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.matching import Calls, Matching
from tieline.settlement.model import (
    STEP_S,
    FrozenBaseline,
    LeftOut,
    Statement,
    StatementLine,
    VenBaseline,
    edges_us,
    line,
    settled_until,
    stated,
    unsettled,
)

# --- the baseline -----------------------------------------------------------------------------------------------------


async def freeze(
    event: Event, *, rows: Rows, series: Series, rule: Rule = CAISO_10_IN_10, holidays: Collection[date] = ()
) -> FrozenBaseline:
    """The baseline of every registered VEN, from what was known when the event started; computed once and kept, and
    once more, from the same knowledge, where the event was since called for longer.

    Raises `Conflict` for an event that has not started.
    """
    known_at = event.started_at
    if known_at is None:
        raise Conflict(f"event {event.event_id} has not started: its baseline is frozen at {iso(event.start_at)}")
    kept = await rows.read(lambda reader: reads.find_baseline(reader, event.event_id))
    if kept is not None and kept.end_at >= event.end_at:
        return kept
    calls = await _earlier_calls(event, known_at, rows, rule)
    matching = Matching(event, known_at, rule, holidays, calls, series)
    groups = await metering.meters(rows, lambda ven: ven.created_at <= known_at)
    new = await _matched(matching, groups)

    def work(tx: Transaction) -> FrozenBaseline:
        first = reads.find_baseline(tx, event.event_id)
        if first is not None and first.end_at >= new.end_at:
            return first
        store.put_baseline(tx, new)
        return new

    return await rows.transaction(work)


async def _earlier_calls(event: Event, known_at: datetime, rows: Rows, rule: Rule) -> Calls:
    since = event.start_at - timedelta(days=rule.look_back_days + 1)
    calls: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for other in await dispatch.calls(rows):
        begun = other.started_at is not None and other.started_at <= known_at
        if begun and other.event_id != event.event_id and settled_until(other) > since:
            for ven_id in await dispatch.participants(rows, other.event_id):
                calls[ven_id].append((other.start_at, settled_until(other)))
    return calls


async def _matched(matching: Matching, groups: Sequence[metering.Meters]) -> FrozenBaseline:
    event = matching.event
    vens: list[VenBaseline] = []
    left_out: list[LeftOut] = []
    for group in groups:
        found = await matching.baselines(group)
        for i, ven_id in enumerate(group.ven_ids):
            if i in found.reasons:
                left_out.append(LeftOut(ven_id, found.reasons[i]))
            else:
                kw, factor = found.kw[i].round(6).tolist(), round(float(found.factor[i]), 6)
                vens.append(VenBaseline(ven_id, kw, factor, found.days(i), found.note(i)))
    return FrozenBaseline(
        event_id=event.event_id,
        rule=matching.rule.name,
        known_at=matching.known_at,
        start_at=event.start_at,
        end_at=event.end_at,
        step_s=STEP_S,
        vens=sorted(vens, key=lambda one: one.ven_id),
        left_out=sorted(left_out, key=lambda one: one.ven_id),
    )


# --- the statement ----------------------------------------------------------------------------------------------------


async def settle(
    event_id: str,
    *,
    rows: Rows,
    series: Series,
    clock: Clock,
    known_at: datetime | None = None,
    holidays: Collection[date] = (),
) -> Statement:
    """The event's statement from what is known at `known_at` (None: now).

    Where it states just what the newest one does, that one stands; otherwise it is added as the next one, and told.
    Raises `NotFound`, and `Conflict` for an event that is not over or never started.
    """
    now = clock.now()
    event = await dispatch.event(rows, event_id)
    if event.state not in CLOSED or event.started_at is None:
        raise Conflict(f"event {event_id} is {event.state}: only one that started and is over can be settled")
    frozen = await freeze(event, rows=rows, series=series, holidays=holidays)
    drawn = await _drawn_up(event, frozen, known_at or now, rows, series)

    def work(tx: Transaction) -> tuple[Statement, bool]:
        earlier = reads.statements_of(tx, event_id)
        if earlier and drawn.repeats(earlier[-1]):
            return earlier[-1], False
        new = drawn.numbered(len(earlier) + 1)
        store.add_statement(tx, new, now)
        tx.say("news.statement.made", msgspec.json.encode(new.summary()))
        return new, True

    made, is_new = await rows.transaction(work)
    metrics.STATEMENTS.inc(is_new)
    return made


async def _drawn_up(event: Event, frozen: FrozenBaseline, known_at: datetime, rows: Rows, series: Series) -> Statement:
    until = settled_until(event)
    seconds = (until - event.start_at).total_seconds()
    ledger = await dispatch.participants(rows, event.event_id)
    baselines = {one.ven_id: one for one in frozen.vens}
    reasons = {one.ven_id: one.reason for one in frozen.left_out}
    lines: list[StatementLine] = []
    digests: dict[str, bytes] = {}
    for group in await metering.meters(rows, lambda ven: ven.ven_id in ledger):
        read = await metering.read(series, group, event.start_at, until, known_at)
        used = await read.on(edges_us(event.start_at, until))
        for i, ven_id in enumerate(group.ven_ids):
            at_us, value_kw = read.of(i)
            digests[ven_id] = at_us.astype("<i8").tobytes() + value_kw.astype("<f8").tobytes()
            note = _part_taken(ledger[ven_id])
            if ven_id in baselines:
                lines.append(line(baselines[ven_id], used.energy_kwh[i], used.covered_s[i], seconds, len(at_us), note))
            else:
                lines.append(unsettled(ven_id, reasons.get(ven_id, "it has no baseline"), len(at_us), note))
    return stated(event, until, frozen, known_at, lines, _digest(digests))


def _digest(readings: Mapping[str, bytes]) -> str:
    """Of all readings used: per VEN, in order of id, its id, a zero, its instants, its values."""
    whole = hashlib.sha256()
    for ven_id in sorted(readings):
        whole.update(ven_id.encode() + b"\0" + readings[ven_id])
    return whole.hexdigest()


def _part_taken(ledger: Sequence[LedgerRow]) -> str:
    answers = {row.answer for row in ledger}
    if "accepted" in answers:
        return ""
    return "took no part: " + (", ".join(sorted(answer for answer in answers if answer)) or "no answer")
