"""How the agent shows itself to Home Assistant: what it says at the broker at home, by topic. Pure.

    homeassistant/…/config       discovery: one device, and of each load its power, its limit and whether it is held
    tieline/{ven}/{load}         its state, as JSON, which they point into

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from tieline import __version__
from tieline.ven.agent.configuration import Load
from tieline.ven.agent.home import HomeBroker
from tieline.ven.agent.page import LoadView


def discovery(home: HomeBroker, loads: Iterable[Load]) -> dict[str, str]:
    """What Home Assistant is to find; nothing where it is not to look."""
    if not (prefix := home.home.discovery_prefix):
        return {}
    found: dict[str, str] = {}
    for load in loads:
        for component, what, more in _ENTITIES:
            unique = f"tieline_{home.name}_{load.id}_{what}"
            found[f"{prefix}/{component}/{unique}/config"] = msgspec.json.encode(
                {
                    "name": f"{load.id} {what}",
                    "unique_id": unique,
                    "state_topic": state_topic(home, load.id),
                    "availability_topic": home.availability_topic,
                    "device": _device(home),
                    **more,
                }
            ).decode()
    return found


def states(home: HomeBroker, loads: Iterable[LoadView]) -> dict[str, str]:
    """How each load is."""
    return {
        state_topic(home, one.load_id): msgspec.json.encode(
            {"power_kw": one.power_kw, "limit_kw": one.limit_kw, "held": one.why is not None, "trouble": one.trouble}
        ).decode()
        for one in loads
    }


def state_topic(home: HomeBroker, load_id: str) -> str:
    return f"tieline/{home.name}/{load_id}"


_KW: dict[str, Any] = {"device_class": "power", "unit_of_measurement": "kW", "state_class": "measurement"}
_ENTITIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sensor", "power", {"value_template": "{{ value_json.power_kw }}", **_KW}),
    ("sensor", "limit", {"value_template": "{{ value_json.limit_kw }}", **_KW}),
    ("binary_sensor", "held", {"value_template": "{{ 'ON' if value_json.held else 'OFF' }}"}),
)


def _device(home: HomeBroker) -> dict[str, Any]:
    return {
        "identifiers": [f"tieline_{home.name}"],
        "name": f"Tieline {home.name}",
        "manufacturer": "Tieline",
        "sw_version": __version__,
    }
