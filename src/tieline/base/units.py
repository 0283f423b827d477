"""Units as types: a power is not an energy until someone says for how long."""

from typing import NewType

Kilowatts = NewType("Kilowatts", float)
KilowattHours = NewType("KilowattHours", float)


def energy(power_kw: Kilowatts, seconds: float) -> KilowattHours:
    """The energy of a constant power over `seconds`."""
    return KilowattHours(power_kw * seconds / 3600)
