"""Ports become parts, parts become what a process runs: its tasks and its HTTP doors."""

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar

from tieline import __version__, api, doors
from tieline.app.door import EVERY_ADDRESS, passphrase
from tieline.app.ports import Ports
from tieline.base.errors import Refused
from tieline.base.part import Asgi, Part, Task
from tieline.dispatch import part as dispatch
from tieline.dispatch.model import Policy
from tieline.feeds import part as feeds
from tieline.forecasts import part as forecasts
from tieline.forecasts.model import Plan
from tieline.identity import part as identity
from tieline.identity.devices import Door
from tieline.ports import Entry, Log
from tieline.registry import part as registry
from tieline.registry.twins import part as twins
from tieline.settings import Settings
from tieline.settlement import part as settlement
from tieline.settlement.documents import part as documents
from tieline.telemetry import part as telemetry
from tieline.telemetry.fleet import Fleet
from tieline.telemetry.flood import Bounds
from tieline.telemetry.flooding import Flooding
from tieline.telemetry.model import Dead, Limits
from tieline.telemetry.presence.model import Policy as PresencePolicy
from tieline.telemetry.replay import Letters
from tieline.telemetry.rollups.levels import Levels
from tieline.telemetry.rollups.reads import Rollups
from tieline.telemetry.tail import Tail
from tieline.vtn import part as vtn
from tieline.vtn.notifiers import Broker
from tieline.web import routes as web

if TYPE_CHECKING:
    from tieline.vtn.announce import Announced

PARTS = ("api", "telemetry", "forecasts", "dispatch", "settlement", "vtn")
BESIDE = {"telemetry": ("statistics", "rollups", "twins", "flooding"), "dispatch": ("flooding",)}
"""Parts of slices' own that run wherever the messages of devices are taken in."""
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Mounted:
    """ASGI: what lies below a path of `mounts` is its application's, all else `rest`'s; every answer is timed."""

    def __init__(self, rest: Litestar, mounts: Mapping[str, Asgi]) -> None:
        self.rest = rest
        self._mounts = list(mounts.items())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        app = next((app for below, app in self._mounts if path.startswith(below)), self.rest)
        await doors.timed(app, scope, receive, send)


class Process(msgspec.Struct):
    """What a process runs: its tasks, its HTTP application, and the tail that it seals when it stops."""

    tasks: list[Task]
    http: Mounted
    tail: Tail


def assemble(settings: Settings, ports: Ports, names: Sequence[str]) -> Process:
    """The chosen parts. Raises `Refused` for a part that does not exist."""
    if unknown := sorted(set(names) - set(PARTS)):
        raise Refused(f"there is no part {', '.join(unknown)}: choose of {', '.join(PARTS)}")
    seals = "telemetry" in names
    tail = Tail(ports.log, ports.series, seals=seals, seal_seconds=settings.series_seal_seconds)
    fleet = Fleet(ports.rows, tail, ports.clock, settings.online_s, _presence(settings))
    levels = Levels(ports.rows, ports.series, ports.five, ports.hour)
    parts = _parts(settings, ports, tail, fleet, levels)
    tasks = [
        Task("outbox", ports.outbox.run),
        Task("clock", ports.shared_clock.watch),
        *parts["values"].tasks,
        *parts["identity"].tasks,
        *[task for own in _with_beside(names) if own in parts for task in parts[own].tasks],
    ]
    rollups = Rollups(levels)
    provided = {
        "fleet": fleet,
        "rollups": rollups,
        "letters": Letters(ports.log, ports.rows, ports.refused, ports.clock, _limits(settings)),
        **telemetry.answering(ports.log, ports.rows, ports.series, rollups, tail, ports.clock),
    }
    http = _http(settings, ports, provided, parts if "api" in names else {})
    mounts = {path: app for name in names if name in parts for path, app in parts[name].mounts.items()}
    return Process(tasks, Mounted(http, mounts), tail)


def _with_beside(names: Sequence[str]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(own for name in names for own in (name, *BESIDE.get(name, ()))))


class _WithBroker:
    """Ready when the Log is and the broker under it can write: on a full disk the Log alone would not know."""

    def __init__(self, log: Log, broker_ready: Callable[[], None]) -> None:
        self._log = log
        self._broker_ready = broker_ready

    async def ready(self) -> None:
        self._broker_ready()
        await self._log.ready()


def _http(settings: Settings, ports: Ports, provided: Mapping[str, object], parts: Mapping[str, Part]) -> Litestar:
    """The doors of /v1 and the page of these parts; of none, only health and metrics."""
    checked: dict[str, api.Checked] = {
        "log": _WithBroker(ports.log, ports.broker_ready),
        "rows": ports.rows,
        "series": ports.series,
        "blobs": ports.blobs,
        "documents": ports.documents,
    }

    def index(called: str) -> api.Index:
        port, clock = ports.mqtt_port, ports.clock
        host = called if settings.mqtt_host in EVERY_ADDRESS else ports.mqtt_host
        return api.Index(
            "Tieline",
            __version__,
            clock.now(),
            clock.anchor.speed,
            mqtt_host=host,
            mqtt_port=port,
            mqtt_tls=settings.mqtt_tls,
            mqtt_auth=settings.mqtt_auth,
            site_zone=settings.zone,
        )

    return api.application(
        [route for part in parts.values() for route in part.routes],
        web.routes() if parts else [],
        gate=doors.Gate(settings.api_token or None, LOCAL_NAMES),
        index=index,
        rate=ports.shared_clock.rate if settings.loopback else None,
        checked=checked,
        provided={**checked, "log": ports.log, "clock": ports.clock, **provided},
    )


