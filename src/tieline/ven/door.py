"""The MQTT door of a platform, as its devices use it: where it is, whether in TLS, whether by certificates."""

import functools
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from tieline.ven import tls
from tieline.ven.client import Client, Platform
from tieline.ven.session import EACH_MINUTE, Beat, Session
from tieline.wires.mqtt.messages import Command

if TYPE_CHECKING:
    from tieline.ven.certificates import Certificates  # its library costs memory that who has no certificate saves


class MqttDoor:
    """Of the platform that `client` asks. A certificate is renewed at each connection: they are short-lived."""

    def __init__(self, client: Client, platform: Platform) -> None:
        self._client = client
        self._platform = platform
        self._trusting: ssl.SSLContext | None = None

    def session(
        self, ven_id: str, secret: str, on_command: Callable[[Command], None], beat: Beat = EACH_MINUTE
    ) -> Session:
        host, port = self._platform.mqtt_host, self._platform.mqtt_port
        secured = functools.partial(self._context, ven_id) if self._platform.mqtt_tls else None
        return Session(ven_id, secret, host=host, port=port, on_command=on_command, tls=secured, beat=beat)

    async def _context(self, ven_id: str) -> ssl.SSLContext:
        if self._platform.mqtt_auth == "certificate":
            own = await self._client.certificate(ven_id)
            return tls.context(own.ca, own.certificate, own.key)
        if self._trusting is None:
            self._trusting = tls.context(await self._client.ca())
        return self._trusting


class EnrolledDoor:
    """Of the platform where this device has enrolled: all that it needs to know it was told then."""

    def __init__(self, certificates: "Certificates") -> None:
        self._certificates = certificates

    def session(self, on_command: Callable[[Command], None], beat: Beat = EACH_MINUTE) -> Session:
        """Raises `Refused` before the device has enrolled."""
        told = self._certificates.enrolment
        secured, host, port = self._certificates.context if told.ca else None, told.mqtt_host, told.mqtt_port
        return Session(told.ven_id, told.secret, host=host, port=port, on_command=on_command, tls=secured, beat=beat)
