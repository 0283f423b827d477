"""The agent at the load: what a command holds, the MQTT session, the clients of /v1 and of OpenADR VTNs, the VEN agent.

Runs on the bare package:

    from tieline.ven import Credentials, Memory, Plan, VenAgent, VtnClient
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tieline.ven.openadr.agent import Plan as Plan
    from tieline.ven.openadr.agent import VenAgent as VenAgent
    from tieline.ven.openadr.callbacks import Webhook as Webhook
    from tieline.ven.openadr.client import VtnClient as VtnClient
    from tieline.ven.openadr.discovery import FoundVtn as FoundVtn
    from tieline.ven.openadr.discovery import discover as discover
    from tieline.ven.openadr.memory import Memory as Memory
    from tieline.ven.openadr.reporting import Asked as Asked
    from tieline.ven.openadr.token import Credentials as Credentials

_ROOMS = {
    "Asked": "reporting",
    "Credentials": "token",
    "FoundVtn": "discovery",
    "Memory": "memory",
    "Plan": "agent",
    "VenAgent": "agent",
    "VtnClient": "client",
    "Webhook": "callbacks",
    "discover": "discovery",
}


def __getattr__(name: str) -> object:
    """Imported when it is asked for: `tieline --help` and a device on MQTT need none of it."""
    room = f"tieline.ven.openadr.{_ROOMS[name]}" if name in _ROOMS else "tieline.ven.openadr"
    return getattr(importlib.import_module(room), name)
