"""Making a settlement run: a program's period from its statements to the cent, as known at an instant."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from tieline import metrics
from tieline.base.errors import Conflict, Refused
from tieline.base.time import Clock, instant, iso
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import CLOSED
from tieline.dispatch.model import Event as Called
from tieline.ports import Blobs, Reader, Rows, Series, Transaction
from tieline.settlement import actions as settlement
from tieline.settlement import reads as statements
from tieline.settlement.model import Statement
from tieline.settlement.proof import intervals_of
from tieline.settlement.runs import reads, reviewing, store
from tieline.settlement.runs.drawing import drawn, numbered, repeats
from tieline.settlement.runs.energy import Event, needs_intervals
from tieline.settlement.runs.model import Run, RunSummary
from tieline.settlement.runs.pricing import prices
from tieline.settlement.terms import actions as terms_actions
from tieline.settlement.terms import reads as terms_reads
from tieline.settlement.terms.commitments import Committed, over
from tieline.settlement.terms.model import Market, Terms

MOST_DAYS = 366
ZonedInstant = Annotated[datetime, msgspec.Meta(tz=True)]


class NewRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A period of days [from, until) in the zone of the terms, as of an instant (none: now). `anew`: its events are
    first settled again with what is known now."""

    from_day: date
    until_day: date
    known_at: ZonedInstant | None = None
    anew: bool = False

    def __post_init__(self) -> None:
        if self.until_day <= self.from_day:
            raise Refused(f"a period ends after it begins: {self.from_day} until {self.until_day}")
        if (self.until_day - self.from_day).days > MOST_DAYS:
            raise Refused(f"a period is of at most {MOST_DAYS} days: {self.from_day} until {self.until_day} is longer")
        if self.anew and self.known_at is not None:
            raise Refused("anew is of what is known now: leave known_at out")


class Basis(msgspec.Struct, frozen=True):
    """All that a run follows from, as read in one moment."""

    terms: Terms
    known_at: datetime
    statements: list[Statement]
    committed: list[Committed]


async def settle(
    program_id: str, new: NewRun, *, rows: Rows, series: Series, blobs: Blobs, clock: Clock, now: datetime
) -> Run:
    """The run of a period. Where it comes to just what the newest one says, or one of the same instant, that one
    stands; otherwise it is added, restates the newest, and is told.

    Raises `NotFound` for a program, or terms; `Refused` for a period of several terms or a price that is missing;
    `Conflict` where something has to happen first.
    """
    if new.anew:
        for event in await rows.read(lambda reader: _called(reader, program_id, new)):
            await settlement.settle(event.event_id, rows=rows, series=series, blobs=blobs, clock=clock, known_at=now)
    basis = await rows.read(lambda reader: _basis(reader, program_id, new, now))
    terms, known_at = basis.terms, basis.known_at
    events = [await _priced(terms, one, known_at, rows, series, blobs) for one in basis.statements]
    run = await asyncio.to_thread(drawn, terms, new.from_day, new.until_day, known_at, events, basis.committed)
    return await _entered(run, terms, rows, clock)


def _basis(reader: Reader, program_id: str, new: NewRun, now: datetime) -> Basis:
    dispatch.the_program(reader, program_id, deleted=True)
    terms = terms_reads.over(reader, program_id, new.from_day, new.until_day)
    known_at = instant(new.known_at or now)
    if known_at > now:
        raise Refused(f"known_at {iso(known_at)} is still to come (now {iso(now)})")
    end = datetime(new.until_day.year, new.until_day.month, new.until_day.day, tzinfo=ZoneInfo(terms.zone))
    if known_at < end:
        raise Conflict(f"the period ends at {iso(end)}: as of {iso(known_at)} it cannot be settled yet")
    found = [_stated(reader, event, terms, known_at) for event in _called(reader, program_id, new)]
    kept = terms_reads.commitments(reader, program_id, known_at=known_at)
    return Basis(terms, known_at, found, over(kept, new.from_day, new.until_day))


def _called(reader: Reader, program_id: str, new: NewRun) -> list[Called]:
    """The events of a period that called somebody, and were not called off before they began; also those that were
    deleted since: what was delivered is owed."""
    zone = ZoneInfo(terms_reads.over(reader, program_id, new.from_day, new.until_day).zone)
    events = [one for one in dispatch.events_of(reader, program_id, deleted=True) if one.target_kw > 0]
    within = [one for one in events if new.from_day <= one.start_at.astimezone(zone).date() < new.until_day]
    return [one for one in within if one.state not in CLOSED or one.started_at is not None]


