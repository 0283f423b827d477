"""Whom to call for a target: pure choice over what is metered now."""

from collections.abc import Iterable, Sequence

import msgspec

from tieline.base.units import Kilowatts


class Headroom(msgspec.Struct, frozen=True):
    """What one load could give up, as metered, in kW."""

    ven_id: str
    resource_id: str
    kw: Kilowatts


LEAST_KW = Kilowatts(0.05)
"""A smaller load is not worth a command."""


def plan(target_kw: Kilowatts, candidates: Iterable[Headroom]) -> list[Headroom]:
    """The fewest loads that together reach the target: the largest first, ties by id so that a replay agrees.

    The last one chosen is exchanged for the smallest that still reaches the target. When all together fall short,
    all are chosen: the operator sees planned below target.
    """
    ranked = sorted((c for c in candidates if c.kw >= LEAST_KW), key=lambda c: (-c.kw, c.ven_id, c.resource_id))
    chosen: list[Headroom] = []
    missing = target_kw
    for index, candidate in enumerate(ranked):
        if candidate.kw >= missing:
            return [*chosen, _smallest_reaching(missing, ranked[index:])]
        chosen.append(candidate)
        missing = Kilowatts(missing - candidate.kw)
    return chosen


def _smallest_reaching(missing_kw: Kilowatts, ranked: Sequence[Headroom]) -> Headroom:
    return [c for c in ranked if c.kw >= missing_kw][-1]
