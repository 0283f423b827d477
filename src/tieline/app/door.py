"""The MQTT door as the settings choose it: what it serves TLS with, and how those that come to it connect."""

import ssl
from datetime import timedelta
from pathlib import Path

from tieline.adapters.nats.configuration import Tls
from tieline.base.errors import Refused
from tieline.base.time import Clock
from tieline.identity import authority as authorities
from tieline.identity import mqtt
from tieline.identity.authority import Authority
from tieline.identity.mqtt import Authentication, Certificates
from tieline.identity.sealing import kept_passphrase
from tieline.ports import Rows
from tieline.settings import Settings
from tieline.ven import tls

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  compared with, not listened on
_HERE = ("localhost", "127.0.0.1", "::1")


class Door:
    """`authority` where certificates of our own are needed. `trusted` is what clients know the door by, as PEM; empty
    where it speaks in clear. `certifier` issues certificates for clients, where those are asked for. Raises `Refused`
    for files of the settings that cannot be used."""

    def __init__(self, settings: Settings, clock: Clock, authority: Authority | None) -> None:
        self._settings = settings
        self._authority = authority
        self.certifier = authority if settings.mqtt_auth == "certificate" else None
        self._outside_ca = _read("mqtt_ca", settings.mqtt_ca) if settings.mqtt_tls else ""
        others = settings.mqtt_cert or settings.nats_urls
        self.trusted = self._outside_ca if others or authority is None else authority.certificate
        certificates = Certificates(self.certifier, clock, self.trusted) if self.certifier else None
        self.authentication: Authentication = mqtt.authentication(settings.mqtt_auth, certificates)

    def served(self) -> Tls | None:
        """What our own server speaks TLS with, if it does."""
        if not self._settings.mqtt_tls:
            return None
        certificate, key = self._pair()
        known = [self._authority.certificate] if self._authority else []
        return Tls(certificate, key, "\n".join([*known, self._outside_ca]), verify=self.certifier is not None)

    def context(self) -> ssl.SSLContext:
        """How the platform itself connects. Its own server it knows by the authority alone: that is on this machine,
        by whatever name its certificate calls it."""
        own = self.certifier.for_client("tieline", "platform") if self.certifier else None
        made = tls.context(self.trusted, *((own.certificate, own.key) if own else ()))
        made.check_hostname = bool(self._settings.nats_urls)
        return made

    def _pair(self) -> tuple[str, str]:
        settings = self._settings
        if settings.mqtt_cert:
            pair = _read("mqtt_cert", settings.mqtt_cert), _read("mqtt_key", settings.mqtt_key)
            tls.context(self.trusted, *pair)  # sooner here than by a server that does not start
            return pair
        assert self._authority is not None
        named = [one.strip() for one in settings.mqtt_names.split(",") if one.strip()]
        host = [settings.mqtt_host] if settings.mqtt_host not in EVERY_ADDRESS else []
        issued = self._authority.for_server([*named, *host, *_HERE])
        return issued.certificate, issued.key


async def opened_door(settings: Settings, rows: Rows, clock: Clock) -> Door:
    """The clock is the wall's. Raises `Refused`."""
    own = settings.mqtt_tls and not (settings.mqtt_cert or settings.nats_urls)
    needed = own or settings.mqtt_auth == "certificate"
    return Door(settings, clock, await opened_authority(settings, rows, clock) if needed else None)


async def opened_authority(settings: Settings, rows: Rows, clock: Clock) -> Authority:
    """Made at first need. Raises `Refused` where it cannot be opened."""
    lasts = timedelta(hours=settings.certificate_hours)
    return await authorities.opened(rows, clock, passphrase(settings), lasts)


def passphrase(settings: Settings) -> str:
    """What the authority's key is sealed with. Raises `Refused` for a file that others may read."""
    return settings.ca_key or kept_passphrase(settings.folder / "ca.key")


def _read(name: str, path: str) -> str:
    if not path:
        return ""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Refused(f"{name} {path}: {error.strerror}") from None
    if "-----BEGIN " not in text:
        raise Refused(f"{name} {path} is no PEM file")
    return text
