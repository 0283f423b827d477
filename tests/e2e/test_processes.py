"""Processes that share the work: on one laptop's folder, and on a NATS cluster, PostgreSQL and an S3 API."""

import asyncio
from collections.abc import Callable

import pytest

from tests.e2e.home import HEATER_KW, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tests.e2e.scene import HOMES, QUICK, call, finished, living, until
from tests.servers.nats import NatsCluster
from tests.servers.s3 import Bucket

WORK = ("run", "telemetry", "dispatch", "settlement")


async def test_two_processes_on_one_folder_and_the_owner_of_the_broker_dies(
    platforms: Callable[..., Platform],
) -> None:
    platform = platforms(**QUICK).start("run", "api")
    platform.also(*WORK)
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["acting"] == HOMES, "all are acting")
        platform.kill()  # it had started the broker: the other process takes it over
        await asyncio.to_thread(platform.start, "run", "api")
        assert (await finished(platform, event_id))["rows"]["restored"] == HOMES
        await assert_nothing_lost_nothing_twice(platform, homes)
        await until(lambda: platform.get("/v1/statements", event_id=event_id)["items"], "the statement")


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
        await until(lambda: platform.get(f"/v1/events/{event_id}")["rows"]["acting"] == HOMES, "all are acting")
        fresh_cluster.nodes[2].kill()
        try:
            assert (await finished(platform, event_id))["rows"]["restored"] == HOMES
            await assert_nothing_lost_nothing_twice(platform, homes)
            statements = await until(
                lambda: platform.get("/v1/statements", event_id=event_id)["items"], "the statement"
            )
            assert len(statements) == 1
            assert statements[0]["delivered_kwh"] == pytest.approx(statements[0]["target_kwh"], rel=0.35)
        finally:
            await asyncio.to_thread(fresh_cluster.start)
