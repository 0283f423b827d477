"""Work shared by two processes of each kind, on a cluster, a database and an object store: one of each dies at once, in
the middle of an event, and what it had begun the other ends."""

import asyncio
from collections.abc import Callable

import pytest

from tests.e2e.home import HEATER_KW, Home, assert_nothing_lost_nothing_twice
from tests.e2e.platform import Platform
from tests.e2e.scene import HOMES, QUICK, call, ended, given, living
from tests.servers.nats import NatsCluster
from tests.servers.s3 import Bucket
from tieline.wires.mqtt.messages import Op

SHARED = ("telemetry", "dispatch")


@pytest.mark.lasts(25)
async def test_one_of_each_kind_dies_in_the_middle_and_the_other_takes_over(
    fresh_cluster: NatsCluster, postgres_tables: str, s3_bucket: Bucket, platforms: Callable[..., Platform]
) -> None:
    platform = platforms(**QUICK, **at_scale(fresh_cluster, postgres_tables, s3_bucket)).start("run", "api")
    doomed = [platform.also("run", part) for part in SHARED]
    for part in SHARED:
        platform.also("run", part)
    async with living(platform) as homes:
        event_id = call(platform, HOMES * HEATER_KW)
        await given(platform, event_id, homes)
        for process in doomed:
            process.kill()
        fresh_cluster.nodes[2].kill()
        try:
            assert (await ended(platform, event_id))["rows"]["restored"] == HOMES
            for home in homes:
                called, *_, last = told = acted(home, event_id)
                assert (called, last, told.count(Op.RESTORE)) == (Op.EVENT, Op.RESTORE, 1)
                assert not home.held
            await assert_nothing_lost_nothing_twice(platform, homes)
        finally:
            await asyncio.to_thread(fresh_cluster.start)


def at_scale(cluster: NatsCluster, database: str, bucket: Bucket) -> dict[str, object]:
    """The settings of every process, wherever it runs."""
    return {
        "nats_urls": ",".join(cluster.urls),
        "nats_user": cluster.user,
        "nats_password": cluster.password,
        "nats_issuer_seed": cluster.issuer_seed,
        "mqtt_port": cluster.nodes[0].mqtt_port,
        "log_replicas": 3,
        "rows_url": database,
        "objects": f"s3://{bucket.bucket}/tieline",
        "s3_endpoint": bucket.endpoint,
        "s3_region": bucket.region,
        "s3_key_id": bucket.key_id,
        "s3_secret": bucket.secret,
    }


def acted(home: Home, event_id: str) -> list[Op]:
    """What it was told, each command once however often it was said."""
    told = {command.command_id: command.op for command in home.commands if command.event_id == event_id}
    return list(told.values())
