"""ONS hourly load, CURVA_CARGA_*.csv: the mean load (MWmed) of each subsystem of Brazil's grid.

Stamps are the legal clock of Brasília and mark the start of the hour. The files know only days of 24 rows, also where
the clock was changed (until 2019). What the published files of 2014 and 2018 do there, for all four subsystems:

- Clock put forward (2014-10-19, 2018-11-04): 00:00 did not exist. Its row stands there, empty or with a padding 0E-8.
  The empty ones are a finding; one with a value is quarantined, since there is no instant to give it.
- Clock put back (2014-02-15, 2018-02-17): 23:00 happened twice, but has one row. The evening ramp of the neighbouring
  Saturdays shows that 2018 gives the first of the two hours and 2014 the second. No rule tells which, so a lone row is
  taken as the first and flagged AMBIGUOUS; where there are two rows they are the first and the second.
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

from tieline.base.dataset import Dataset, Measure
from tieline.base.series import Stamp
from tieline.wires.sources import delimited
from tieline.wires.sources.cells import Array, local_instants, nameable, numbers, pc, placed, utc_instants, utf8
from tieline.wires.sources.parsed import Columns, Draft

LOAD = Measure("val_cargaenergiahomwmed", "load_mw", "MW", "Mean load over the hour")
ONS_LOAD = Dataset(
    name="ons.load",
    description="Hourly load of the subsystems of the Brazilian interconnected system",
    publisher="ONS, Operador Nacional do Sistema Elétrico",
    licence="CC-BY",
    source="ons",
    zone="America/Sao_Paulo",
    stamp=Stamp.START,
    step_s=3600,
    measures=(LOAD,),
)
THING, AT = "id_subsistema", "din_instante"
WANTED = (THING, AT, LOAD.column)


def recognises(head: bytes) -> bool:
    return LOAD.column.encode() in head.partition(b"\n")[0].lower()


def read(data: bytes, draft: Draft) -> None:
    """Raises `Refused` when a column is missing."""
    read = utf8(data)
    names = [name.lower() for name in delimited.header(read, ";")]
    (thing, stamp, value), line = delimited.columns(read, names, WANTED, draft, delimiter=";", quoted=False)
    local, load = local_instants(stamp), numbers(value)
    first, second = utc_instants(local, ONS_LOAD.zone)
    good = draft.sieve(
        line,
        (pc.invert(nameable(thing)), f"{THING} is empty or too long"),
        (pc.is_null(local), f"{AT} is not a time such as 2018-11-04 01:00:00"),
        (pc.and_(pc.is_null(load), pc.is_valid(value)), f"{LOAD.column} is not a number"),
        (pc.and_(pc.is_null(first), pc.is_valid(load)), f"this hour did not exist in {ONS_LOAD.zone}"),
    )
    _find_missing(draft, thing, local, first, value)
    at, flags = placed(thing, first, second)
    good = pc.and_(good, pc.is_valid(load))
    draft.add(ONS_LOAD, LOAD, Columns(*(one.filter(good) for one in (thing, at, load, line, flags))))


def _find_missing(draft: Draft, thing: Array, local: Array, first: Array, value: Array) -> None:
    """Rows without a value: hours that nobody measured, and the hour that no clock showed."""
    real = pc.is_valid(first)
    padding = pc.and_(pc.is_null(value), pc.and_(pc.is_valid(local), pc.invert(real)))
    draft.find("padding", padding.true_count, f"empty rows for an hour that did not exist in {ONS_LOAD.zone}")
    missing = pc.and_(pc.is_null(value), real)
    for one in pc.unique(thing.filter(missing)).drop_null().to_pylist():
        times = local.filter(pc.and_(missing, pc.equal(thing, one)))
        draft.find("missing", len(times), f"{one}: hours without a value, first {times[0]} {ONS_LOAD.zone}")
