"""Asking for a proposal, and working it out: the past is read, every rule tried on it, gaming looked for."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from statistics import median_low
from zoneinfo import ZoneInfo

import numpy as np

from tieline.base.errors import Refused
from tieline.dispatch import reads as dispatch
from tieline.dispatch.model import Event
from tieline.ports import Rows, Series, Transaction
from tieline.settlement import metering
from tieline.settlement.baseline import fleet as arrays
from tieline.settlement.baseline.markets import AEMO_BUSINESS, AEMO_OTHER, RULES
from tieline.settlement.baseline.rules import Rule
from tieline.settlement.baseline.scores import Score
from tieline.settlement.baseline.tournament import Trial, scores, trial
from tieline.settlement.choosing import gaming, history, reads, store
from tieline.settlement.choosing.history import Call, Homes
from tieline.settlement.choosing.model import (
    STEP_S,
    USUAL_HOURS,
    USUAL_START_H,
    Alarm,
    Evidence,
    NewProposal,
    Proposal,
    State,
    alarm,
    chosen,
    tried,
)
from tieline.settlement.model import settled_until
from tieline.settlement.terms.measuring import measuring

CONTENDERS = [rule for rule in RULES.values() if rule not in (AEMO_BUSINESS, AEMO_OTHER)]
"""The composite has the same baselines as the other two, each on its days."""
READ = 0.8
"""Of the work, reading is so much."""


def ask(tx: Transaction, program_id: str, asked: NewProposal, now: datetime) -> Proposal:
    """Raises `NotFound`."""
    dispatch.the_program(tx, program_id)
    number = reads.newest_number(tx, program_id) + 1
    proposal_id = f"{program_id}-{number}"
    store.add(tx, proposal_id, program_id, number, asked, now)
    return Proposal(proposal_id, program_id, now, State.ASKED, 0.0, asked)


async def work_out(one: Proposal, *, rows: Rows, series: Series, now: datetime) -> None:
    """Make it, as of now; or say why it cannot be."""
    try:
        evidence = await _looked(one, rows, series, now)
    except Refused as error:
        why = str(error)
        await rows.transaction(lambda tx: store.refuse(tx, one.proposal_id, why))
        return
    await rows.transaction(lambda tx: store.make(tx, one.proposal_id, evidence))


async def give_up(one: Proposal, *, rows: Rows) -> None:
    """It fails for a reason of ours, which the log tells."""
    why = "it failed, and the fault is ours: the log says why"
    await rows.transaction(lambda tx: store.refuse(tx, one.proposal_id, why))


@dataclass(frozen=True)
class _Past:
    """The events of a program and of whom they called, and everybody's calls."""

    events: Sequence[Event]
    called: dict[str, set[str]]
    calls: dict[str, list[Call]]

    @property
    def vens(self) -> set[str]:
        return set().union(*self.called.values())


async def _looked(one: Proposal, rows: Rows, series: Series, now: datetime) -> Evidence:
    past = await _past(rows, one.program_id, now)
    how = await rows.read(lambda reader: measuring(reader, one.program_id, now))
    everybody = [ven_id for group in await metering.meters(rows, lambda _: True) for ven_id in group.ven_ids]
    vens = past.vens & set(everybody) or set(everybody)
    some = history.sampled(vens, one.program_id)
    groups = await metering.meters(rows, lambda ven: ven.ven_id in some)
    if not groups:
        raise Refused("no VEN is registered: there is nothing to try the rules on")
    days = _days(now, groups[0].zone, one.asked.days)
    homes = []
    for n, group in enumerate(groups):
        async for share, found in history.lived(series, group, days, now, how):
            done = READ * (n + share) / len(groups)
            await rows.transaction(lambda tx, done=done: store.note(tx, one.proposal_id, done))  # type: ignore[misc]
            homes += [history.with_calls(found, past.calls)] if found else []
    targets = await rows.read(lambda reader: dispatch.the_program(reader, one.program_id).request.targets or ())
    homes = [await history.with_covariates(each, rows, series, targets, now, how) for each in homes]
    start_h, hours = _hours(one.asked, past.events, groups[0].zone)
    told = await asyncio.to_thread(_tried, homes, days, start_h, hours)
    rule, says, coverage = chosen(told, how.rule.name)
    alarms = await asyncio.to_thread(_alarms, homes, past, how.rule)
    told_of = len(some), len(vens), how.rule.name, rule, says, coverage
    return Evidence(now, days[0], days[-1], start_h, hours, *told_of, [tried(one) for one in told], alarms)