def _stated(reader: Reader, event: Called, terms: Terms, known_at: datetime) -> Statement:
    found = [one for one in statements.statements_of(reader, event.event_id) if one.known_at <= known_at]
    if not found:
        raise Conflict(
            f"event {event.event_id} had no statement at {iso(known_at)}: one is made when it is over, and by "
            f"POST /v1/events/{event.event_id}/settle"
        )
    newest = found[-1]
    asked = {"baseline": terms.baseline, "export": terms.export, "holidays": terms.holidays}
    measured = {"baseline": newest.rule, "export": newest.export, "holidays": newest.holidays}
    if measured != asked:
        other = ", ".join(name for name in asked if measured[name] != asked[name])
        raise Conflict(
            f"event {event.event_id} was measured when other terms were in force, or none ({newest.rule}, export "
            f"{newest.export}): those of its day say another {other}; put terms that say the same"
        )
    if _decides(newest, terms.most_gap):
        raise Conflict(
            f"event {event.event_id} was settled with gaps of up to {newest.most_gap:.1%}, the terms of its day say "
            f"{terms.most_gap:.1%}, and that matters to it: settle it anew"
        )
    return newest


def _decides(statement: Statement, most_gap: Decimal) -> bool:
    """Whether somebody's gaps are allowed by this, and not by what the statement was made with, or the reverse."""
    if most_gap == statement.most_gap:
        return False
    least, most = (share * statement.length_us for share in sorted((most_gap, statement.most_gap)))
    return any(least < round(line.gap_seconds * 1_000_000) <= most for line in statement.lines)


async def _priced(
    terms: Terms, statement: Statement, known_at: datetime, rows: Rows, series: Series, blobs: Blobs
) -> Event:
    intervals = None
    if needs_intervals(terms.netting, market=isinstance(terms.energy, Market)):
        intervals = await intervals_of(statement, blobs)
    edges_us = intervals.edges_us if intervals is not None else statement.edges_us
    return Event(statement, await prices(terms.energy, edges_us, known_at, rows, series), intervals)


async def _entered(run: Run, terms: Terms, rows: Rows, clock: Clock) -> Run:
    packed = await asyncio.to_thread(lambda: {one.ven_id: store.packed(one) for one in run.accounts})
    totals = {one.ven_id: one.total for one in run.accounts}
    earlier = await rows.read(lambda reader: reads.runs_of(reader, run.program_id, run.from_day))
    same = await _same(run, earlier, rows)
    if same is not None:
        return same
    new = await asyncio.to_thread(numbered, run, earlier)
    now = clock.now()

    def work(tx: Transaction) -> None:
        if terms_reads.over(tx, new.program_id, new.from_day, new.until_day) != terms:
            raise Conflict(f"the terms of {new.program_id} were put anew meanwhile: ask again")
        _check(tx, new, earlier)
        rows_of_it: list[dict[str, object]] = [
            {"run_id": new.run_id, "ven_id": ven_id, "total": totals[ven_id], "packed": body}
            for ven_id, body in packed.items()
        ]
        store.add_run(tx, new, rows_of_it, now)
        terms_actions.cite(tx, terms, new.until_day)
        tx.say("news.settlement.made", msgspec.json.encode(msgspec.convert(new, RunSummary, from_attributes=True)))

    await rows.transaction(work)
    metrics.SETTLEMENTS.inc()
    return new


async def _same(run: Run, earlier: Sequence[Run], rows: Rows) -> Run | None:
    """The newest run, or one of the same instant, where this one says just the same."""
    period = [one for one in earlier if one.until_day == run.until_day]
    for one in [*period[-1:], *(one for one in period if one.known_at == run.known_at)]:
        if repeats(run, one):
            whole = await reads.the_run(rows, one.run_id)
            if whole.accounts == run.accounts:
                return whole
    return None


def _check(tx: Transaction, new: Run, earlier: Sequence[Run]) -> None:
    """Raises `Conflict` for a run that cannot follow those there are by now."""
    of_day = reads.runs_of(tx, new.program_id, new.from_day)
    if len(of_day) != len(earlier):
        raise Conflict(f"another run from {new.from_day} was made meanwhile: ask again")
    period = [one for one in of_day if one.period == new.period]
    if period and period[-1].known_at >= new.known_at:
        raise Conflict(
            f"run {period[-1].run_id} is of {iso(period[-1].known_at)}: only one that knows more can follow it"
        )
    reviewing.no_rival(tx, new)
