"""Processes that share the work: on one laptop's folder, and on a NATS cluster, PostgreSQL and an S3 API."""

import asyncio
from collections.abc import Callable

import pytest

from tests.e2e.home import HEATER_KW
from tests.e2e.platform import Platform
from tests.e2e.scene import HOMES, QUICK, assert_kept_and_settled, call, ended, given, living
from tests.servers.nats import NatsCluster
from tests.servers.s3 import Bucket

WORK = ("run", "telemetry", "dispatch", "settlement")
pytestmark = pytest.mark.lasts(25)


async def test_two_processes_on_one_folder_and_the_owner_of_the_broker_dies(
    platforms: Callable[..., Platform],
) -> None:
    platform = platforms(**QUICK).start("run", "api")
    platform.also(*WORK)
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await given(platform, event_id, homes)
        platform.kill()  # it had started the broker: the other process takes it over
        await asyncio.to_thread(platform.start, "run", "api")
        assert (await ended(platform, event_id))["rows"]["restored"] == HOMES
        await assert_kept_and_settled(platform, event_id, homes)


async def test_the_same_parts_on_a_cluster_a_database_and_an_object_store(
    fresh_cluster: NatsCluster, postgres_database: str, s3_bucket: Bucket, platforms: Callable[..., Platform]
) -> None:
    platform = platforms(
        **QUICK,
        nats_urls=",".join(fresh_cluster.urls),
        nats_user=fresh_cluster.user,
        nats_password=fresh_cluster.password,
        nats_issuer_seed=fresh_cluster.issuer_seed,
        mqtt_port=fresh_cluster.nodes[0].mqtt_port,
        log_replicas=3,
        rows_url=postgres_database,
        objects=f"s3://{s3_bucket.bucket}/tieline",
        s3_endpoint=s3_bucket.endpoint,
        s3_region=s3_bucket.region,
        s3_key_id=s3_bucket.key_id,
        s3_secret=s3_bucket.secret,
    ).start("run", "api")
    platform.also(*WORK)
    platform.also(*WORK)
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await given(platform, event_id, homes)
        fresh_cluster.nodes[2].kill()
        try:
            assert (await ended(platform, event_id))["rows"]["restored"] == HOMES
            await assert_kept_and_settled(platform, event_id, homes)
        finally:
            await asyncio.to_thread(fresh_cluster.start)
