"""What is fitted to one load: a driver that holds it, and beside it a meter and a sensor where that one has none."""

from tieline.ven.agent.drivers.driver import Driver, Place, Reading
from tieline.ven.agent.drivers.gpio import Gpio
from tieline.ven.agent.drivers.http import Http
from tieline.ven.agent.drivers.modbus import Modbus
from tieline.ven.agent.drivers.mqtt import Mqtt
from tieline.ven.agent.drivers.simulated import Simulated

AnyDriver = Simulated | Gpio | Modbus | Http | Mqtt


class Fitting:
    """One driver out of several: the first holds the load; the power is the meter's, the temperature the sensor's."""

    def __init__(self, driver: Driver, meter: Driver | None = None, sensor: Driver | None = None) -> None:
        self._driver, self._meter, self._sensor = driver, meter, sensor

    async def read(self) -> Reading:
        own = await self._driver.read()
        power_kw = (await self._meter.read()).power_kw if self._meter else own.power_kw
        temperature_c = (await self._sensor.read()).temperature_c if self._sensor else own.temperature_c
        return Reading(power_kw, temperature_c)

    async def limit(self, limit_kw: float | None) -> None:
        await self._driver.limit(limit_kw)

    async def close(self) -> None:
        for one in (self._driver, self._meter, self._sensor):
            if one:
                await one.close()


def fitted(place: Place, driver: AnyDriver, meter: AnyDriver | None, sensor: AnyDriver | None) -> Driver:
    """What holds a load and what measures it, put together. Raises `Refused`."""
    first: Driver = driver.open(place)
    beside: list[Driver | None] = [one.open(place) if one else None for one in (meter, sensor)]
    return Fitting(first, *beside) if any(beside) else first
