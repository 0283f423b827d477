"""How sure an event's baselines are, in canonical bytes that are kept beside them, and as it is told. Pure.

A line of JSON, then little-endian 64-bit floats: the ends of the groups, what groups erred by on each day, what of that
is noise, and how far meters are apart within a group.
"""

import hashlib
from math import isnan

import msgspec
import numpy as np

from tieline.base.errors import Broken
from tieline.settlement.baseline.frame import Floats
from tieline.settlement.baseline.intervals import LEVEL, Shared
from tieline.settlement.baseline.sureness import Sureness
from tieline.settlement.model import Calibration

WHAT = "tieline sureness 1: ends, means, noise, apart"


class _Header(msgspec.Struct, frozen=True):
    what: str
    days: int
    columns: int
    edges_kw: list[float]
    typical_kw: float
    sum_level: float
    errors: int
    held: float | None
    sum_held: float | None


def packed(one: Sureness) -> bytes:
    """The canonical bytes; of what can be told."""
    header = _Header(
        WHAT,
        one.days,
        one.ends.shape[2],
        one.edges_kw.tolist(),
        one.typical_kw,
        one.sum_level,
        one.errors,
        _told(one.held),
        _told(one.sum_held),
    )
    blocks = (one.ends, one.shared.means, one.shared.noise, one.shared.apart)
    return b"".join([msgspec.json.encode(header), b"\n", *(block.astype("<f8").tobytes() for block in blocks)])


def unpacked(data: bytes) -> Sureness:
    """Raises `Broken` for bytes that are none of ours."""
    first, _, rest = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
        groups = len(header.edges_kw) + 1
        shapes = [(2, groups), (header.days, groups), (groups,), (groups,)]
        ends, *shared = _blocks(rest, [(*shape, header.columns) for shape in shapes])
    except (msgspec.DecodeError, ValueError) as error:
        raise Broken(f"this is no sureness of baselines: {error}") from None
    return Sureness(
        edges_kw=np.array(header.edges_kw),
        typical_kw=header.typical_kw,
        ends=ends,
        shared=Shared(*shared),
        sum_level=header.sum_level,
        errors=header.errors,
        held=float("nan") if header.held is None else header.held,
        sum_held=float("nan") if header.sum_held is None else header.sum_held,
    )


def _blocks(data: bytes, shapes: list[tuple[int, ...]]) -> list[Floats]:
    values = np.frombuffer(data, "<f8").astype(np.float64)
    sizes = np.cumsum([np.prod(shape) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(values, sizes[:-1]), shapes, strict=True)]


def calibration(one: Sureness | None, vens: int) -> Calibration:
    """As a statement tells it; `vens` is of how many. None: nothing is known of any."""
    if one is None:
        why = "no VEN has readings on the days before"
        return Calibration(LEVEL, 0, vens, 0, None, None, "", why, why)
    digest = "" if one.why_not else hashlib.sha256(packed(one)).hexdigest()
    held, sum_held = _told(one.held), _told(one.sum_held)
    sum_why = one.why_not or one.why_no_sum
    return Calibration(LEVEL, one.days, vens, one.errors, held, sum_held, digest, one.why_not, sum_why)


def _told(share: float) -> float | None:
    return None if isnan(share) else round(share, 6)
