"""What an event's participants delivered, interval by interval: the proof behind a statement's lines. Pure.

Energies are whole milliwatt-hours and time whole microseconds, so that every sum is exact. In canonical bytes, kept
under their digest: a line of JSON (`what`, `ven_ids`, `edges_us`), then three blocks of little-endian 64-bit integers,
[VENs, intervals]: baseline, use, and the time that readings cover. What they do not cover is a gap: it counts on
neither side.
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
MILLIWATT_HOURS = 1_000_000
"""In a kilowatt-hour."""


class _Header(msgspec.Struct, frozen=True):
    what: str
    ven_ids: list[str]
    edges_us: list[int]


class Interval(msgspec.Struct, frozen=True):
    """One interval of one VEN: baseline less use, over the part of it that readings cover."""

    from_at: datetime
    until_at: datetime
    baseline_kwh: float
    used_kwh: float
    delivered_kwh: float
    covered_s: float
    gap_s: float


@dataclass(frozen=True)
class Intervals:
    """Of VENs in order of id, on intervals from edge to edge."""

    ven_ids: Sequence[str]
    edges_us: Ints
    baseline_mwh: Ints
    used_mwh: Ints
    covered_us: Ints

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
        edges = [from_micros(us) for us in self.edges_us.tolist()]
        columns = (self.baseline_mwh[i], self.used_mwh[i], self.delivered_mwh[i], self.covered_us[i])
        return [
            Interval(
                start,
                end,
                *(one / MILLIWATT_HOURS for one in (*cells, round((end - start).total_seconds() * 1e6) - cells[-1])),
            )
            for start, end, *cells in zip(edges, edges[1:], *(column.tolist() for column in columns), strict=False)
        ]

    def packed(self) -> bytes:
        """The canonical bytes."""
        header = _Header(WHAT, list(self.ven_ids), self.edges_us.tolist())
        blocks = (self.baseline_mwh, self.used_mwh, self.covered_us)
        return b"".join([msgspec.json.encode(header), b"\n", *(block.astype("<i8").tobytes() for block in blocks)])


def unpacked(data: bytes) -> Intervals:
    """Raises `Broken` for bytes that are none of ours."""
    first, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
        shape = (3, len(header.ven_ids), len(header.edges_us) - 1)
        blocks = np.frombuffer(rest, "<i8").reshape(shape).astype(np.int64)
    except (msgspec.DecodeError, ValueError) as error:
        raise Broken(f"these are no intervals: {error}") from None
    return Intervals(header.ven_ids, np.array(header.edges_us, np.int64), *blocks)


def measured(kw: Floats, used_kwh: Floats, covered_s: Floats) -> tuple[Ints, Ints, Ints]:
    """Baseline, use and covered time as whole numbers, from mean power [VENs, intervals] and what meters integrate to.
    Here alone is rounded."""
    covered = np.rint(covered_s * 1_000_000).astype(np.int64)
    return _whole(kw * covered_s / 3600), _whole(used_kwh), covered


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
    blocks = (
        np.concatenate([empty, *(getattr(part, name) for part in parts)])[order]
        for name in ("baseline_mwh", "used_mwh", "covered_us")
    )
    return Intervals([ven_ids[i] for i in order], edges_us, *blocks)
