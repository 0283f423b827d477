"""Drivers for their tests: made of a table as it stands in the configuration, for a boiler of 3 kW, on virtual time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tieline.base.time import VirtualClock
from tieline.ven.agent.drivers.driver import Driver, Place, Wiring
from tieline.ven.agent.drivers.fitting import AnyDriver, fitted
from tieline.ven.agent.home import HomeBroker

START = datetime(2026, 7, 14, 18, tzinfo=UTC)
RATED_KW = 3.0


def wired(folder: Path, home: HomeBroker | None = None) -> Wiring:
    return Wiring(VirtualClock(START), folder, home)


def settings(**table: Any) -> AnyDriver:
    chosen: AnyDriver = msgspec.convert(table, AnyDriver)
    return chosen


def opened(wiring: Wiring, **table: Any) -> Driver:
    return fitted(Place(wiring, "boiler", RATED_KW), settings(**table), None, None)


def about(number: float) -> Any:
    """Which it is, but for the last bits."""
    return pytest.approx(number)
