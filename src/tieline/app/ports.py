"""Settings become ports: the only room that names adapters."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypedDict

import msgspec
import pyarrow as pa
import structlog
from nats.aio.client import Client

from tieline import metrics
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.configuration import SYSTEM_USER
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.documents import NatsDocuments
from tieline.adapters.nats.line import NatsConnection
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import HANDSHAKE, NatsServer
from tieline.adapters.nats.sessions import Sessions
from tieline.adapters.series import DeltaSeries
from tieline.adapters.series import Limits as SeriesLimits
from tieline.adapters.sql.clock import SharedClock
from tieline.adapters.sql.outbox import Outbox
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.app.door import Door, opened_door
from tieline.base.access import Caller, Decide
from tieline.base.errors import Refused
from tieline.base.series import READINGS, ROLLUPS
from tieline.base.time import Clock, RatedClock
from tieline.dispatch import mqtt as dispatch_mqtt
from tieline.identity import mqtt as identity_mqtt
from tieline.identity import part as identity_part
from tieline.identity.model import Denied
from tieline.identity.part import Identity
from tieline.identity.verification import Verifier
from tieline.ports import Blobs, Documents, Log, Rows, Series
from tieline.registry.twins import mqtt as twins_mqtt
from tieline.settings import Settings
from tieline.telemetry import intake
from tieline.telemetry.presence import mqtt as presence_mqtt

log = structlog.get_logger(__name__)


class Store(msgspec.Struct):
    """The ports that need no broker: enough to load files and to migrate."""

    rows: SqliteRows | PostgresRows
    series: Series
    five: Series  # the rollups of series, by five minutes and by hours
    hour: Series
    blobs: Blobs
    refused: Blobs  # of dead letters alone, whose bytes are forgotten in time
    clock: RatedClock
    shared_clock: SharedClock


class Connection(Protocol):
    """The line to NATS. It comes back by itself for ever; when it is closed all the same, only a new start helps."""

    @property
    def is_closed(self) -> bool: ...


class Ports(msgspec.Struct):
    """Everything a part may be given."""

    log: Log
    documents: Documents
    rows: Rows
    series: Series
    five: Series
    hour: Series
    blobs: Blobs
    refused: Blobs
    clock: RatedClock
    wall: Clock  # of tokens and certificates, be the platform's a simulated one: other machines read them
    shared_clock: SharedClock
    publisher: MqttPublisher
    outbox: Outbox
    identity: Identity
    mqtt_host: str
    mqtt_port: int
    door: Door
    sessions: Sessions | None
    connection: Connection
    broker_ready: Callable[[], None]


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """Rows (migrated), Series and Blobs as the settings say."""
    folder, clock = settings.folder, RatedClock()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refused(f"data folder {folder}: {error.strerror}; set TIELINE_DATA to one that can be written") from None
    rows = PostgresRows(settings.rows_url, clock) if settings.rows_url else SqliteRows(folder / "rows.sqlite", clock)
    async with rows:
        await rows.migrate()
        shared = SharedClock(rows, clock)
        await shared.open(settings.clock_speed, settings.clock_start_at)
        series, five, hour = (_series(settings, named, shape) for named, shape in TABLES.items())
        try:
            blobs, refused = _blobs(settings, "blobs"), _blobs(settings, "refused")
            yield Store(rows, series, five, hour, blobs, refused, clock, shared)
        finally:
            for one in (series, five, hour):
                await one.close()


TABLES = {"series": READINGS, "series-5m": ROLLUPS, "series-1h": ROLLUPS}
ROLLUPS_SHARE = 2
"""What is rolled up is read with so many times less memory than raw readings: three tables share one process."""


def _series(settings: Settings, named: str, shape: pa.Schema) -> DeltaSeries:
    limits = SeriesLimits(memory_mb=settings.series_memory_mb // (1 if shape is READINGS else ROLLUPS_SHARE))
    if not settings.objects:
        return DeltaSeries.in_folder(settings.folder / named, limits=limits, shape=shape)
    bucket, prefix = _bucket(settings)
    cache = settings.folder / "cache"
    s3 = _s3(settings)
    return DeltaSeries.in_bucket(bucket, prefix=f"{prefix}{named}", cache=cache, limits=limits, shape=shape, **s3)


def _blobs(settings: Settings, named: str) -> ObjectBlobs:
    if not settings.objects:
        return ObjectBlobs.folder(settings.folder / named)
    bucket, prefix = _bucket(settings)
    return ObjectBlobs.s3(bucket, prefix=f"{prefix}{named}", **_s3(settings))


class _S3(TypedDict):
    region: str
    endpoint: str | None
    key_id: str | None
    secret: str | None


def _s3(settings: Settings) -> _S3:
    return _S3(
        region=settings.s3_region,
        endpoint=settings.s3_endpoint or None,
        key_id=settings.s3_key_id or None,
        secret=settings.s3_secret or None,
    )


def _bucket(settings: Settings) -> tuple[str, str]:
    scheme, _, rest = settings.objects.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise Refused(f"objects {settings.objects!r} is not of the form s3://bucket/prefix")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


class Broker(msgspec.Struct):
    """Where NATS and the MQTT door are, and what opens them."""

    urls: list[str]
    user: str
    password: str
    system_user: str
    system_password: str
    issuer_seed: str
    mqtt_host: str
    mqtt_port: int
    door: Door
    ready: Callable[[], None]


def _theirs(settings: Settings, door: Door) -> Broker:
    return Broker(
        urls=[url.strip() for url in settings.nats_urls.split(",")],
        user=settings.nats_user,
        password=settings.nats_password,
        system_user=settings.nats_system_user,
        system_password=settings.nats_system_password,
        issuer_seed=settings.nats_issuer_seed,
        mqtt_host=settings.mqtt_host,
        mqtt_port=settings.mqtt_port,
        door=door,
        ready=lambda: None,
    )


@contextlib.asynccontextmanager
async def _broker(settings: Settings, rows: Rows, wall: Clock) -> AsyncIterator[Broker]:
    """The NATS servers that the settings name, or a child of our own, kept running."""
    door = await opened_door(settings, rows, wall)
    if settings.nats_urls:
        yield _theirs(settings, door)
        return
    server = NatsServer(
        settings.folder / "nats",
        binary=settings.nats_server or None,
        host=settings.mqtt_host,
        mqtt_port=None if settings.mqtt_port == 1883 else settings.mqtt_port,
        tls=door.served(),
        sync_interval=settings.log_sync,
        on_violation=_violated,
    )
    await server.start()
    try:
        yield Broker(
            [server.url],
            server.user,
            server.password,
            SYSTEM_USER,
            server.system_password,
            server.issuer_seed,
            server.mqtt_host,
            server.mqtt_port,
            door,
            server.ready,
        )
    finally:
        await server.stop()


def _denied(caller: Caller, why: Denied) -> None:
    metrics.CONNECT_DENIED.labels(why).inc()
    name = caller.proof.name if caller.proof else caller.user
    log.warning("a connection was refused", reason=why.value, who=name[:80], mqtt_client_id=caller.mqtt_client_id[:80])


def _violated(line: str) -> None:
    """A line of the server's log: of whoever showed no good certificate the callout is never asked."""
    if HANDSHAKE not in line:
        metrics.BROKER_VIOLATIONS.inc()
        return
    metrics.CONNECT_DENIED.labels(Denied.BAD_CERTIFICATE).inc()
    log.warning("a connection was refused", reason=Denied.BAD_CERTIFICATE.value, said=line[-300:])


