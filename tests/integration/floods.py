"""The limit on what devices may send, as rooms that take it in are given it."""

from typing import Any

from tieline.base.time import Clock
from tieline.ports import Blobs, Log, Rows
from tieline.telemetry.flood import Bounds
from tieline.telemetry.flooding import Flooding

USUAL = Bounds()


def flooding(log: Log | None, rows: Rows, clock: Clock, blobs: Blobs | None = None, bounds: Bounds = USUAL) -> Flooding:
    """One clock for the platform and the broker. Without `blobs` or `log` nothing can be refused."""
    absent: Any = None
    return Flooding(log or absent, rows, blobs or absent, clock, clock, bounds)
