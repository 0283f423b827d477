"""Settings become ports: the only room that names adapters."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypedDict

import msgspec
from nats.aio.client import Client

from tieline import metrics
from tieline.adapters.blobs import ObjectBlobs
from tieline.adapters.nats.callout import AuthCallout
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import NatsServer
from tieline.adapters.series import DeltaSeries
from tieline.adapters.series import Limits as SeriesLimits
from tieline.adapters.sql.clock import SharedClock
from tieline.adapters.sql.outbox import Outbox
from tieline.adapters.sql.postgres import PostgresRows
from tieline.adapters.sql.sqlite import SqliteRows
from tieline.app.door import Door, opened_door
from tieline.base.access import Caller, Decide, Grant
from tieline.base.errors import Refused
from tieline.base.time import Clock, RatedClock
from tieline.dispatch import mqtt as dispatch_mqtt
from tieline.identity import mqtt as identity_mqtt
from tieline.identity import part as identity_part
from tieline.identity.part import Identity
from tieline.identity.verification import Verifier
from tieline.ports import Blobs, Log, Rows, Series
from tieline.settings import Settings
from tieline.telemetry import intake


class Store(msgspec.Struct):
    """The ports that need no broker: enough to load files and to migrate."""

    rows: SqliteRows | PostgresRows
    series: Series
    blobs: Blobs
    clock: RatedClock
    shared_clock: SharedClock


class Connection(Protocol):
    """The line to NATS. It comes back by itself for ever; when it is closed all the same, only a new start helps."""

    @property
    def is_closed(self) -> bool: ...


class Ports(msgspec.Struct):
    """Everything a part may be given."""

    log: Log
    rows: Rows
    series: Series
    blobs: Blobs
    clock: RatedClock
    shared_clock: SharedClock
    publisher: MqttPublisher
    outbox: Outbox
    identity: Identity
    mqtt_host: str
    mqtt_port: int
    door: Door
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
        series = _series(settings)
        try:
            yield Store(rows, series, _blobs(settings), clock, shared)
        finally:
            await series.close()


def _series(settings: Settings) -> DeltaSeries:
    limits = SeriesLimits(memory_mb=settings.series_memory_mb)
    if not settings.objects:
        return DeltaSeries.in_folder(settings.folder / "series", limits=limits)
    bucket, prefix = _bucket(settings)
    cache = settings.folder / "cache"
    return DeltaSeries.in_bucket(bucket, prefix=f"{prefix}series", cache=cache, limits=limits, **_s3(settings))


def _blobs(settings: Settings) -> ObjectBlobs:
    if not settings.objects:
        return ObjectBlobs.folder(settings.folder / "blobs")
    bucket, prefix = _bucket(settings)
    return ObjectBlobs.s3(bucket, prefix=f"{prefix}blobs", **_s3(settings))


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
    issuer_seed: str
    mqtt_host: str
    mqtt_port: int
    door: Door
    ready: Callable[[], None]


@contextlib.asynccontextmanager
async def _broker(settings: Settings, rows: Rows, wall: Clock) -> AsyncIterator[Broker]:
    """The NATS servers that the settings name, or a child of our own, kept running."""
    door = await opened_door(settings, rows, wall)
    if settings.nats_urls:
        urls = [url.strip() for url in settings.nats_urls.split(",")]
        yield Broker(
            urls,
            settings.nats_user,
            settings.nats_password,
            settings.nats_issuer_seed,
            settings.mqtt_host,
            settings.mqtt_port,
            door,
            lambda: None,
        )
        return
    server = NatsServer(
        settings.folder / "nats",
        binary=settings.nats_server or None,
        host=settings.mqtt_host,
        mqtt_port=None if settings.mqtt_port == 1883 else settings.mqtt_port,
        tls=door.served(),
        sync_interval=settings.log_sync,
        on_violation=lambda _: metrics.BROKER_VIOLATIONS.inc(),
    )
    await server.start()
    try:
        yield Broker(
            [server.url],
            server.user,
            server.password,
            server.issuer_seed,
            server.mqtt_host,
            server.mqtt_port,
            door,
            server.ready,
        )
    finally:
        await server.stop()


def _decide(settings: Settings, rows: Rows, verifier: Verifier) -> Decide:
    decided = identity_mqtt.decide(settings.mqtt_auth, rows, verifier)

    async def decide(caller: Caller) -> Grant | None:
        if (grant := await decided(caller)) is None:
            metrics.CONNECT_DENIED.inc()
        return grant

    return decide


def _publisher(settings: Settings, broker: Broker) -> MqttPublisher:
    tls = broker.door.context if settings.mqtt_tls else None
    return MqttPublisher(broker.mqtt_host, broker.mqtt_port, user=broker.user, password=broker.password, tls=tls)


async def _log(settings: Settings, connection: Client) -> NatsLog:
    log = await NatsLog.open(connection, replicas=settings.log_replicas)
    # The broker keeps a device's message only for groups that it knows of: they come before the devices.
    for subject in intake.SUBJECTS.values():
        await log.prepare(subject, group=intake.GROUP)
    await log.prepare(dispatch_mqtt.SUBJECT, group=dispatch_mqtt.GROUP)
    return log


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Ports]:
    """Every port, open and usable; closed again in reverse order."""
    # Tokens and certificates keep the wall's time, be the platform's a simulated one: other machines read them.
    wall = RatedClock()
    async with opened_store(settings) as store, _broker(settings, store.rows, wall) as broker:
        connection = await connect(broker.urls, user=broker.user, password=broker.password)
        who = identity_part.identity(store.rows, wall, settings)
        publisher = _publisher(settings, broker)
        # A line of its own: however busy the Log is, a device that connects is answered at once.
        asking = await connect(broker.urls, user=broker.user, password=broker.password, name="tieline-callout")
        callout = AuthCallout(asking, _decide(settings, store.rows, who.verifier), issuer_seed=broker.issuer_seed)
        try:
            await publisher.start()
            events = await _log(settings, connection)
            await callout.start()
            yield Ports(
                events,
                store.rows,
                store.series,
                store.blobs,
                store.clock,
                store.shared_clock,
                publisher,
                Outbox(store.rows, events),
                who,
                broker.mqtt_host,
                broker.mqtt_port,
                broker.door,
                connection,
                broker.ready,
            )
        finally:
            await callout.stop()
            await publisher.stop()
            await asking.close()
            await connection.close()
