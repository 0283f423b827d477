"""Why each load was called, or not: in columns, and in words for the operator and the customer."""

import msgspec
import numpy as np

from tieline.dispatch.planning.arrays import Codes
from tieline.dispatch.planning.choice import Plan
from tieline.dispatch.planning.columns import Candidates
from tieline.dispatch.planning.reasons import ELIGIBLE, REASONS, Reason

SENTENCES = {
    Reason.NOT_GRANTED: "Not called: this event is not for it.",
    Reason.NOT_SHEDDABLE: "Not called: it is not registered as a load that may be shed.",
    Reason.OPTED_OUT: "Not called: it opted out of this event.",
    Reason.NO_ANSWER: "Not called again: it gave no answer earlier in this event.",
    Reason.CALLED: "Called earlier in this event.",
    Reason.HELD_ELSEWHERE: "Not called: another event holds it.",
    Reason.STALE: "Not called: nothing was heard of it lately.",
    Reason.CALL_LIMIT_DAY: "Not called: it was called as often today as its program allows.",
    Reason.CALL_LIMIT_MONTH: "Not called: this month it would be called for longer than its program allows.",
    Reason.REST: "Not called: its program grants it a longer rest between calls.",
    Reason.MIN_ON: "Not called: it was given back only just now, and must run for a while first.",
    Reason.COMFORT: "Not called: it could not stay down for long enough.",
    Reason.TOO_LITTLE: "Not called: what it could give now is not worth a command.",
}


class Explained(msgspec.Struct, frozen=True):
    """Of one load. `rank` is its place among those that could be called, the cheapest per kW first, from 1, equal ones
    sharing it; 0: it could not be. `threshold_cost_per_kw` is where the target was reached."""

    ven_id: str
    resource_id: str
    chosen: bool
    reason: Reason
    rank: int
    kw: float
    cost_per_kw: float
    threshold_cost_per_kw: float


def explained(plan: Plan, candidates: Candidates, reasons: Codes) -> list[Explained]:
    """Of every candidate, in their order; `reasons` are positions in `REASONS`."""
    able = np.asarray(reasons == ELIGIBLE)
    useful_kw = np.minimum(candidates.kw, plan.target_kw)
    per_kw = np.divide(candidates.cost, useful_kw, out=np.zeros(len(able)), where=able & (useful_kw > 0))
    rank = np.where(able, np.searchsorted(np.sort(per_kw[able]), per_kw) + 1, 0)
    chosen = np.isin(np.arange(len(able)), plan.chosen)
    columns = (chosen, reasons, rank, candidates.kw, per_kw)
    return [
        Explained(ven_id, resource_id, called, REASONS[code], place, kw, cost, plan.threshold)
        for ven_id, resource_id, called, code, place, kw, cost in zip(
            candidates.ven_ids, candidates.resource_ids, *(column.tolist() for column in columns), strict=True
        )
    ]


def sentence(one: Explained) -> str:
    """The same in plain English."""
    if one.reason is not Reason.ELIGIBLE:
        return SENTENCES[one.reason]
    price = f"{one.kw:.2f} kW at {one.cost_per_kw:.2f} a kW, place {one.rank}"
    reached = f"the target was reached at {one.threshold_cost_per_kw:.2f}"
    match one.chosen, one.cost_per_kw > one.threshold_cost_per_kw:
        case True, False:
            return f"Called: {price}; {reached}."
        case True, True:
            return f"Called: {price}; {reached}, and with this one the plan fits best."
        case False, True:
            return f"Not called: {price}; {reached} by cheaper ones."
        case _:
            return f"Not called: {price}; {reached} without it."
