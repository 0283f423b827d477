"""Which loads may be called, why the others may not, and what each could give."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import numpy as np

from tieline.dispatch.planning.arrays import Codes, Floats, Mask
from tieline.dispatch.planning.columns import LEAST_KW
from tieline.dispatch.planning.kinds import BEARS, Bears
from tieline.dispatch.planning.reasons import ELIGIBLE, REASONS, Reason
from tieline.registry.model import Kind

LIMITS = (Reason.CALL_LIMIT_DAY, Reason.CALL_LIMIT_MONTH, Reason.REST)
Id = TypeVar("Id", str, tuple[str, str])


@dataclass(frozen=True)
class Loads:
    """What is known of loads now, as columns of equal length. `sheddable_kw` is what each could give of the `power_kw`
    it draws, as metered; `hold_s` for how long, by its own word (infinity: as long as asked). `heard_s` is the instant
    of its last snapshot, `restored_s` when it was last given back, `ceiling_kw` the most it can give: its rated power.
    Instants are seconds since 1970, minus infinity for never."""

    ven_ids: Sequence[str]
    resource_ids: Sequence[str]
    kinds: Sequence[Kind]
    sheddable: Mask
    power_kw: Floats
    sheddable_kw: Floats
    heard_s: Floats
    hold_s: Floats
    restored_s: Floats
    ceiling_kw: Floats

    def __len__(self) -> int:
        return len(self.ven_ids)


@dataclass(frozen=True)
class Circumstances:
    """What speaks against calling loads for one event. A load is (VEN, resource). `granted` are the VENs that may be
    called (None: all), `opted_out` and `held` the loads that opted out of it and that another event holds, `silent` the
    VENs that gave no answer earlier in it, `called` the loads it called already, `limits` what `limited` found. Loads
    not heard of for `stale_s` are left out, and those that could not stay down for `least_hold_s`."""

    now: datetime
    stale_s: float
    least_hold_s: float = 0.0
    granted: Collection[str] | None = None
    opted_out: Collection[tuple[str, str]] = ()
    silent: Collection[str] = ()
    called: Collection[tuple[str, str]] = ()
    held: Collection[tuple[str, str]] = ()
    limits: Mapping[str, Reason] = field(default_factory=dict)
    bears: Mapping[Kind, Bears] = field(default_factory=lambda: BEARS)


def could_give_kw(loads: Loads, bears: Mapping[Kind, Bears] = BEARS) -> Floats:
    """What each could give now: what it says, but never more than takes it down to its floor, nor than its ceiling. One
    that says what is no number gives nothing."""
    floor_kw = _per_kind(loads.kinds, {kind: one.floor_kw for kind, one in bears.items()})
    kw = np.minimum(loads.sheddable_kw, np.minimum(loads.power_kw - floor_kw, loads.ceiling_kw))
    return np.where(np.isfinite(kw), np.maximum(kw, 0.0), 0.0)


def judged(loads: Loads, known: Circumstances) -> Codes:
    """For each load the position in `REASONS` of the first that applies, in their order; `ELIGIBLE`: none does."""
    now_s, vens = known.now.timestamp(), loads.ven_ids
    ids = list(zip(vens, loads.resource_ids, strict=True))
    min_on_s = _per_kind(loads.kinds, {kind: one.min_on_s for kind, one in known.bears.items()})
    against = {
        Reason.NOT_GRANTED: ~_among(vens, vens if known.granted is None else known.granted),
        Reason.NOT_SHEDDABLE: ~loads.sheddable,
        Reason.OPTED_OUT: _among(ids, known.opted_out),
        Reason.NO_ANSWER: _among(vens, known.silent),
        Reason.CALLED: _among(ids, known.called),
        Reason.HELD_ELSEWHERE: _among(ids, known.held),
        Reason.STALE: now_s - loads.heard_s > known.stale_s,
        **{limit: _among(vens, [ven for ven, why in known.limits.items() if why is limit]) for limit in LIMITS},
        Reason.MIN_ON: now_s - loads.restored_s < min_on_s,
        Reason.COMFORT: loads.hold_s < known.least_hold_s,
        Reason.TOO_LITTLE: could_give_kw(loads, known.bears) < LEAST_KW,
    }
    codes = [np.int8(REASONS.index(reason)) for reason in against]
    return np.select(list(against.values()), codes, np.int8(ELIGIBLE))


def may_return(kinds: Sequence[Kind], held_since_s: Floats, now: datetime, bears: Mapping[Kind, Bears] = BEARS) -> Mask:
    """Which held loads were down for as long as their kind must be; `held_since_s` in seconds since 1970."""
    min_off_s = _per_kind(kinds, {kind: one.min_off_s for kind, one in bears.items()})
    return np.asarray(now.timestamp() - held_since_s >= min_off_s)


def _per_kind(kinds: Sequence[Kind], values: Mapping[Kind, float]) -> Floats:
    return _floats(map(values.__getitem__, kinds))


def _among(ids: Sequence[Id], some: Collection[Id]) -> Mask:
    wanted = frozenset(some)
    return np.fromiter(map(wanted.__contains__, ids), np.bool_, len(ids))


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, np.float64)
