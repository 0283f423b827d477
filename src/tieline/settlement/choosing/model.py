"""What a look at a program's past tells: the rule to settle it by, on what evidence, and who may be gaming it. Pure."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from math import isnan
from typing import Annotated

import msgspec

from tieline.base.errors import Refused
from tieline.base.time import iso
from tieline.settlement.baseline.markets import RULES
from tieline.settlement.baseline.scores import Score, covered, winner
from tieline.settlement.choosing.gaming import Finding, Trick

STEP_S = 900
USUAL_START_H, USUAL_HOURS = 17.0, 3.0
"""Where a program has no events yet."""


class State(StrEnum):
    ASKED = "asked"
    MADE = "made"
    REFUSED = "refused"


class NewProposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to try: so many days back, each as if it had had an event at that hour of the day, for so long; without
    these, at the hours at which the program's events mostly are. Whole quarters of an hour."""

    days: Annotated[int, msgspec.Meta(ge=30, le=400)] = 120
    start_h: Annotated[float, msgspec.Meta(ge=0.25, lt=24)] | None = None
    hours: Annotated[float, msgspec.Meta(gt=0, le=12)] | None = None

    def __post_init__(self) -> None:
        for name, value in (("start_h", self.start_h), ("hours", self.hours)):
            if value is not None and value * 4 % 1:
                raise Refused(f"{name}: whole quarters of an hour were expected, such as 16.5, not {value}")
        if (self.start_h or 0) + (self.hours or 0) > 24:
            raise Refused("start_h and hours together go beyond midnight: try events that end with their day")


class Alarm(msgspec.Struct, frozen=True):
    """Why somebody should ask a VEN; a reason to ask, never a proof. `z`: how many of its usual surprises it was."""

    ven_id: str
    trick: Trick
    z: float
    event_ids: list[str]
    says: str


class Tried(msgspec.Struct, frozen=True):
    """A rule's `Score` on days of one kind, as JSON can say it: null where there is no such figure."""

    rule: str
    kind: str
    days: int
    refused: float
    home_rrmse: float
    fleet_rrmse: float
    bias: float
    cv_rmse: float
    nmbe: float
    coverage: float | None
    width: float | None
    called_rrmse: float | None
    called_bias: float | None


def tried(score: Score) -> Tried:
    told = msgspec.structs.asdict(score)
    known = {name: _told(value) if isinstance(value, float) else value for name, value in told.items()}
    return msgspec.convert(known, Tried)


def _told(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)


class Evidence(msgspec.Struct, frozen=True):
    """What was found in the readings of those days, as known at `known_at`.

    `rule` is the one proposed (none, where none is fair), `now` the one in force; `coverage` is how often the 90 %
    intervals of the proposed one held. `vens` of `of_vens` were tried: a sample, where they are many.
    """

    known_at: datetime
    from_day: date
    until_day: date
    start_h: float
    hours: float
    vens: int
    of_vens: int
    now: str
    rule: str
    says: str
    coverage: float | None
    scores: list[Tried]
    alarms: list[Alarm]


class Proposal(msgspec.Struct, frozen=True):
    """Asked for, then made or refused; `done` is how much of the work is, from 0 to 1."""

    proposal_id: str
    program_id: str
    asked_at: datetime
    state: State
    done: float
    asked: NewProposal
    evidence: Evidence | None = None
    refused: str = ""


def chosen(scores: Sequence[Score], now: str) -> tuple[str, str, float | None]:
    """The rule to propose, why in words, and how often its intervals hold. Business days decide; where there are none,
    the others."""
    kind = "business" if any(one.kind == "business" for one in scores) else "other"
    best = winner((one for one in scores if one.rule in RULES), kind)
    if best is None:
        return "", "no rule is nearly without bias: none is proposed", None
    mine = next((one for one in scores if one.rule == now and one.kind == kind), None)
    said = f"{best.rule} {_errs(best)}"
    if best.rule == now:
        said = f"{said}: it is in force, and none is better"
    elif mine is not None:
        said = f"{said}; {now}, which is in force, {_errs(mine)}"
    share = covered(scores, best.rule)
    return best.rule, f"{said} ({best.days:,} {kind} meter-days)", _told(share)


def _errs(score: Score) -> str:
    if isnan(score.called_rrmse):
        return f"errs by {score.fleet_rrmse:.1%} of the sum of all, with a bias of {score.bias:+.1%}"
    return (
        f"errs by {score.called_rrmse:.1%} of the sum of those that draw most and are called, with a bias of "
        f"{score.called_bias:+.1%} ({score.bias:+.1%} over all)"
    )


def alarm(found: Finding, ven_id: str, events: Sequence[tuple[str, datetime]]) -> Alarm:
    """A finding in words; `events` are ids and starts, in the order that the finding counts them in."""
    named = [events[n] for n in found.events]
    drew = f"{found.drawn_kw:.2f} kW where {found.expected_kw:.2f} kW was to be expected"
    if found.trick is Trick.LIFTED:
        newest = ", ".join(f"{event_id} ({iso(at)})" for event_id, at in named[:3])
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        says = f"before {len(named)} events it drew {drew} from its days that were alike: {newest}{more}"
    else:
        says = f"since the first event it drew {drew} in the events' hours on days without one, and not beside them"
    return Alarm(ven_id, found.trick, round(found.z, 2), [event_id for event_id, _ in named], says)
