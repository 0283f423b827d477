"""Cells: columns of text into instants and numbers. What cannot be read becomes null; nothing is guessed."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tieline.base.names import escaped
from tieline.base.series import Flag

Array: TypeAlias = Any  # a pyarrow.Array
pc: Any = pyarrow.compute  # the stubs know only some forms of its functions


def utf8(data: bytes) -> bytes:
    """The same text in UTF-8, without a byte-order mark, each line ended by one LF. What is not UTF-8 is Latin-1."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("latin-1").encode()
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def printable(told: str) -> str:
    """What a file says of itself, fit to be kept and shown: no control characters, no more than 400 characters."""
    return "".join(c if c.isprintable() else "?" for c in told[:400])


def text(column: Array) -> Array:
    """Without spaces and quotes around it; null where nothing is left."""
    trimmed = pc.utf8_trim(column, ' \t"')
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def numbers(column: Array) -> Array:
    """Finite float64, from a decimal point or comma. Grouped thousands are refused, since they cannot be told apart."""
    values = _cast(pc.replace_substring(column, ",", "."), pa.float64())
    return pc.if_else(pc.is_finite(values), values, None)


def local_instants(column: Array) -> Array:
    """Timestamps of microseconds without a zone, from 2014-02-15 23:00:00 or 2014/02/15 23:00:00, of 1900 to 2199."""
    return timely(_cast(pc.replace_substring(column, "/", "-"), pa.timestamp("us")))


def timely(stamps: Array) -> Array:
    """Those of 1900 to 2199: what else a clock shows is not when something was measured."""
    year = pc.year(stamps)
    return pc.if_else(pc.and_(pc.greater_equal(year, 1900), pc.less(year, 2200)), stamps, None)


def utc_instants(local: Array, zone: str) -> tuple[Array, Array]:
    """The first and the second instant that a clock of the zone showed so: the same one but where a clock was put back.

    Both are null where it was put forward past that time. Needs the system's zone database.
    """
    first = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="earliest")
    second = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="latest")
    exists = pc.equal(pc.local_timestamp(second), local)
    utc = pa.timestamp("us", tz="UTC")
    return pc.if_else(exists, first, None).cast(utc), pc.if_else(exists, second, None).cast(utc)


def placed(thing: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """The instant of each row, and its flags: where a clock showed a time twice, the first row of a thing is taken as
    the first, and AMBIGUOUS unless another follows, which is the second."""
    flags, is_second = np.zeros(len(first), np.int16), np.zeros(len(first), bool)
    twice = pc.fill_null(pc.not_equal(first, second), False)
    seen: dict[tuple[object, object], int] = {}
    for row in np.flatnonzero(twice.to_numpy(zero_copy_only=False)).tolist():
        earlier = seen.setdefault((thing[row].as_py(), first[row].as_py()), row)
        flags[earlier] = Flag.AMBIGUOUS if earlier == row else Flag.GOOD
        is_second[row] = earlier != row
    return pc.if_else(pa.array(is_second), second, first), pa.array(flags)


def nameable(column: Array) -> Array:
    """True for the texts that can be one part of a series id."""
    coded = column.dictionary_encode()
    fits = [len(escaped(one)) <= 64 for one in coded.dictionary.to_pylist()]
    return pc.fill_null(pa.array(fits, pa.bool_()).take(coded.indices), False)


def _cast(column: Array, kind: Any) -> Array:
    """All at once, which is fast; where some cannot be read, one by one of the distinct texts."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        coded = column.dictionary_encode()
        return pa.array([_cast_one(one, kind) for one in coded.dictionary.to_pylist()], kind).take(coded.indices)


def _cast_one(one: str, kind: Any) -> Any:
    try:
        return pa.scalar(one).cast(kind).as_py()
    except pa.ArrowInvalid:
        return None