def _decide(settings: Settings, rows: Rows, wall: Clock, verifier: Verifier) -> Decide:
    return identity_mqtt.decide(settings.mqtt_auth, rows, wall, verifier, _denied)


async def _callout(broker: Broker, decide: Decide) -> tuple[AuthCallout, Client]:
    """On a line of its own: however busy the Log is, a device that connects is answered at once."""
    line = await connect(broker.urls, user=broker.user, password=broker.password, name="tieline-callout")
    return AuthCallout(line, decide, issuer_seed=broker.issuer_seed), line


@contextlib.asynccontextmanager
async def _sessions(broker: Broker) -> AsyncIterator[Sessions | None]:
    """None on servers of others whose system account is not told."""
    if not broker.system_user:
        log.warning("whoever is revoked stays connected until it leaves: set TIELINE_NATS_SYSTEM_USER and its password")
        yield None
        return
    line = await connect(broker.urls, user=broker.system_user, password=broker.system_password, name="tieline-system")
    try:
        yield Sessions(line)
    finally:
        await line.close()


def _publisher(settings: Settings, broker: Broker) -> MqttPublisher:
    tls = broker.door.context if settings.mqtt_tls else None
    return MqttPublisher(broker.mqtt_host, broker.mqtt_port, user=broker.user, password=broker.password, tls=tls)


GROUPS = [
    (intake.DEVICES, intake.GROUP),
    (dispatch_mqtt.SUBJECT, dispatch_mqtt.GROUP),
    (presence_mqtt.SUBJECT, presence_mqtt.GROUP),
    *[(subject, twins_mqtt.GROUP) for subject in twins_mqtt.SUBJECTS],
]
"""The broker keeps a device's message only for groups that it knows of: they come before the devices."""
RETIRED = [("mqtt.oadr.meter.*", intake.GROUP), ("mqtt.ven.loads.*", intake.GROUP)]
"""Groups of earlier versions, for which the broker would keep messages for ever."""


async def _log(settings: Settings, connection: NatsConnection) -> NatsLog:
    opened = await NatsLog.open(connection, replicas=settings.log_replicas)
    for subject, group in GROUPS:
        await opened.prepare(subject, group=group)
    for subject, group in RETIRED:
        await opened.retire(subject, group=group)
    return opened


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Ports]:
    """Every port, open and usable; closed again in reverse order."""
    wall = RatedClock()
    async with (
        opened_store(settings) as store,
        _broker(settings, store.rows, wall) as broker,
        _sessions(broker) as sessions,
    ):
        connection = await connect(broker.urls, user=broker.user, password=broker.password)
        who = identity_part.identity(store.rows, wall, settings)
        publisher = _publisher(settings, broker)
        callout, line = await _callout(broker, _decide(settings, store.rows, wall, who.verifier))
        try:
            await publisher.start()
            events = await _log(settings, connection)
            await callout.start()
            yield Ports(
                events, await NatsDocuments.open(connection, replicas=settings.log_replicas),
                store.rows, store.series, store.five, store.hour, store.blobs, store.refused,
                store.clock, wall, store.shared_clock,
                publisher, Outbox(store.rows, events), who,
                broker.mqtt_host, broker.mqtt_port, broker.door, sessions, connection, broker.ready,
            )  # fmt: skip
        finally:
            await callout.stop()
            await publisher.stop()
            await line.close()
            await connection.close()
