"""Loads as tests tell of them, one by one; dispatch has them as columns."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from tieline.dispatch.planning import Loads
from tieline.registry.model import Kind


class LoadNow(msgspec.Struct, frozen=True):
    """What is known of one load now; None: never, or (`hold_s`) for as long as asked."""

    ven_id: str
    resource_id: str
    kind: Kind
    sheddable: bool
    power_kw: float
    sheddable_kw: float
    heard_at: datetime | None
    hold_s: float | None = None
    restored_at: datetime | None = None
    ceiling_kw: float = float("inf")


def columns(rows: Sequence[LoadNow]) -> Loads:
    return Loads(
        ven_ids=[row.ven_id for row in rows],
        resource_ids=[row.resource_id for row in rows],
        kinds=[row.kind for row in rows],
        sheddable=np.array([row.sheddable for row in rows], np.bool_),
        power_kw=np.array([row.power_kw for row in rows], np.float64),
        sheddable_kw=np.array([row.sheddable_kw for row in rows], np.float64),
        heard_s=np.array([_seconds(row.heard_at) for row in rows], np.float64),
        hold_s=np.array([np.inf if row.hold_s is None else row.hold_s for row in rows], np.float64),
        restored_s=np.array([_seconds(row.restored_at) for row in rows], np.float64),
        ceiling_kw=np.array([row.ceiling_kw for row in rows], np.float64),
    )


def _seconds(at: datetime | None) -> float:
    return -np.inf if at is None else at.timestamp()
