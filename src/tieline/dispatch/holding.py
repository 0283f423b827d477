"""Holding a target: what is missing is called, what is too much is given back. Pure.

target ───────┬─────────────      expected: what the rows will give a moment from now
expected  ────┘missing            missing: called from the free loads, at what each is likely to draw then
                                  too much: given back, where its kind may come back yet
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import numpy as np

from tieline.dispatch.metered import Given, Giving, Load, Metered
from tieline.dispatch.model import HELD, Event, LedgerRow, Policy, RowState
from tieline.dispatch.outlook import Foreseen, ahead, wanted_soon_kw
from tieline.dispatch.planning import (
    BEARS,
    ELIGIBLE,
    LEAST_KW,
    Candidates,
    Circumstances,
    Explained,
    Loads,
    Plan,
    Reason,
    costs,
    could_give_kw,
    explained,
    judged,
    may_return,
    plan,
    release,
)
from tieline.dispatch.told import Ahead, Delivery
from tieline.wires.mqtt.messages import Answer

AHEAD = 1.0
"""Of the time until the next look: loads end all the while, and the target is to be met then too."""
SPARE = 1.5
"""Once it is called, so much of what is ignored is called beyond what is missing: it comes to the target on average."""
SLOW = 2.0
"""Giving back is so much less eager than calling: what comes back wants more than it gave up."""
DECLINED = (RowState.OPTED_OUT, RowState.REFUSED, RowState.EXPIRED)
LEAST_HOLD_S = 300.0
"""A load that says it could not stay down for so long is not called: its comfort goes first."""
LASTING = (5.0, 15.0, 30.0, 45.0, 60.0)
"""A load that is likely to run after so many minutes is preferred: its place need not be filled again. An hour, and
not the next minutes only: of those in a cycle that would prefer who has just begun, and all would end together."""
LEAST_LASTING = 0.1
LEAST_ANSWERING = 0.5
PAYBACK = 0.1
"""What a load will draw beyond what it gives now, once it is back, weighs so much: best is who runs at its most."""
WORTH = 10.0
"""What would draw as much anyway is given back before what would not, whatever else speaks for it."""


LEFT_ASIDE, ASIDE = 0.1, 10.0
"""So large a share of the loads, drawn anew for each event, is so much dearer: called last, they are like those that
are called, and show what these would draw."""
ENOUGH = 300
"""A share of fewer loads shows nothing."""


class Called(msgspec.Struct, frozen=True):
    """A load to call, as its row in the ledger says it: what it is expected to give, what it is held to, what it drew
    and for how long it had."""

    ven_id: str
    resource_id: str
    planned_kw: float
    limit_kw: float
    reference_kw: float
    run_min: int
    reference_at: datetime


@dataclass(frozen=True)
class Decision:
    """What is called and given back, with the plan that says so; most looks decide nothing."""

    called: Sequence[Called] = ()
    released: Sequence[Load] = ()
    plan: Plan | None = None
    explained: Sequence[Explained] = ()


@dataclass(frozen=True)
class Look:
    """What one look at an event found, in all and by row, and what follows from it."""

    seen: Delivery
    given: Sequence[Given]
    decision: Decision
    ahead: Sequence[Ahead] = ()


@dataclass(frozen=True)
class Circle:
    """Whom an event may call, beyond what is metered: loads that others hold, VENs that were granted its targets (None:
    all), how much dearer each VEN's earlier calls make it, and who is beyond the program's limits."""

    elsewhere: Collection[Load] = ()
    granted: Collection[str] | None = None
    dearer: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, Reason] = field(default_factory=dict)


def look(
    event: Event,
    ledger: Sequence[LedgerRow],
    circle: Circle,
    metered: Metered,
    policy: Policy,
    later: Sequence[Foreseen] = (),
) -> Look:
    """At the instant for which it was metered; `later` is what is forecast of the event's later intervals."""
    now = metered.at
    soon = max(now, event.start_at) + timedelta(seconds=AHEAD * policy.look_s)
    giving = Giving(ledger, metered, policy)
    given, expected = giving.given(), float(giving.counts_kw(soon).sum())
    reasons = judged(metered.loads, _circumstances(ledger, circle, policy, now))
    free = _free(event, metered, circle, soon).only(reasons == ELIGIBLE)
    decision, missing = Decision(), event.target_at(soon) - expected
    ignored = max(policy.tolerance * event.target_at(soon), LEAST_KW)
    headroom = float(free.kw[free.kw >= LEAST_KW].sum())
    coming = ahead(later, expected + headroom)
    spare = expected - max(event.target_at(soon), wanted_soon_kw(coming, now))
    if missing > ignored:
        made = plan((missing + SPARE * ignored) / _answering(ledger, now - timedelta(seconds=policy.resend_s)), free)
        why = explained(made, free, reasons)
        decision = Decision(called=_called(made, free, metered, ledger), plan=made, explained=why)
    elif spare > SLOW * ignored:
        decision = Decision(released=_released(spare, giving, soon))
    seen = Delivery(
        at=now,
        target_kw=event.target_at(now),
        delivered_kw=sum(one.kw for one in given),
        expected_kw=expected,
        headroom_kw=headroom,
        held=sum(row.state in HELD for row in ledger),
    )
    return Look(seen, given, decision, coming)


