"""AEMO's National Electricity Market: which tables of its C/I/D files become which series.

SETTLEMENTDATE is market time (UTC+10, no daylight saving) and marks the end of a five-minute dispatch interval.

In an intervention AEMO solves each interval twice: the pricing run (INTERVENTION=0) as if nobody had intervened, and
the physical run (INTERVENTION=1) as it was dispatched; without one, both are INTERVENTION=0 (AEMO's MMS Data Model,
description of INTERVENTION; that prices are set by the first: National Electricity Rules, clause 3.9.3). Prices are
read from the pricing run, megawatts from the physical run where there is one; rows of the other are left out, counted.
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tieline.base.dataset import Dataset, Measure
from tieline.base.series import Stamp
from tieline.wires.sources import cid
from tieline.wires.sources.cells import Array, local_instants, nameable, numbers, pc, utc_instants
from tieline.wires.sources.parsed import Columns, Draft

AT, INTERVENTION = "SETTLEMENTDATE", "INTERVENTION"


def _dispatch(name: str, description: str, *measures: Measure) -> Dataset:
    return Dataset(
        name=name,
        description=description,
        publisher="AEMO, Australian Energy Market Operator",
        licence="AEMO's general permission: any purpose, with attribution",
        source="nem",
        zone="Australia/Brisbane",
        stamp=Stamp.END,
        step_s=300,
        measures=measures,
    )


NEM_PRICE = _dispatch(
    "nem.price",
    "Dispatch price of each region",
    Measure("RRP", "price_aud_per_mwh", "AUD/MWh", "Regional reference price of the dispatch interval"),
)
NEM_REGION = _dispatch(
    "nem.region",
    "Demand, availability and interchange of each region",
    Measure("TOTALDEMAND", "demand_mw", "MW", "Demand met by scheduled and semi-scheduled generation and imports"),
    Measure("AVAILABLEGENERATION", "available_generation_mw", "MW", "Generation offered and available"),
    Measure("NETINTERCHANGE", "net_interchange_mw", "MW", "Flow out of the region over all interconnectors"),
)
NEM_SCADA = _dispatch(
    "nem.scada",
    "Output of each dispatchable unit",
    # AEMO reads it once, at the start of the interval that SETTLEMENTDATE ends.
    Measure("SCADAVALUE", "scada_mw", "MW", "Metered output at the start of the dispatch interval"),
)


class Run(enum.Enum):
    PRICING = "pricing"
    PHYSICAL = "physical"


class _Use(NamedTuple):
    dataset: Dataset
    thing: str
    run: Run


USES = {
    "DISPATCH.PRICE": [_Use(NEM_PRICE, "REGIONID", Run.PRICING)],
    "DISPATCH.REGIONSUM": [_Use(NEM_REGION, "REGIONID", Run.PHYSICAL)],
    "DISPATCH.UNIT_SCADA": [_Use(NEM_SCADA, "DUID", Run.PHYSICAL)],
    "DREGION": [_Use(NEM_PRICE, "REGIONID", Run.PRICING), _Use(NEM_REGION, "REGIONID", Run.PHYSICAL)],
}

recognises = cid.recognises


def read(data: bytes, draft: Draft) -> None:
    for table in cid.tables(data, _chosen, draft):
        for use in USES[table.name]:
            _take(table, use, draft)


def _chosen(name: str, columns: Sequence[str]) -> list[str]:
    """The columns of a table that any use of it wants, when it has what tells its rows apart."""
    uses = USES.get(name, [])
    wanted = [AT, INTERVENTION, *[use.thing for use in uses]]
    wanted += [measure.column for use in uses for measure in use.dataset.measures]
    complete = uses and {AT, uses[0].thing} <= set(columns)
    return [column for column in dict.fromkeys(wanted) if column in columns] if complete else []


def _take(table: cid.Table, use: _Use, draft: Draft) -> None:
    thing, stamp = table.columns[use.thing], table.columns[AT]
    at, _ = utc_instants(local_instants(stamp), use.dataset.zone)
    of_run = _of_run(table, thing, stamp, use.run)
    left_out = f"rows of {table.name} not of the {use.run.value} run, from which {use.dataset.name} is read"
    draft.find("other run", _count(pc.invert(of_run)), left_out)
    placed = draft.sieve(
        table.line,
        (pc.invert(nameable(thing)), f"{use.thing} is empty or too long"),
        (pc.is_null(at), f"{AT} is not a time such as 2025/08/20 18:10:00"),
    )
    for measure in use.dataset.measures:
        if measure.column not in table.columns:
            draft.find("no column", 1, f"table {table.name} has no {measure.column}")
            continue
        columns = Columns(thing, at, table.columns[measure.column], table.line)
        _take_measure(table.name, use.dataset, measure, columns, pc.and_(placed, of_run), draft)


def _take_measure(name: str, dataset: Dataset, measure: Measure, columns: Columns, chosen: Array, draft: Draft) -> None:
    thing, at, value, line = (one.filter(chosen) for one in columns[:4])
    number = numbers(value)
    draft.find("missing", value.null_count, f"rows of {name} without {measure.column}")
    draft.sieve(line, (pc.and_(pc.is_null(number), pc.is_valid(value)), f"{measure.column} is not a number"))
    good = pc.is_valid(number)
    draft.add(dataset, measure, Columns(*(one.filter(good) for one in (thing, at, number, line))))


def _of_run(table: cid.Table, thing: Array, stamp: Array, run: Run) -> Array:
    """True for the rows of the run: where an interval has no row of a physical run, its pricing run is both."""
    flag = table.columns.get(INTERVENTION)
    if flag is None:
        return pa.array(np.ones(len(thing), bool))
    intervened = pc.fill_null(pc.not_equal(flag, "0"), False)
    if run is Run.PRICING:
        return pc.invert(intervened)
    reading = pc.binary_join_element_wise(thing, stamp, " ")
    return pc.or_(intervened, pc.invert(pc.is_in(reading, reading.filter(intervened))))


def _count(mask: Array) -> int:
    return int(mask.true_count)
