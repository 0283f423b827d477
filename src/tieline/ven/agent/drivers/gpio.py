"""A relay on a pin of the board, such as a Raspberry's (gpiozero; `tieline[gpio]`).

pin on ──▶ coil drawn ──▶ a normally closed contact opens ──▶ the load is off
pin off, agent dead, board without power ──▶ it falls closed ──▶ the load is free
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from tieline.base.errors import Refused
from tieline.ven.agent.drivers.driver import DriverSettings, Place, Reading


class Gpio(DriverSettings, frozen=True, tag="gpio"):
    """A pin by its GPIO number. `active_high`: whether the relay board draws its coil when the pin is high.

    It measures nothing: without a meter beside it the load is taken to draw what it is rated while its contact is
    closed.
    """

    pin: Annotated[int, Meta(ge=0, le=63)]
    active_high: bool = True
    contact: Literal["normally_closed", "normally_open"] = "normally_closed"

    def open(self, place: Place) -> "GpioRelay":
        """Raises `Refused` where there is no such pin."""
        return GpioRelay(self, place)


class GpioRelay:
    def __init__(self, settings: Gpio, place: Place) -> None:
        self._closed_by_coil = settings.contact == "normally_open"
        self._rated_kw = place.rated_kw
        self._coil = _coil(settings, place.load_id, drawn=self._closed_by_coil)

    async def read(self) -> Reading:
        is_closed = bool(self._coil.value) == self._closed_by_coil
        return Reading(self._rated_kw if is_closed else 0.0)

    async def limit(self, limit_kw: float | None) -> None:
        """A relay knows two: whatever is below what is rated is off."""
        is_free = limit_kw is None or limit_kw >= self._rated_kw
        if is_free == self._closed_by_coil:
            self._coil.on()
        else:
            self._coil.off()

    async def close(self) -> None:
        self._coil.close()


def _coil(settings: Gpio, load_id: str, *, drawn: bool) -> Any:
    try:
        # only where there is a relay; it has no types
        from gpiozero import GPIOZeroError, OutputDevice  # type: ignore[import-untyped]  # noqa: PLC0415
    except ModuleNotFoundError:
        raise Refused(f"load {load_id} is on a pin, which needs gpiozero: pip install 'tieline[gpio]'") from None
    try:
        return OutputDevice(settings.pin, active_high=settings.active_high, initial_value=drawn)
    except GPIOZeroError as error:
        raise Refused(f"load {load_id}, pin {settings.pin}: {error or type(error).__name__}") from None
