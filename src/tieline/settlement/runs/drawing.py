"""A run drawn up out of all that it follows from, each input by its digest; and whether two runs say the same. Pure."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from tieline.base.time import EPOCH
from tieline.settlement.model import digest_of
from tieline.settlement.runs.arithmetic import accounts, sums
from tieline.settlement.runs.energy import Event
from tieline.settlement.runs.model import Input, InputKind, MeasuredEvent, Run
from tieline.settlement.terms.commitments import Committed
from tieline.settlement.terms.model import Market, Terms


def drawn(
    terms: Terms,
    from_day: date,
    until_day: date,
    known_at: datetime,
    events: Sequence[Event],
    committed: Sequence[Committed],
) -> Run:
    """Not yet numbered."""
    found = accounts(terms, events, committed)
    summed = sums(found)
    return Run(
        run_id="",
        program_id=terms.program_id,
        from_day=from_day,
        until_day=until_day,
        zone=terms.zone,
        currency=terms.currency,
        known_at=known_at,
        number=0,
        participants=len(found),
        events=len(events),
        delivered_kwh=summed["delivered_kwh"],
        net=summed["net"],
        tax=summed["tax"],
        total=summed["total"],
        inputs=inputs(terms, events, committed),
        accounts=found,
        measured=measured(events) or msgspec.UNSET,
    )


def measured(events: Sequence[Event]) -> list[MeasuredEvent]:
    """Those of whose baselines it is known how sure they are, in order."""
    ordered = sorted((event.statement for event in events), key=lambda one: (one.start_at, one.event_id))
    return [
        MeasuredEvent(
            one.event_id, one.rule, one.calibration, one.delivered_kwh, one.delivered_low_kwh, one.delivered_high_kwh
        )
        for one in ordered
        if one.calibration is not msgspec.UNSET
    ]


def inputs(terms: Terms, events: Sequence[Event], committed: Sequence[Committed]) -> list[Input]:
    """Terms, statements, prices of a market, commitments. When terms end does not matter: those after them say it."""
    ordered = sorted((event.statement.statement_id, event) for event in events)
    found = [Input(InputKind.TERMS, terms.named, digest_of(msgspec.structs.replace(terms, valid_until=None)))]
    found += [Input(InputKind.STATEMENT, name, event.statement.digest) for name, event in ordered]
    if isinstance(terms.energy, Market):
        said = [(name, list(event.prices.per_kwh)) for name, event in ordered]
        found.append(Input(InputKind.PRICES, terms.energy.series_id, _digest(said)))
    if terms.capacity is not None:
        by_ven = sorted(committed, key=lambda one: (one.ven_id, one.from_day))
        found.append(Input(InputKind.COMMITMENTS, terms.program_id, _digest(by_ven)))
    return found


def _digest(thing: object) -> str:
    return hashlib.sha256(msgspec.json.encode(thing, order="deterministic")).hexdigest()


def numbered(run: Run, earlier: Sequence[Run]) -> Run:
    """The same as the next run from its first day, with its digest; `earlier` are those from that day, in order."""
    number = len(earlier) + 1
    period = [one for one in earlier if one.until_day == run.until_day]
    named = msgspec.structs.replace(
        run,
        run_id=f"{run.program_id}-{run.from_day}-{number}",
        number=number,
        restates=period[-1].digest if period else "",
        digest="",
    )
    return msgspec.structs.replace(named, digest=digest_of(named))


def repeats(run: Run, other: Run) -> bool:
    """Whether both say the same of all but the accounts, whenever each was made."""
    return _said(run) == _said(other)


def _said(run: Run) -> Run:
    return msgspec.structs.replace(run, run_id="", known_at=EPOCH, number=0, restates="", digest="", accounts=[])
