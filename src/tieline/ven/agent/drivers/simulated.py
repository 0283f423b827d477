"""A load that is not there: it draws what it is told to, warms what it heats, and obeys at once."""

from typing import Annotated

from msgspec import Meta

from tieline.ven.agent.drivers.driver import DriverSettings, Place, Reading

Positive = Annotated[float, Meta(gt=0)]


class Simulated(DriverSettings, frozen=True, tag="simulated"):
    """Draws `power_kw` (what it is rated, unless said) for `on_s`, then nothing for `off_s`, and so on.

    With `temperature_c` it begins there, and goes toward that plus `heating_c_per_h` while it draws all it wants, and
    down by `cooling_c_per_h` meanwhile and else.
    """

    power_kw: float | None = None
    on_s: Positive = 1.0
    off_s: Annotated[float, Meta(ge=0)] = 0.0
    temperature_c: float | None = None
    heating_c_per_h: float = 0.0
    cooling_c_per_h: float = 0.0

    @property
    def is_stepless(self) -> bool:
        return True

    def open(self, place: Place) -> "SimulatedLoad":
        return SimulatedLoad(self, place)


class SimulatedLoad:
    def __init__(self, settings: Simulated, place: Place) -> None:
        self.limit_kw: float | None = None
        self._settings = settings
        self._clock = place.wiring.clock
        self._wanted_kw = place.rated_kw if settings.power_kw is None else settings.power_kw
        self._began_at = self._told_at = self._clock.now()
        self._temperature_c = settings.temperature_c

    async def read(self) -> Reading:
        return self._read()

    async def limit(self, limit_kw: float | None) -> None:
        self._read()  # what was until now was by the limit before
        self.limit_kw = limit_kw

    async def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> Reading:
        settings, now = self._settings, self._clock.now()
        into_s = (now - self._began_at).total_seconds() % (settings.on_s + settings.off_s)
        wanted_kw = self._wanted_kw if into_s < settings.on_s else 0.0
        power_kw = wanted_kw if self.limit_kw is None else min(wanted_kw, self.limit_kw)
        if self._temperature_c is not None:
            share = power_kw / self._wanted_kw if self._wanted_kw else 0.0
            hours = (now - self._told_at).total_seconds() / 3600
            self._temperature_c += (share * settings.heating_c_per_h - settings.cooling_c_per_h) * hours
        self._told_at = now
        return Reading(power_kw, self._temperature_c)
