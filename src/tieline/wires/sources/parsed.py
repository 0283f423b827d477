"""What every parser gives: the readings of a file, and an account of all it could not or should not take."""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tieline.base.dataset import Dataset, Measure
from tieline.base.series import INSTANT, Declaration
from tieline.base.time import from_micros, iso
from tieline.wires.sources.cells import Array, pc, printable

Numbers: TypeAlias = "npt.NDArray[Any]"

KEPT = 1000  # quarantined rows told one by one; beyond it only counted: the bytes themselves are in Blobs

_FIELDS: list[pa.Field[Any]] = [
    pa.field("series_id", pa.dictionary(pa.int32(), pa.string())),
    pa.field("at", INSTANT),
    pa.field("value", pa.float64()),
    pa.field("flags", pa.int16()),
    pa.field("line", pa.int64()),  # from 1
    pa.field("file", pa.int64()),  # which of the files in an archive, from 0
]
ROWS = pa.schema(_FIELDS)


class Columns(NamedTuple):
    """Readings side by side, as a parser hands them in; without flags all are GOOD."""

    thing: Array
    at: Array
    value: Array
    line: Array
    flags: Array = None


class Quarantined(msgspec.Struct, frozen=True):
    """A row that was not taken. Line 0 is the file as a whole."""

    file: str
    line: int
    reason: str


class Finding(msgspec.Struct, frozen=True):
    """What is worth knowing of a file without being wrong with a row: gaps, tables left out, a footer that differs."""

    kind: str
    count: int
    detail: str


class Parsed(msgspec.Struct, frozen=True):
    """What was in a file. `rows` has the shape ROWS, in order of (series, at), one row for each.

    `refused` counts all quarantined rows; `quarantined` tells the first of them.
    """

    datasets: tuple[str, ...]
    rows: pa.Table
    declarations: tuple[Declaration, ...]
    refused: int
    quarantined: tuple[Quarantined, ...]
    findings: tuple[Finding, ...]


class Draft:
    """A parse under way: collects rows and remarks of a file, or of all in an archive, then settles them."""

    def __init__(self) -> None:
        self._files: list[str] = []
        self._findings: list[Finding] = []
        self._tables: list[pa.Table] = []
        self._declared: dict[str, Declaration] = {}
        self._datasets: dict[str, None] = {}
        self._quarantined: list[Quarantined] = []
        self._refused = 0

    def open(self, file: str) -> None:
        """What follows is of this file."""
        self._files.append(file)

    @property
    def file(self) -> str:
        return self._files[-1]

    def quarantine(self, line: int, reason: str, file: str | None = None) -> None:
        self._refused += 1
        if len(self._quarantined) < KEPT:
            self._quarantined.append(Quarantined(file or self.file, line, printable(reason)))

    def sieve(self, line: Array, *faults: tuple[Array, str]) -> Array:
        """Quarantine the rows of each mask for its reason, once each. True for those that pass."""
        good = pa.array(np.ones(len(line), bool))
        for mask, reason in faults:
            for at in line.filter(pc.and_(mask, good)).to_pylist():
                self.quarantine(at, reason)
            good = pc.and_(good, pc.invert(mask))
        return good

    def find(self, kind: str, count: int, detail: str) -> None:
        if count and len(self._findings) < KEPT:
            self._findings.append(Finding(kind, count, printable(detail)))

    def add(self, dataset: Dataset, measure: Measure, columns: Columns) -> None:
        """Take one measure of many things. No column may have nulls."""
        things = columns.thing.dictionary_encode()
        declared = [dataset.declaration(thing, measure) for thing in things.dictionary.to_pylist()]
        self._datasets[dataset.name] = None
        self._declared |= {one.series_id: one for one in declared}
        ids = pa.array([one.series_id for one in declared], pa.string())
        series = pa.DictionaryArray.from_arrays(things.indices, ids)
        file = pa.array(np.full(len(series), len(self._files) - 1))
        flags = columns.flags if columns.flags is not None else pa.array(np.zeros(len(series), np.int16))
        arrays = [series, columns.at, columns.value, flags, columns.line, file]
        self._tables.append(pa.Table.from_arrays(arrays, schema=ROWS))

    def settled(self) -> Parsed:
        rows = pa.concat_tables(self._tables, promote_options="none") if self._tables else ROWS.empty_table()
        rows = self._one_each(rows.unify_dictionaries().combine_chunks())
        self._find_gaps(rows)
        return Parsed(
            tuple(self._datasets),
            rows,
            tuple(self._declared.values()),
            self._refused,
            tuple(self._quarantined),
            tuple(self._findings),
        )

    def _one_each(self, rows: pa.Table) -> pa.Table:
        """In order of (series, at). Of several rows for one reading the last counts, as in a later publication."""
        code, at, value = _arrays(rows)
        line, file = rows["line"].to_numpy(), rows["file"].to_numpy()
        order = np.lexsort((line, file, at, code))
        same = (code[order][1:] == code[order][:-1]) & (at[order][1:] == at[order][:-1])
        differs = same & (value[order][1:] != value[order][:-1])
        for i in np.flatnonzero(differs):
            old, new = order[i], order[i + 1]
            reason = f"line {line[new]} of {self._files[file[new]]} gives this reading another value"
            self.quarantine(int(line[old]), reason, self._files[file[old]])
        self.find("repeated", int(same.sum() - differs.sum()), "rows that repeat a reading with the same value")
        last = order[np.append(~same, True)] if len(order) else order
        return rows.take(last)

    def _find_gaps(self, rows: pa.Table) -> None:
        """Intervals between the first and last reading of a series that have none: counted, never filled."""
        if not rows.num_rows:
            return
        code, at, _ = _arrays(rows)
        names = _series(rows).dictionary.to_pylist()
        step_us = np.array([self._declared[name].step_s * 1_000_000 for name in names])[code]
        holes = np.where(code[1:] == code[:-1], np.diff(at) // step_us[1:] - 1, 0).clip(0)
        for one in np.unique(code[1:][holes > 0])[:KEPT]:
            mine = code[1:] == one
            first = from_micros(int((at[:-1] + step_us[1:])[mine & (holes > 0)][0]))
            self.find("gap", int(holes[mine].sum()), f"{names[one]}: intervals without a value, first {iso(first)}")


def _arrays(rows: pa.Table) -> tuple[Numbers, Numbers, Numbers]:
    """Series codes, microseconds since 1970 UTC, values."""
    return _series(rows).indices.to_numpy(), rows["at"].cast(pa.int64()).to_numpy(), rows["value"].to_numpy()


def _series(rows: pa.Table) -> Array:
    return rows["series_id"].combine_chunks()
