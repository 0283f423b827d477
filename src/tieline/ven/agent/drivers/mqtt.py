"""A load that is reached by the broker at home: a Zigbee plug, a device of Home Assistant's, a Tasmota."""

import math
from typing import Annotated

from msgspec import Meta

from tieline.base.errors import Refused, Unready
from tieline.ven.agent.drivers.driver import DriverSettings, Place, Reading, number_at, worded
from tieline.ven.agent.home import HomeBroker


class Mqtt(DriverSettings, frozen=True, tag="mqtt"):
    """`power_topic` tells JSON, in which `power` and `temperature` are dotted paths; an empty path is a bare number.

    What was told longer than `stale_s` ago counts no more. On `limit_topic` stands, retained, the text `hold` with
    `${limit_kw}`, `${limit_w}` or `${limit_percent}` filled in, or the text `free`.
    """

    power_topic: str = ""
    power: str | None = None
    scale: Annotated[float, Meta(gt=0)] = 1.0
    temperature: str | None = None
    stale_s: Annotated[float, Meta(gt=0)] = 300.0
    limit_topic: str = ""
    hold: str = "${limit_kw}"
    free: str = "free"

    @property
    def can_hold(self) -> bool:
        return bool(self.limit_topic)

    @property
    def is_stepless(self) -> bool:
        return "${limit_" in self.hold

    def open(self, place: Place) -> "MqttDevice":
        """Raises `Refused` where no broker at home is named."""
        if (home := place.wiring.home) is None:
            raise Refused(f"load {place.load_id} is on MQTT: name the broker at home under [home]")
        return MqttDevice(self, home, place)


class MqttDevice:
    def __init__(self, settings: Mqtt, home: HomeBroker, place: Place) -> None:
        self._settings = settings
        self._home = home
        self._clock = place.wiring.clock
        self._rated_kw = place.rated_kw
        if settings.power_topic:
            home.listen(settings.power_topic)

    async def read(self) -> Reading:
        settings, topic = self._settings, self._settings.power_topic
        if not topic:
            return Reading()
        heard = self._home.heard(topic)
        age_s = (self._clock.now() - heard.at).total_seconds() if heard else math.inf
        if heard is None or age_s > settings.stale_s:
            raise Unready(f"nothing was heard on {topic} for {settings.stale_s:g} s")
        power, temperature = (
            None if path is None else number_at(heard.payload, path, topic)
            for path in (settings.power, settings.temperature)
        )
        return Reading(None if power is None else power * settings.scale, temperature)

    async def limit(self, limit_kw: float | None) -> None:
        settings = self._settings
        if settings.limit_topic:
            text = settings.free if limit_kw is None else worded(settings.hold, limit_kw, self._rated_kw)
            await self._home.say(settings.limit_topic, text)

    async def close(self) -> None:
        """The broker's connection is the site's."""
