"""What an event avoided by any series per MWh: cost at a market's price, emissions at a marginal intensity."""

from datetime import datetime

import msgspec
import numpy as np

from tieline.base.errors import Refused
from tieline.base.series import Declaration
from tieline.base.time import from_micros
from tieline.ports import Blobs, Reader, Rows, Series
from tieline.registry import reads as registry
from tieline.settlement import metering, reads
from tieline.settlement.intervals import MILLIWATT_HOURS, Intervals, Ints
from tieline.settlement.model import Statement
from tieline.settlement.proof import intervals_of
from tieline.telemetry.integration import Floats

PER_MWH = "/MWh"


class AvoidedInterval(msgspec.Struct, frozen=True):
    """`per_mwh` is None where the series says nothing: that energy counts for nothing."""

    from_at: datetime
    delivered_kwh: float
    per_mwh: float | None
    amount: float


class Avoided(msgspec.Struct, frozen=True):
    """What the settled participants of an event delivered, times a series; `amount` in `unit`. Of `delivered_kwh` the
    series says nothing for `unknown_kwh`. An estimate: money that is owed is that of a settlement run."""

    statement_id: str
    series_id: str
    unit: str
    delivered_kwh: float
    unknown_kwh: float
    amount: float
    intervals: list[AvoidedInterval]


async def avoided(rows: Rows, series: Series, blobs: Blobs, statement_id: str, series_id: str) -> Avoided:
    """As known when the statement was made. Raises `NotFound`, `Refused` for a series that is not per MWh."""

    def work(reader: Reader) -> tuple[Statement, Declaration]:
        return reads.the_statement(reader, statement_id), registry.the_series(reader, series_id)

    statement, declared = await rows.read(work)
    if not declared.unit.endswith(PER_MWH):
        raise Refused(f"{series_id} is in {declared.unit}: one per MWh was expected, such as AUD/MWh or kg/MWh")
    kept = await intervals_of(statement, blobs)
    per_mwh = (await metering.integrated(series, declared, kept.edges_us, statement.known_at)).mean_kw
    kwh = _delivered(statement, kept) / MILLIWATT_HOURS
    unit = declared.unit.removesuffix(PER_MWH)
    return _avoided(statement_id, series_id, unit, kept.edges_us, kwh, per_mwh)


def _delivered(statement: Statement, kept: Intervals) -> Ints:
    """By interval, of those that are settled, in mWh."""
    settled = [kept.place[line.ven_id] for line in statement.lines if line.settled]
    total: Ints = kept.delivered_mwh[settled].sum(axis=0)
    return total


def _avoided(statement_id: str, series_id: str, unit: str, edges_us: Ints, kwh: Floats, per_mwh: Floats) -> Avoided:
    unknown = np.isnan(per_mwh)
    amount = np.where(unknown, 0.0, kwh * per_mwh / 1000)
    values = [None if np.isnan(value) else round(value, 6) for value in per_mwh.tolist()]
    each = zip(edges_us.tolist(), kwh.tolist(), values, amount.round(6).tolist(), strict=False)
    intervals = [AvoidedInterval(from_micros(at), *cells) for at, *cells in each]
    delivered, lacking, whole = (round(float(one.sum()), 6) for one in (kwh, kwh[unknown], amount))
    return Avoided(statement_id, series_id, unit, delivered, lacking, whole, intervals)