def _circumstances(ledger: Sequence[LedgerRow], circle: Circle, policy: Policy, now: datetime) -> Circumstances:
    late = now - timedelta(seconds=policy.ack_s)
    mine = {(row.ven_id, row.resource_id) for row in ledger if row.state not in (*DECLINED, RowState.RESTORED)}
    return Circumstances(
        now=now,
        stale_s=policy.online_s,
        least_hold_s=LEAST_HOLD_S,
        granted=circle.granted,
        opted_out={_key(row) for row in ledger if row.answer not in (None, Answer.ACCEPTED) or row.opted_out_from_at},
        silent={row.ven_id for row in ledger if row.state is RowState.SENT and row.sent_at and row.sent_at <= late},
        called=mine,
        held=circle.elsewhere,
        limits=circle.limits,
    )


def _answering(ledger: Sequence[LedgerRow], by: datetime) -> float:
    """The share of those asked by then in this event that accepted: of others as many will."""
    asked = [row.answer == Answer.ACCEPTED for row in ledger if row.sent_at is not None and row.sent_at <= by]
    return max(sum(asked) / len(asked), LEAST_ANSWERING) if asked else 1.0


def _free(event: Event, metered: Metered, circle: Circle, soon: datetime) -> Candidates:
    """Every load at what it is likely to give soon; what it costs falls with how long it is likely to last."""
    loads, known = metered.loads, metered.counterfactual
    ahead = (soon - known.until).total_seconds() / 60
    kw = could_give_kw(loads) * np.minimum(known.still(ahead), 1.0)
    lasting = np.maximum(np.mean([known.still(ahead + minutes) for minutes in LASTING], axis=0), LEAST_LASTING)
    dearer = np.array([circle.dearer.get(ven_id, 0.0) for ven_id in loads.ven_ids]) + ASIDE * _aside(event, loads)
    wanted_back_kw = np.where(np.isfinite(loads.ceiling_kw), np.maximum(loads.ceiling_kw - kw, 0.0), 0.0)
    return Candidates(loads.ven_ids, loads.resource_ids, kw, (costs(kw, dearer) + PAYBACK * wanted_back_kw) / lasting)


def _aside(event: Event, loads: Loads) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Drawn by lot, the same at every look."""
    if len(loads) < ENOUGH:
        return np.zeros(len(loads), np.bool_)
    keys = zip(loads.ven_ids, loads.resource_ids, strict=True)
    lots = [zlib.crc32(f"{event.event_id}/{ven_id}/{resource_id}".encode()) for ven_id, resource_id in keys]
    return np.array(lots, dtype=np.float64) < LEFT_ASIDE * 2**32


def _called(made: Plan, free: Candidates, metered: Metered, ledger: Sequence[LedgerRow]) -> list[Called]:
    """What a load would draw that was given back earlier in the event follows from when it was first called: since then
    it draws what it draws because of us."""
    earlier = {_key(row): row for row in ledger}
    drew_kw = np.maximum(metered.running.kw, metered.loads.power_kw)
    columns = (free.kw, drew_kw, metered.running.minutes)
    kw, reference_kw, run_min = (column[made.chosen].round(4).tolist() for column in columns)
    called = []
    for n, i in enumerate(made.chosen.tolist()):
        key = free.ven_ids[i], free.resource_ids[i]
        row, limit_kw = earlier.get(key), BEARS[metered.loads.kinds[i]].floor_kw
        if row is None:
            called.append(Called(*key, kw[n], limit_kw, reference_kw[n], run_min[n], metered.at))
        else:
            since = row.reference_at or row.planned_at
            called.append(Called(*key, kw[n], limit_kw, row.reference_kw, row.run_min, since))
    return called


def _released(excess_kw: float, giving: Giving, soon: datetime) -> list[Load]:
    """Of what is held, shows it and may come back by now: first what will draw the least beyond what it would have.
    Whatever it would draw by now, once back it draws what it can."""
    would = giving.would_kw(soon)
    shown = [i for i, row in enumerate(giving.ledger) if row.state is RowState.METERED and giving.known[i]]
    keys = [_key(giving.ledger[i]) for i in shown]
    since = np.array([(giving.ledger[i].acting_at or soon).timestamp() for i in shown])
    kinds = [giving.metered.loads.kinds[giving.metered.index[key]] for key in keys]
    back_kw = giving.back_kw[shown]
    free = may_return(kinds, since, giving.metered.at) & (back_kw >= LEAST_KW)
    lasting = np.clip(would[shown] / np.maximum(back_kw, LEAST_KW), LEAST_LASTING, 1.0)
    kw = np.where(free, back_kw, 0.0)
    held = Candidates([ven for ven, _ in keys], [load for _, load in keys], kw, costs(kw, lasting * WORTH))
    return [keys[i] for i in release(excess_kw, held).tolist() if free[i]]


def _key(row: LedgerRow) -> Load:
    return row.ven_id, row.resource_id
