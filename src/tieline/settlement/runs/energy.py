"""What energy counts, and what it is worth: a statement's intervals netted and priced, many participants at once. Pure.

    netting    interval              event                    period                         all
    counted    each interval that    all intervals of an      all events, unless the         everything
               delivered             event, unless it         period delivered less
                                     delivered less than 0    than 0

Energies are whole milliwatt-hours, prices whole numbers of a power of ten per kWh, products Python's own integers:
nothing is rounded before the terms do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieline.settlement.intervals import MILLIWATT_HOURS, Intervals, Ints
from tieline.settlement.model import Statement, StatementLine
from tieline.settlement.terms.model import Netting

MWH_PLACES = 6
"""Of a milliwatt-hour in kilowatt-hours."""
Objects = NDArray[Any]


@dataclass(frozen=True)
class Prices:
    """Per kWh, of each interval of an event; one stands for all of them where the price is fixed."""

    per_kwh: Sequence[Decimal]
    why: str

    @property
    def places(self) -> int:
        """Decimals that every price has at most."""
        return max([0, *(-_exponent(price) for price in self.per_kwh)])

    @property
    def whole(self) -> list[int]:
        """The prices as whole numbers of 10 to the minus `places`."""
        return [int(price.scaleb(self.places)) for price in self.per_kwh]

    @property
    def fixed(self) -> Decimal | None:
        """The price, where it is one."""
        return self.per_kwh[0] if len(set(self.per_kwh)) == 1 else None


def _exponent(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


@dataclass(frozen=True)
class Event:
    """A statement with its prices, and its intervals where they are needed."""

    statement: Statement
    prices: Prices
    intervals: Intervals | None


@dataclass(frozen=True)
class Worth:
    """By VEN: the milliwatt-hours that count, and their value in 10 to the minus `places` of the currency; a VEN that
    was not settled has none."""

    event: Event
    places: int
    paid_mwh: dict[str, int]
    value: dict[str, int]


def worth(event: Event, netting: Netting) -> Worth:
    """What each participant of an event delivered is worth, before the whole period is looked at."""
    lines = [line for line in event.statement.lines if line.settled]
    places = event.prices.places + MWH_PLACES
    if event.intervals is None:
        price = event.prices.whole[0]
        paid = [_netted(mwh(line.delivered_kwh), netting) for line in lines]
        value = [one * price for one in paid]
    else:
        kept, worth_it = _by_interval(lines, event.intervals, event.prices.whole, netting)
        paid, value = kept.tolist(), worth_it.tolist()
    ids = [line.ven_id for line in lines]
    return Worth(event, places, dict(zip(ids, paid, strict=True)), dict(zip(ids, value, strict=True)))


def _by_interval(
    lines: Sequence[StatementLine], intervals: Intervals, prices: Sequence[int], netting: Netting
) -> tuple[Ints, Objects]:
    those = [intervals.place[line.ven_id] for line in lines]
    delivered = counted(intervals.delivered_mwh[those], netting)
    each = list(prices) * delivered.shape[1] if len(prices) == 1 else list(prices)
    value = delivered.astype(object) @ np.array(each, object) if each else np.zeros(len(those), object)
    return delivered.sum(axis=1), value


def counted(delivered_mwh: Ints, netting: Netting) -> Ints:
    """Of what was delivered [VENs, intervals], what counts."""
    if netting is Netting.INTERVAL:
        return np.maximum(delivered_mwh, 0)
    if netting is Netting.EVENT:
        return np.where(delivered_mwh.sum(axis=1, keepdims=True) < 0, 0, delivered_mwh)
    return delivered_mwh


def _netted(delivered_mwh: int, netting: Netting) -> int:
    return max(0, delivered_mwh) if netting in (Netting.INTERVAL, Netting.EVENT) else delivered_mwh


def over_the_period(worths: Sequence[Worth], netting: Netting) -> None:
    """Where a whole period counts together, and a participant delivered less than nothing in it, nothing does."""
    if netting is not Netting.PERIOD:
        return
    sums: dict[str, int] = {}
    for one in worths:
        for ven_id, paid in one.paid_mwh.items():
            sums[ven_id] = sums.get(ven_id, 0) + paid
    for one in worths:
        for ven_id in one.paid_mwh:
            if sums[ven_id] < 0:
                one.paid_mwh[ven_id] = one.value[ven_id] = 0


def needs_intervals(netting: Netting, *, market: bool) -> bool:
    """Whether an event is paid interval by interval."""
    return market or netting is Netting.INTERVAL


def mwh(kwh: float) -> int:
    """A statement's number, whole as it was made."""
    return round(kwh * MILLIWATT_HOURS)


def kwh(mwh: int) -> Decimal:
    """With all its six decimals."""
    return Decimal(mwh).scaleb(-MWH_PLACES)
