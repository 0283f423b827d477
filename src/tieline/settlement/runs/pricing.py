"""The price of each interval of an event: fixed by the terms, or what a market's series said as of an instant."""

from datetime import datetime
from decimal import Decimal

import numpy as np

from tieline.base.errors import Refused
from tieline.base.time import from_micros, iso
from tieline.ports import Rows, Series
from tieline.registry import reads as registry
from tieline.settlement import metering
from tieline.settlement.runs.energy import Prices
from tieline.settlement.terms.model import Energy, Fixed, Market
from tieline.telemetry.integration import Floats, Ints

PER_MWH_PLACES = 6
"""A market's price is its mean over an interval, weighted by time, to the millionth of the currency per MWh."""
MWH_TO_KWH = -3


async def prices(energy: Energy, edges_us: Ints, known_at: datetime, rows: Rows, series: Series) -> Prices:
    """One a fixed price, else one an interval. Raises `Refused` where a market says nothing and the terms neither."""
    if isinstance(energy, Fixed):
        return Prices([energy.price_per_kwh], f"{energy.price_per_kwh} per kWh")
    declared = await rows.read(lambda reader: registry.the_series(reader, energy.series_id))
    per_mwh = (await metering.integrated(series, declared, edges_us, known_at)).mean_kw
    found = [_price(energy, value, at) for value, at in zip(per_mwh.tolist(), edges_us.tolist(), strict=False)]
    return Prices(found, _why(energy, per_mwh))


def _price(market: Market, per_mwh: float, at_us: int) -> Decimal:
    if not np.isfinite(per_mwh):
        if market.otherwise_per_kwh is None:
            raise Refused(
                f"{market.series_id} says nothing of {iso(from_micros(at_us))}: load what is missing, or put terms "
                "with an otherwise_per_kwh"
            )
        return market.otherwise_per_kwh
    price = Decimal(f"{per_mwh:.{PER_MWH_PLACES}f}")
    if market.least_per_mwh is not None:
        price = max(price, market.least_per_mwh)
    if market.most_per_mwh is not None:
        price = min(price, market.most_per_mwh)
    return (price * market.share).scaleb(MWH_TO_KWH)


def _why(market: Market, per_mwh: Floats) -> str:
    known = per_mwh[np.isfinite(per_mwh)]
    missing = len(per_mwh) - len(known)
    said = f"{market.share:%} of {market.series_id} in {len(known)} intervals"
    if len(known):
        said += f", {known.min():.2f} to {known.max():.2f} per MWh"
    bounds = [
        f"at {word} {bound}"
        for word, bound in (("least", market.least_per_mwh), ("most", market.most_per_mwh))
        if bound is not None
    ]
    otherwise = [f"{market.otherwise_per_kwh} per kWh in {missing} without"] if missing else []
    return ", ".join([said, *bounds, *otherwise])
