"""The loads as metered at one instant, and what an event's rows give up of them. Pure.

a row                        counts for
planned, sent, acked         what it would draw, as promised: until it should have answered, and shown it
acting, metered              what it would draw less what it draws; nothing once it is no longer heard of
given back in the event      the same: what it draws beyond what it would have is lost
declined, never answered     nothing
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.dispatch.counterfactual import Called, Counterfactual, Running
from tieline.dispatch.habits import Floats, Ints
from tieline.dispatch.model import HELD, UNDECIDED, LedgerRow, Policy, RowState
from tieline.dispatch.planning import Loads

Load = tuple[str, str]
"""(VEN, resource)."""
NOTHING_KW = 0.1
SHARE_LEFT = 0.1
"""A load that draws less than this, or than this of what it drew, is down."""
RETURNED = (RowState.RESTORING, RowState.RESTORED)


class HeldSpan(NamedTuple):
    """A load that some event held; until None: it still does."""

    load: Load
    start: datetime
    until: datetime | None


@dataclass(frozen=True)
class Metered:
    """The sheddable loads at an instant, as columns of equal length; `shed`: it says that it is held down, `running`:
    what it draws and for how long it has."""

    at: datetime
    loads: Loads
    shed: NDArray[np.bool_]
    running: Running
    counterfactual: Counterfactual

    @cached_property
    def index(self) -> Mapping[Load, int]:
        keys = zip(self.loads.ven_ids, self.loads.resource_ids, strict=True)
        return {key: at for at, key in enumerate(keys)}


class Given(NamedTuple):
    """What a row is seen to give up now, in kW; `shown`: its readings show that it is held."""

    row: LedgerRow
    kw: float
    shown: bool


@dataclass(frozen=True)
class Giving:
    """An event's rows beside their readings. `known` are the rows whose loads are still heard of."""

    ledger: Sequence[LedgerRow]
    metered: Metered
    policy: Policy

    @cached_property
    def _at(self) -> Ints:
        index = self.metered.index
        return np.array([index.get((row.ven_id, row.resource_id), -1) for row in self.ledger], dtype=np.int64)

    @cached_property
    def _heard_s(self) -> Floats:
        return self._column(self.metered.loads.heard_s, -np.inf)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        return np.asarray(self._heard_s >= self.metered.at.timestamp() - self.policy.online_s)

    @cached_property
    def _draws_kw(self) -> Floats:
        return self._column(self.metered.loads.power_kw, 0.0)

    def _column(self, values: Floats, absent: float) -> Floats:
        return np.where(self._at >= 0, values[self._at], absent) if len(values) else np.full(len(self.ledger), absent)

    def would_kw(self, at: datetime) -> Floats:
        """What each would draw at an instant had it not been called."""
        return np.asarray(self.metered.counterfactual.would_kw(self._called, at))

    @cached_property
    def _called(self) -> Called:
        """A row that was entered before its reference was counts from when it was planned."""
        until = self.metered.counterfactual.until
        ago = [(until - (row.reference_at or row.planned_at)).total_seconds() / 60 for row in self.ledger]
        runs = [row.run_min for row in self.ledger]
        return Called(self._at, self._references, np.array(runs, dtype=np.int64), np.array(ago, dtype=np.float64))

    def counts_kw(self, at: datetime) -> Floats:
        """What each row is counted for at an instant not long from now."""
        leaves = self._opted_out_by(at)
        promised, back = self._promised & ~leaves, self._coming_back | leaves
        draws = np.where(promised, self._limits, np.where(back, self.back_kw, self._draws_kw))
        counted = promised | (self.known & self._acts)
        return np.where(counted, self.would_kw(at) - draws, 0.0)

    def given(self) -> list[Given]:
        """What each gives now, as metered: promises are nothing yet."""
        gives, shown = self._gives(self.metered.at), self._shown
        return [
            Given(row, float(gives[i]), bool(shown[i]))
            for i, row in enumerate(self.ledger)
            if row.acting_at is not None
        ]

    def _gives(self, at: datetime) -> Floats:
        return np.where(self.known & self._acts, self.would_kw(at) - self._draws_kw, 0.0)

    @cached_property
    def _references(self) -> Floats:
        return np.array([row.reference_kw for row in self.ledger])

    @cached_property
    def back_kw(self) -> Floats:
        """What each draws once it is given back: what was held back is wanted again, as fast as it can be had."""
        rated = self._column(self.metered.loads.ceiling_kw, np.inf)
        return np.maximum(self._references, np.where(np.isfinite(rated), rated, 0.0))

    @cached_property
    def _coming_back(self) -> NDArray[np.bool_]:
        """Given back, and not heard of since: it will draw what it can."""
        back = [(row.restored_at or row.restoring_at) if row.state in RETURNED else None for row in self.ledger]
        return self._heard_s <= np.array([-np.inf if at is None else at.timestamp() for at in back])

    def _opted_out_by(self, at: datetime) -> NDArray[np.bool_]:
        """Held until an instant that has come by then."""
        return np.array(
            [row.opted_out_from_at is not None and row.opted_out_from_at <= at for row in self.ledger], dtype=np.bool_
        )

    @cached_property
    def _limits(self) -> Floats:
        return np.array([row.limit_kw for row in self.ledger])

    @cached_property
    def _acts(self) -> NDArray[np.bool_]:
        """Down, with or without having said so, or given back while the event was on."""
        early = (RowState.SENT, RowState.ACKED)
        quiet = np.array([row.state in early for row in self.ledger], dtype=np.bool_) & self._shown
        acted = [row.acting_at is not None and row.state in (*HELD, *RETURNED) for row in self.ledger]
        return np.array(acted, dtype=np.bool_) | quiet

    @cached_property
    def _promised(self) -> NDArray[np.bool_]:
        now = self.metered.at
        patient, showing = timedelta(seconds=self.policy.resend_s), timedelta(seconds=self.policy.meter_s)

        def one(row: LedgerRow) -> bool:
            if row.state in UNDECIDED:
                return row.sent_at is None or now - row.sent_at <= patient
            if row.state is RowState.ACKED:
                return True
            return row.state is RowState.ACTING and row.acting_at is not None and now - row.acting_at <= showing

        return np.array([one(row) for row in self.ledger], dtype=np.bool_) & ~self._shown

    @cached_property
    def _shown(self) -> NDArray[np.bool_]:
        """Heard of since it was to be down, and down."""
        since = [(row.acting_at or row.sent_at or self.metered.at).timestamp() for row in self.ledger]
        draws, limits = self._draws_kw, self._limits
        low = draws <= limits + np.maximum(NOTHING_KW, SHARE_LEFT * self._references)
        held = np.array([row.state in (RowState.SENT, *HELD) for row in self.ledger], dtype=np.bool_)
        shed = np.where(self._at >= 0, self.metered.shed[self._at], False) if len(self.metered.shed) else held & False
        return held & (low | shed) & (self._heard_s > np.array(since))