def _notifying(settings: Settings, ports: Ports) -> Broker:
    scheme = "mqtts" if ports.door.trusted else "mqtt"
    host = ports.mqtt_host
    if host in EVERY_ADDRESS:
        host = settings.mqtt_names.split(",")[0].strip() or socket.getfqdn()
    return Broker([f"{scheme}://{host}:{ports.mqtt_port}"], ports.door.authentication)


def _identity(settings: Settings, ports: Ports) -> Part:
    host = "" if settings.mqtt_host in EVERY_ADDRESS else ports.mqtt_host
    door = Door(host, ports.mqtt_port, ports.door.trusted)
    lasts = timedelta(days=settings.device_certificate_days)
    return identity.part(ports.log, ports.rows, ports.wall, door, ports.door.certifier, ports.sessions, lasts)


def _flooding(settings: Settings, ports: Ports) -> Flooding:
    bounds = Bounds(settings.flood_per_s, settings.flood_burst, settings.flood_pause_s)
    return Flooding(ports.log, ports.rows, ports.refused, ports.clock, ports.wall, bounds)


def _twins(ports: Ports, flooding: Flooding) -> Part:
    async def refuse(entry: Entry, ven_id: str, reason: str, detail: str) -> None:
        await flooding.refuse(entry, ven_id, Dead(reason, detail))

    def said_at(entry: Entry) -> datetime:
        return ports.clock.anchor.read(entry.said_at.timestamp())

    publish = ports.publisher.publish
    return twins.part(ports.log, ports.rows, ports.documents, ports.clock, publish, refuse, said_at, flooding)


def _presence(settings: Settings) -> PresencePolicy:
    return PresencePolicy(gone_s=settings.presence_gone_s)


def _gateway(settings: Settings, limits: Limits) -> vtn.Options:
    return vtn.Options(
        zone=settings.zone,
        public_url=settings.public_url.rstrip("/"),
        development=settings.development,
        anonymous=settings.anonymous_reads,
        limits=limits,
        announced=_announced(settings) if settings.mdns else None,
    )


def _announced(settings: Settings) -> "Announced":
    from tieline.vtn.announce import Announced  # noqa: PLC0415  mDNS costs 15 MB, and is seldom wanted

    return Announced(
        address=settings.http_host,
        port=settings.http_port,
        url=settings.public_url.rstrip("/"),
        requires_auth=not settings.anonymous_reads,
    )


def _forecasts(settings: Settings, ports: Ports, tail: Tail) -> Part:
    plan = Plan(settings.zone, settings.forecast_hour, settings.forecast_every_s)
    return forecasts.part(ports.log, ports.rows, ports.series, ports.clock, ports.wall, tail, plan)


def _settlement(settings: Settings, ports: Ports) -> list[Part]:
    return [
        settlement.part(ports.rows, ports.series, ports.clock, delay_s=settings.settle_delay_s, blobs=ports.blobs),
        documents.part(ports.rows, ports.wall, lambda: passphrase(settings)),
    ]


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.reading_ahead_s, settings.reading_future_s, settings.reading_late_s, settings.reading_stale_s
    )


def _parts(settings: Settings, ports: Ports, tail: Tail, fleet: Fleet, levels: Levels) -> dict[str, Part]:
    limits = _limits(settings)
    policy = Policy(
        lead_s=settings.lead_s,
        ack_s=settings.ack_s,
        resend_s=settings.resend_s,
        escalate_s=settings.escalate_s,
        online_s=settings.online_s,
        look_s=settings.look_s,
        meter_s=settings.meter_s,
        tolerance=settings.tolerance,
    )
    log_, rows, series, refused, clock = ports.log, ports.rows, ports.series, ports.refused, ports.clock
    flooding = _flooding(settings, ports)  # one: a device may send all that it may by one way
    parts = [
        _identity(settings, ports),
        registry.part(),
        _twins(ports, flooding),
        telemetry.part(log_, rows, series, refused, clock, limits, flooding, _presence(settings)),
        telemetry.floods(flooding),
        telemetry.statistics(log_, rows, series, clock, fleet),
        telemetry.rollups(levels, clock),
        telemetry.reading(tail, fleet),
        feeds.part(),
        dispatch.part(log_, rows, series, clock, ports.publisher, policy, flooding),
        _forecasts(settings, ports, tail),
        *_settlement(settings, ports),
        vtn.part(
            log_,
            rows,
            refused,
            clock,
            ports.identity,
            ports.publisher.publish,
            _notifying(settings, ports),
            _gateway(settings, limits),
        ),
    ]
    return {part.name: part for part in parts}
