"""What an event's participants delivered, interval by interval: the proof behind a statement's lines. Pure.

Energies are whole milliwatt-hours and time whole microseconds, so that every sum is exact. In canonical bytes, kept
under their digest: a line of JSON (`what`, `ven_ids`, `edges_us`), then three blocks of little-endian 64-bit integers,
[VENs, intervals]: baseline, use, and the time that readings cover; where it can be told how sure the baseline is, two
more: its low and its high end, `UNKNOWN_MWH` of a VEN of which they cannot. What readings do not cover is a gap: it
counts on neither side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieline.base.errors import Broken
from tieline.base.time import from_micros

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
WHAT = "tieline intervals 1: baseline, use (mWh), covered (us)"
WHAT_SURE = "tieline intervals 2: baseline, use (mWh), covered (us), low, high (mWh)"
MILLIWATT_HOURS = 1_000_000
"""In a kilowatt-hour."""
UNKNOWN_MWH = np.iinfo(np.int64).min


class _Header(msgspec.Struct, frozen=True):
    what: str
    ven_ids: list[str]
    edges_us: list[int]


class Interval(msgspec.Struct, frozen=True):
    """One interval of one VEN, or of all: baseline less use, over the part of it that readings cover. The baseline lies
    between `low_kwh` and `high_kwh`, where that can be told."""

    from_at: datetime
    until_at: datetime
    baseline_kwh: float
    used_kwh: float
    delivered_kwh: float
    covered_s: float
    gap_s: float
    low_kwh: float | None = None
    high_kwh: float | None = None


@dataclass(frozen=True)
class Intervals:
    """Of VENs in order of id, on intervals from edge to edge."""

    ven_ids: Sequence[str]
    edges_us: Ints
    baseline_mwh: Ints
    used_mwh: Ints
    covered_us: Ints
    low_mwh: Ints | None = None
    high_mwh: Ints | None = None

    @property
    def delivered_mwh(self) -> Ints:
        return self.baseline_mwh - self.used_mwh

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each VEN is."""
        return {ven_id: i for i, ven_id in enumerate(self.ven_ids)}

    def of(self, ven_id: str) -> list[Interval]:
        """Those of one VEN; none where it has no baseline."""
        i = self.place.get(ven_id)
        if i is None:
            return []
        gap_us = np.diff(self.edges_us) - self.covered_us[i]
        columns = [self.baseline_mwh[i], self.used_mwh[i], self.delivered_mwh[i], self.covered_us[i], gap_us]
        columns += self.ends_of(i)
        return intervals_in(self.edges_us, [column / MILLIWATT_HOURS for column in columns])

    def ends_of(self, i: int) -> list[Ints]:
        """Low and high end of that VEN's baseline; none where they cannot be told."""
        found = [block[i] for block in (self.low_mwh, self.high_mwh) if block is not None]
        return [] if any((end == UNKNOWN_MWH).any() for end in found) else found

    def packed(self) -> bytes:
        """The canonical bytes."""
        blocks = [self.baseline_mwh, self.used_mwh, self.covered_us]
        sure = [block for block in (self.low_mwh, self.high_mwh) if block is not None]
        header = _Header(WHAT_SURE if sure else WHAT, list(self.ven_ids), self.edges_us.tolist())
        bytes_of = (block.astype("<i8").tobytes() for block in (*blocks, *sure))
        return b"".join([msgspec.json.encode(header), b"\n", *bytes_of])


def intervals_in(edges_us: Ints, columns: Sequence[Floats]) -> list[Interval]:
    """From columns in the order in which an interval has them."""
    edges = [from_micros(us) for us in edges_us.tolist()]
    cells = zip(*(column.tolist() for column in columns), strict=True)
    return [Interval(start, end, *each) for start, end, each in zip(edges, edges[1:], cells, strict=False)]


def unpacked(data: bytes) -> Intervals:
    """Raises `Broken` for bytes that are none of ours."""
    first, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
        shape = (5 if header.what == WHAT_SURE else 3, len(header.ven_ids), len(header.edges_us) - 1)
        blocks = np.frombuffer(rest, "<i8").reshape(shape).astype(np.int64)
    except (msgspec.DecodeError, ValueError) as error:
        raise Broken(f"these are no intervals: {error}") from None
    return Intervals(header.ven_ids, np.array(header.edges_us, np.int64), *blocks)


def measured(kw: Floats, used_kwh: Floats, covered_s: Floats) -> tuple[Ints, Ints, Ints]:
    """Baseline, use and covered time as whole numbers, from mean power [VENs, intervals] and what meters integrate to.
    Here alone is rounded."""
    covered = np.rint(covered_s * 1_000_000).astype(np.int64)
    return _whole(kw * covered_s / 3600), _whole(used_kwh), covered


def ends(kwh: Floats) -> Ints:
    """An end of baselines as whole numbers: each interval for itself, for an end is no sum."""
    whole = np.rint(np.nan_to_num(kwh) * MILLIWATT_HOURS).astype(np.int64)
    told: Ints = np.where(np.isnan(kwh), UNKNOWN_MWH, whole)
    return told


def _whole(kwh: Floats) -> Ints:
    """To milliwatt-hours, the running sum of each row (half to even): the sum of many intervals is then as good as that
    of one."""
    running = np.rint(np.cumsum(kwh, axis=1) * MILLIWATT_HOURS).astype(np.int64)
    return np.diff(running, axis=1, prepend=0)


def joined(parts: Sequence[Intervals], edges_us: Ints) -> Intervals:
    """Those of portions of a fleet as one, in order of id."""
    ven_ids = [ven_id for part in parts for ven_id in part.ven_ids]
    order = sorted(range(len(ven_ids)), key=ven_ids.__getitem__)
    empty = np.zeros((0, len(edges_us) - 1), np.int64)
    names = ["baseline_mwh", "used_mwh", "covered_us"]
    if parts and all(part.low_mwh is not None for part in parts):
        names += ["low_mwh", "high_mwh"]
    blocks = (np.concatenate([empty, *(getattr(part, name) for part in parts)])[order] for name in names)
    return Intervals([ven_ids[i] for i in order], edges_us, *blocks)
