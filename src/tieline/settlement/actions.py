"""Freezing a baseline when an event starts, and settling the event when it is over."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec
import numpy as np

from tieline import metrics
from tieline.base.errors import Conflict
from tieline.base.time import Clock, iso
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import CLOSED, Event
from tieline.ports import Blobs, Rows, Series, Transaction
from tieline.settlement import metering, reads, store
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.intervals import Intervals, joined
from tieline.settlement.matching import Calls, Matching
from tieline.settlement.model import (
    STEP_S,
    FrozenBaseline,
    LeftOut,
    Statement,
    StatementLine,
    VenBaseline,
    settled_until,
    stated,
)
from tieline.settlement.reckoning import Reckoning
from tieline.settlement.terms.measuring import measuring

# --- the baseline -----------------------------------------------------------------------------------------------------


async def freeze(
    event: Event, *, rows: Rows, series: Series, rule: Rule | None = None, holidays: Collection[date] = ()
) -> FrozenBaseline:
    """The baseline of every registered VEN, from what was known when the event started; computed once and kept, and
    once more, from the same knowledge, where the event was since called for longer.

    By the rule, the holidays (and `holidays` beside them) and the export of the program's terms; by `rule` where given.

    Raises `Conflict` for an event that has not started.
    """
    known_at = event.started_at
    if known_at is None:
        raise Conflict(f"event {event.event_id} has not started: its baseline is frozen at {iso(event.start_at)}")
    kept = await rows.read(lambda reader: reads.find_baseline(reader, event.event_id))
    if kept is not None and kept.end_at >= event.end_at:
        return kept
    how = await rows.read(lambda reader: measuring(reader, event.program_id, event.start_at))
    how = msgspec.structs.replace(how, rule=rule or how.rule, holidays=frozenset((*how.holidays, *holidays)))
    matching = Matching(event, known_at, how, await _earlier_calls(event, known_at, rows, how.rule), series)
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
        export=matching.how.export,
        holidays=matching.how.named,
    )


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
) -> Statement:
    """The event's statement from what is known at `known_at` (None: now); its intervals are kept in `blobs`.

    Where it states just what the newest one does, or knows less, that one stands; otherwise it is added as the next
    one, and told.
    Raises `NotFound`, and `Conflict` for an event that is not over or never started.
    """
    now = clock.now()
    event = await dispatch.event(rows, event_id)
    if event.state not in CLOSED or event.started_at is None:
        raise Conflict(f"event {event_id} is {event.state}: only one that started and is over can be settled")
    frozen = await freeze(event, rows=rows, series=series, holidays=holidays)
    drawn, intervals = await _drawn_up(event, frozen, known_at or now, rows, series)
    drawn = msgspec.structs.replace(drawn, intervals_digest=await blobs.put(intervals.packed()))

    def work(tx: Transaction) -> tuple[Statement, bool]:
        earlier = reads.statements_of(tx, event_id)
        if earlier and (drawn.known_at < earlier[-1].known_at or drawn.repeats(earlier[-1])):
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
    reckoning = Reckoning(frozen, ledger, event.start_at, until, how.most_gap)
    lines: list[StatementLine] = []
    digests: dict[str, bytes] = {}
    parts: list[Intervals] = []
    for group in await metering.meters_of(rows, ledger):
        read = await metering.read(series, group, event.start_at, until, known_at)
        used = await read.counting(frozen.export).on(reckoning.edges_us)
        for i, ven_id in enumerate(group.ven_ids):
            at_us, value_kw = read.of(i)
            digests[ven_id] = at_us.astype("<i8").tobytes() + value_kw.astype("<f8").tobytes()
        parts.append(reckoning.intervals(group.ven_ids, used))
        counts = np.bincount(read.index, minlength=len(group.ven_ids)).tolist()
        lines += reckoning.lines(group.ven_ids, parts[-1], counts)
    readings_digest = _digest(digests)
    statement = stated(event, until, frozen, known_at, lines, most_gap=how.most_gap, readings_digest=readings_digest)
    return statement, joined(parts, reckoning.edges_us)


def _digest(readings: Mapping[str, bytes]) -> str:
    """Of all readings used: per VEN, in order of id, its id, a zero, its instants, its values."""
    whole = hashlib.sha256()
    for ven_id in sorted(readings):
        whole.update(ven_id.encode() + b"\0" + readings[ven_id])
    return whole.hexdigest()
