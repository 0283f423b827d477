"""Readings of many messages on their way through the Log: columns, packed, each name once.

    version 2   names, and of each column its bytes: little-endian, as numpy has them
    version 1   names, and of each column a list: what earlier versions said, and rooms that have few

Both are read: the Log keeps what was said before an upgrade.
"""

from __future__ import annotations  # numpy's generics exist only in its stubs

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tieline.base.series import INSTANT, READINGS
from tieline.base.time import micros
from tieline.telemetry.model import Batch

Whole = np.ndarray[Any, np.dtype[np.int64]]
Real = np.ndarray[Any, np.dtype[np.float64]]
_TYPES = {"series": "<i4", "at": "<i8", "value": "<f8", "flags": "<i2", "seq": "<i8"}
_LISTS: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)
_ENCODER = msgspec.msgpack.Encoder()


class Columns(msgspec.Struct):
    """As `Batch`: `series` says which of `names` a reading belongs to, `at` is in µs since 1970 UTC."""

    known_at: datetime
    names: Sequence[str]
    series: Whole
    at: Whole
    value: Real
    flags: Whole
    seq: Whole

    def __len__(self) -> int:
        return len(self.at)

    def part(self, chosen: Any) -> Columns:
        """Those that a slice, a mask or indexes choose."""
        columns = {name: getattr(self, name)[chosen] for name in _TYPES}
        return Columns(self.known_at, self.names, **columns)

    def table(self, known_us: Whole | None = None) -> pa.Table:
        """Of the READINGS shape."""
        known = np.full(len(self), micros(self.known_at), np.int64) if known_us is None else known_us
        indexes: Any = pa.array(self.series)
        columns: list[pa.Array[Any]] = [
            pa.array(self.names, pa.string()).take(indexes),
            pa.array(self.at, pa.int64()).view(INSTANT),
            pa.array(self.value, pa.float64()),
            pa.array(self.flags, pa.int16()),
            pa.array(known, pa.int64()).view(INSTANT),
            pa.array(self.seq, pa.int64()),
        ]
        return pa.Table.from_arrays(columns, schema=READINGS)


class _Packed(msgspec.Struct, tag_field="v", tag=2):
    known_at: datetime
    names: list[str]
    series: bytes
    at: bytes
    value: bytes
    flags: bytes
    seq: bytes


_PACKED: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)


def packed(columns: Columns) -> bytes:
    said = {name: getattr(columns, name).astype(kind, copy=False).tobytes() for name, kind in _TYPES.items()}
    return _ENCODER.encode(_Packed(columns.known_at, list(columns.names), **said))


def opened(data: bytes) -> Columns:
    """Raises `msgspec.DecodeError` for what is no batch of any version."""
    try:
        said: _Packed | Batch = _PACKED.decode(data)
    except msgspec.ValidationError:
        said = _LISTS.decode(data)
    try:
        columns = _columns(said)
    except (ValueError, OverflowError) as error:
        raise msgspec.ValidationError(f"columns that are none: {error}") from None
    lengths = {len(getattr(columns, name)) for name in _TYPES}
    if len(lengths) != 1 or (len(columns) and not 0 <= columns.series.min() <= columns.series.max() < len(said.names)):
        raise msgspec.ValidationError("columns of different lengths, or of series that have no name")
    return columns


def _columns(said: _Packed | Batch) -> Columns:
    if isinstance(said, Batch):
        return columns_of(said)
    found = {name: np.frombuffer(getattr(said, name), kind) for name, kind in _TYPES.items()}
    return Columns(said.known_at, said.names, **found)


def columns_of(batch: Batch) -> Columns:
    found = {name: np.array(getattr(batch, name), kind) for name, kind in _TYPES.items()}
    return Columns(batch.known_at, batch.names, **found)


def joined(first: Columns, second: Columns) -> Columns:
    """Those of the first, then those of the second."""
    moved = msgspec.structs.replace(second, series=second.series + len(first.names))
    both = {name: np.concatenate([getattr(first, name), getattr(moved, name)]) for name in _TYPES}
    return Columns(first.known_at, [*first.names, *second.names], **both)
