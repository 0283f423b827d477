"""AEMO's C/I/D files: several tables in one CSV, each row saying what it is.

    C,NEMP.WORLD,DISPATCHIS,AEMO,PUBLIC,…      comment: who made the file, when
    I,DISPATCH,PRICE,5,SETTLEMENTDATE,RUNNO,…  the columns of table DISPATCH.PRICE in its version 5
    D,DISPATCH,PRICE,5,"2025/08/20 18:10:00",… its data
    C,"END OF REPORT",892                      how many rows there should be, counting every one

Versions add and move columns, so cells are found by column name. Archives that someone has cut keep a footer that no
longer fits, or lose it: both are findings, since every row that is there can still be read.
"""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import pyarrow as pa

from tieline.wires.sources.cells import Array, text, utf8
from tieline.wires.sources.parsed import Draft

AT_ONCE = 100_000  # rows held as Python text before they become columns


class Table(NamedTuple):
    """The rows under one I row: the chosen columns as text, null where empty, and their lines."""

    name: str
    columns: dict[str, Array]
    line: Array


def recognises(head: bytes) -> bool:
    kind, comma, rest = head.removeprefix(b"\xef\xbb\xbf").partition(b",")
    return kind.strip(b'"') in (b"C", b"I") and bool(comma) and b"," in rest.partition(b"\n")[0]


def tables(data: bytes, chosen: Callable[[str, Sequence[str]], Sequence[str]], draft: Draft) -> list[Table]:
    """The tables of a file. `chosen` gives the columns wanted of a table, none to leave its rows out.

    Rows without an I row of their table, or of another width than it, are quarantined; what is left out is a finding.
    """
    blocks: list[_Block] = []
    current: dict[tuple[str, ...], _Block] = {}
    left_out: Counter[str] = Counter()
    report = _Report(data, draft)
    for line, row in report:
        key = _key(row)
        if row[0] == "I":
            current[key] = _Block(key, row, chosen)
            blocks.append(current[key])
        elif (block := current.get(key)) is None:
            draft.quarantine(line, f"no I row before it names the columns of {_name(key)} {key[-1]}")
        elif not block.chosen:
            left_out[block.name] += 1
        elif len(row) != block.width:
            draft.quarantine(line, f"{len(row)} columns where the I row of {block.name} has {block.width}")
        else:
            block.add(line, row)
    report.check_footer()
    for name, count in left_out.items():
        draft.find("left out", count, f"rows of table {name}, which is not loaded")
    return [block.table() for block in blocks if block.chosen]


class _Block:
    """An I row and the rows under it, which become columns many at a time: as Python text they take ten times more."""

    def __init__(
        self, key: tuple[str, ...], row: Sequence[str], chosen: Callable[[str, Sequence[str]], Sequence[str]]
    ) -> None:
        names = [column.strip().upper() for column in row]
        self.name, self.width = _name(key), len(row)
        self.chosen = chosen(self.name, names[4:])
        self._cells = itemgetter(0, *[names.index(column, 4) for column in self.chosen])
        self._rows: list[tuple[str, ...]] = []
        self._lines: list[int] = []
        self._done: list[list[Array]] = []

    def add(self, line: int, row: Sequence[str]) -> None:
        self._rows.append(self._cells(row))
        self._lines.append(line)
        if len(self._rows) >= AT_ONCE:
            self._flush()

    def table(self) -> Table:
        self._flush()
        *columns, line = [pa.concat_arrays(parts) for parts in zip(*self._done, strict=True)]
        return Table(self.name, dict(zip(self.chosen, columns, strict=True)), line)

    def _flush(self) -> None:
        cells = list(zip(*self._rows, strict=True))[1:] or [()] * len(self.chosen)
        read = [text(pa.array(column, pa.string())) for column in cells]
        self._done.append([*read, pa.array(self._lines, pa.int64())])
        self._rows, self._lines = [], []


class _Report:
    """The I and D rows with their lines; keeps what the C rows say for the end."""

    def __init__(self, data: bytes, draft: Draft) -> None:
        self._text = io.StringIO(utf8(data).decode())
        self._reader = csv.reader(self._text)
        self._draft = draft
        self._line = 0
        self._count = 0
        self._promised: str | None = None

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while (row := self._row()) is not None:
            self._count += bool(row)
            if row and row[0] in ("I", "D") and len(row) > 4:
                yield self._line, row
            elif row and row[0] != "C":
                self._draft.quarantine(self._line, f"{','.join(row)[:40]!r} is no row of kind C, I or D")
            elif len(row) > 2 and row[1] == "END OF REPORT":
                self._promised = row[2].strip()

    def _row(self) -> list[str] | None:
        """The next line's cells, none of a line that is no CSV by itself; None at the end."""
        start, before = self._text.tell(), self._reader.line_num
        self._line += 1
        try:
            row = next(self._reader, None)
            whole = self._reader.line_num - before <= 1
        except csv.Error:
            row, whole = None, False
        if whole:
            return row
        # An open quote makes the reader swallow the rows after it: go on behind this one line.
        self._text.seek(start)
        self._text.readline()
        self._draft.quarantine(self._line, "not CSV: a quote that is not closed, or a cell without end")
        return []

    def check_footer(self) -> None:
        if self._promised is None:
            self._draft.find("footer", 1, f"{self._draft.file} does not end with END OF REPORT: it may be cut off")
        elif self._promised != str(self._count):
            said = f"{self._draft.file} has {self._count} rows where its END OF REPORT promises {self._promised}"
            self._draft.find("footer", 1, said)


def _key(row: Sequence[str]) -> tuple[str, ...]:
    """Report, table, version. Some tools that rewrite the files fill an empty heading with `Unnamed: 2`."""
    table = "" if row[2].startswith("Unnamed: ") else row[2]
    return row[1], table, row[3]


def _name(key: Sequence[str]) -> str:
    return ".".join(part for part in key[:2] if part)
