"""Delimited text: the wanted columns of a table as text, each row with its line; rows of another width are told."""

from __future__ import annotations  # pyarrow's generics exist only in its stubs

import io
from collections.abc import Sequence
from functools import reduce
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tieline.base.errors import Refused
from tieline.wires.sources.cells import Array, pc, text
from tieline.wires.sources.parsed import Draft


def header(data: bytes, delimiter: str) -> list[str]:
    """The names in the first line of UTF-8 text."""
    return [name.strip(' \t"') for name in data.partition(b"\n")[0].decode().split(delimiter)]


def columns(
    data: bytes, names: Sequence[str], wanted: Sequence[str], draft: Draft, *, delimiter: str, quoted: bool
) -> tuple[list[Array], Array]:
    """The wanted columns of UTF-8 text with these `names`, null where empty, and their lines; rows empty in all of
    them are passed over.

    Rows of another width are quarantined. Raises `Refused` when the names have not each of the wanted once.
    """
    if missing := [name for name in wanted if names.count(name) != 1]:
        told = delimiter.join(names)[:200]
        raise Refused(f"{draft.file} needs one column {' and one '.join(missing)}: its header is {told!r}")
    bad: list[int] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
        bad.append(row.number or 0)
        draft.quarantine(bad[-1], f"{row.actual_columns} columns where the header has {row.expected_columns}")
        return "skip"

    # One line is one row, whatever its quotes: an open one must not swallow the rows after it.
    table = pyarrow.csv.read_csv(
        io.BytesIO(data + b"\n"),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=len(data) + 2, column_names=list(names), skip_rows=1),
        pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoted else False,
            newlines_in_values=False,
            ignore_empty_lines=False,
            invalid_row_handler=set_aside,
        ),
        pyarrow.csv.ConvertOptions(include_columns=list(wanted), column_types=dict.fromkeys(wanted, pa.string())),
    )
    lines = np.delete(np.arange(2, table.num_rows + len(bad) + 2), np.array(bad, int) - 2)
    found = [text(table[name].combine_chunks()) for name in wanted]
    blank = reduce(pc.and_, [pc.is_null(one) for one in found])
    *kept, line = [one.filter(pc.invert(blank)) for one in (*found, pa.array(lines))]
    return kept, line