async def _past(rows: Rows, program_id: str, now: datetime) -> _Past:
    events, called = [], {}
    calls: dict[str, list[Call]] = defaultdict(list)
    for event in await dispatch.calls(rows):
        if event.started_at is None or event.started_at > now:
            continue
        vens = await dispatch.called_vens(rows, event.event_id)
        for ven_id in vens:
            calls[ven_id].append((event.start_at, settled_until(event)))
        if event.program_id == program_id:
            events.append(event)
            called[event.event_id] = vens
    return _Past(sorted(events, key=lambda event: event.start_at), called, calls)


def _days(now: datetime, zone: str, count: int) -> list[date]:
    """The last so many whole days."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return [today - timedelta(days=n) for n in range(count, 0, -1)]


def _hours(asked: NewProposal, events: Sequence[Event], zone: str) -> tuple[float, float]:
    """When the events are that are tried: as asked for, else as most of the program's were, in whole quarters."""
    start_h, hours = USUAL_START_H, USUAL_HOURS
    if events:
        local = [event.start_at.astimezone(ZoneInfo(zone)) for event in events]
        start_h = max(0.25, median_low([(at.hour * 60 + at.minute) // 15 / 4 for at in local]))
        lasted = [(event.end_at - event.start_at).total_seconds() / STEP_S for event in events]
        hours = max(1, round(median_low(lasted))) / 4
    start_h = start_h if asked.start_h is None else asked.start_h
    hours = hours if asked.hours is None else asked.hours
    return start_h, min(hours, 24 - start_h)


def _tried(homes: Sequence[Homes], days: Collection[date], start_h: float, hours: float) -> list[Score]:
    """Raises `Refused` where no rule has a baseline on any day."""
    events = [arrays.Event(day, round(start_h * 3600), round(hours * 3600)) for day in days]
    rules = [rule for rule in CONTENDERS if all(history.is_told(rule, one.fleet) for one in homes)]
    whole = reduce(Trial.joined, [trial(one.fleet, rules, events) for one in homes])
    if not (found := scores(whole)):
        raise Refused(f"in the {len(days)} days there are too few with readings for any rule: try more of them")
    return found


def _alarms(homes: Sequence[Homes], past: _Past, rule: Rule) -> list[Alarm]:
    """Of the program's events, each on the day and at the quarter of an hour at which it was."""
    found = []
    for one in homes:
        on = [(event, _placed(event, one)) for event in past.events]
        some = [(event, at) for event, at in on if at is not None]
        called = np.array([[ven_id in past.called[event.event_id] for ven_id in one.ven_ids] for event, _ in some])
        told = gaming.findings(one.fleet, [at for _, at in some], called, rule) if some else []
        named = [(event.event_id, event.start_at) for event, _ in some]
        found += [alarm(each, one.ven_ids[each.meter], named) for each in told]
    return found


def _placed(event: Event, homes: Homes) -> arrays.Event | None:
    """An event on the clock of the homes; None for one that is not within a day of the past that was read."""
    at = event.start_at.astimezone(homes.zone)
    start_s = (at.hour * 60 + at.minute) * 60 // STEP_S * STEP_S
    event_s = max(1, round((settled_until(event) - event.start_at).total_seconds() / STEP_S)) * STEP_S
    within = 0 <= (at.date() - homes.fleet.first_day).days < homes.fleet.kw.shape[1]
    whole = start_s >= STEP_S and start_s + event_s <= arrays.DAY_S
    return arrays.Event(at.date(), start_s, event_s) if within and whole else None
