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

import io
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tieline.base.dataset import Dataset, Measure
from tieline.base.errors import Refused
from tieline.base.series import Flag, Stamp
from tieline.wires.sources.cells import Array, local_instants, nameable, numbers, pc, text, utc_instants, utf8
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
    thing, stamp, value, line = _columns(utf8(data), draft)
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
    at, flags = _placed(thing, first, second)
    good = pc.and_(good, pc.is_valid(load))
    draft.add(ONS_LOAD, LOAD, Columns(*(one.filter(good) for one in (thing, at, load, line, flags))))


def _columns(data: bytes, draft: Draft) -> list[Array]:
    """The wanted columns as text, null where empty, and their lines. Rows of another width are quarantined."""
    bad: list[int] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
        bad.append(row.number or 0)
        draft.quarantine(bad[-1], f"{row.actual_columns} columns where the header has {row.expected_columns}")
        return "skip"

    header = _header(data, draft.file)
    # One line is one row, whatever its quotes: an open one must not swallow the rows after it.
    table = pyarrow.csv.read_csv(
        io.BytesIO(data + b"\n"),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=len(data) + 2, column_names=header, skip_rows=1),
        pyarrow.csv.ParseOptions(
            delimiter=";", quote_char=False, ignore_empty_lines=False, invalid_row_handler=set_aside
        ),
        pyarrow.csv.ConvertOptions(include_columns=list(WANTED), column_types=dict.fromkeys(WANTED, pa.string())),
    )
    lines = np.delete(np.arange(2, table.num_rows + len(bad) + 2), np.array(bad, int) - 2)
    columns = [text(table[name].combine_chunks()) for name in WANTED]
    blank = pc.and_(pc.is_null(columns[0]), pc.and_(pc.is_null(columns[1]), pc.is_null(columns[2])))
    return [one.filter(pc.invert(blank)) for one in (*columns, pa.array(lines))]


def _header(data: bytes, file: str) -> list[str]:
    first = data.partition(b"\n")[0].decode()
    names = [name.strip(' \t"').lower() for name in first.split(";")]
    if missing := [name for name in WANTED if names.count(name) != 1]:
        raise Refused(f"{file} needs one column {' and one '.join(missing)}: its header is {first[:200]!r}")
    return names


def _find_missing(draft: Draft, thing: Array, local: Array, first: Array, value: Array) -> None:
    """Rows without a value: hours that nobody measured, and the hour that no clock showed."""
    real = pc.is_valid(first)
    padding = pc.and_(pc.is_null(value), pc.and_(pc.is_valid(local), pc.invert(real)))
    draft.find("padding", padding.true_count, f"empty rows for an hour that did not exist in {ONS_LOAD.zone}")
    missing = pc.and_(pc.is_null(value), real)
    for one in pc.unique(thing.filter(missing)).drop_null().to_pylist():
        times = local.filter(pc.and_(missing, pc.equal(thing, one)))
        draft.find("missing", len(times), f"{one}: hours without a value, first {times[0]} {ONS_LOAD.zone}")


def _placed(thing: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """The instant of each row, and its flags."""
    flags, is_second = np.zeros(len(first), np.int16), np.zeros(len(first), bool)
    twice = pc.fill_null(pc.not_equal(first, second), False)
    seen: dict[tuple[object, object], int] = {}
    for row in np.flatnonzero(twice.to_numpy(zero_copy_only=False)).tolist():
        earlier = seen.setdefault((thing[row].as_py(), first[row].as_py()), row)
        flags[earlier] = Flag.AMBIGUOUS if earlier == row else Flag.GOOD
        is_second[row] = earlier != row
    return pc.if_else(pa.array(is_second), second, first), pa.array(flags)
