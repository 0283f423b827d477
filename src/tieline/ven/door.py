"""The MQTT door of a platform, as its devices use it: where it is, whether in TLS, whether by certificates."""

import functools
import ssl
from collections.abc import Callable

from tieline.ven import tls
from tieline.ven.client import Client, Platform
from tieline.ven.session import Session
from tieline.wires.mqtt.messages import Command


class MqttDoor:
    """Of the platform that `client` asks. A certificate is renewed at each connection: they are short-lived."""

    def __init__(self, client: Client, platform: Platform) -> None:
        self._client = client
        self._platform = platform
        self._trusting: ssl.SSLContext | None = None

    def session(self, ven_id: str, secret: str, on_command: Callable[[Command], None]) -> Session:
        where = self._platform
        secured = functools.partial(self._context, ven_id) if where.mqtt_tls else None
        return Session(ven_id, secret, host=where.mqtt_host, port=where.mqtt_port, on_command=on_command, tls=secured)

    async def _context(self, ven_id: str) -> ssl.SSLContext:
        if self._platform.mqtt_auth == "certificate":
            own = await self._client.certificate(ven_id)
            return tls.context(own.ca, own.certificate, own.key)
        if self._trusting is None:
            self._trusting = tls.context(await self._client.ca())
        return self._trusting
