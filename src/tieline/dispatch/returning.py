"""The return after an event: one VEN after the other, where all at once would make a new peak. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from tieline.dispatch.metered import Giving, Metered
from tieline.dispatch.model import HELD, Event, LedgerRow, Policy, RowState
from tieline.dispatch.planning import staggered

STEP_S = 60.0
REBOUND_S = 1800.0
"""A load that comes back makes up within so long for what it did without, or draws all it can for so long."""
ALLOWED = 0.05
"""Of what the sheddable loads usually draw, so much more may those that are back draw together."""


def returns(
    event: Event, ledger: Sequence[LedgerRow], metered: Metered, policy: Policy, longest_s: float
) -> dict[str, datetime]:
    """When each VEN comes back, of those that do so later than the event ends: first who was down the longest."""
    rows = [row for row in ledger if row.state in (RowState.SENT, *HELD)]
    giving = Giving(rows, metered, policy)
    usual = np.maximum(giving.would_kw(event.end_at), 0.0)
    down_s = np.array([(event.end_at - row.planned_at).total_seconds() for row in rows])
    rebound = np.minimum(usual * (1 + np.maximum(down_s, 0.0) / REBOUND_S), np.maximum(giving.back_kw, usual))
    since: dict[str, datetime] = {}
    kw, rebound_kw = defaultdict[str, float](float), defaultdict[str, float](float)
    for row, would, more in zip(rows, usual.tolist(), rebound.tolist(), strict=True):
        since[row.ven_id] = min(row.planned_at, since.get(row.ven_id, row.planned_at))
        kw[row.ven_id] += would
        rebound_kw[row.ven_id] += more
    order = sorted(since, key=lambda ven_id: (since[ven_id], ven_id))
    length_s = (event.end_at - event.start_at).total_seconds()
    offsets_s = staggered(
        np.array([kw[ven_id] for ven_id in order]),
        np.array([rebound_kw[ven_id] for ven_id in order]),
        rebound_s=min(REBOUND_S, length_s),
        cap_kw=float(usual.sum()) + ALLOWED * (float(usual.sum()) + float(metered.loads.power_kw.sum())),
        step_s=min(STEP_S, max(longest_s, 1.0)),
        longest_s=min(longest_s, length_s),
    )
    put_off = zip(order, offsets_s.tolist(), strict=True)
    return {ven_id: event.end_at + timedelta(seconds=late) for ven_id, late in put_off if late > 0}
