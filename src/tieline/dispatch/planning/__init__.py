"""Whom to call, in columns: who may be called, who is chosen, who is given back when, and why.

    `eligibility` = `kinds` + `limits`: who may be called, or the reason why not, and what each could give
    `fairness`  what a call costs        `choice` = `ranking` + `exact`: the cheapest loads that reach it
    `release`   what is given back when more is held than asked      `rebound`  the return, staggered under a cap
    `explanation`  why each was called or not

Pure: arrays in, arrays out, no I/O. The same candidates make the same plan in every process.
"""

from tieline.dispatch.planning.choice import Method, Plan, plan
from tieline.dispatch.planning.columns import LEAST_KW, Candidates, Headroom
from tieline.dispatch.planning.eligibility import Circumstances, Loads, could_give_kw, judged, may_return
from tieline.dispatch.planning.explanation import Explained, explained, sentence
from tieline.dispatch.planning.fairness import costs, unfairness
from tieline.dispatch.planning.kinds import BEARS, Bears
from tieline.dispatch.planning.limits import CallLimits, limited
from tieline.dispatch.planning.reasons import ELIGIBLE, REASONS, Reason
from tieline.dispatch.planning.rebound import staggered
from tieline.dispatch.planning.release import release

__all__ = [
    "BEARS",
    "ELIGIBLE",
    "LEAST_KW",
    "REASONS",
    "Bears",
    "CallLimits",
    "Candidates",
    "Circumstances",
    "Explained",
    "Headroom",
    "Loads",
    "Method",
    "Plan",
    "Reason",
    "costs",
    "could_give_kw",
    "explained",
    "judged",
    "limited",
    "may_return",
    "plan",
    "release",
    "sentence",
    "staggered",
    "unfairness",
]
