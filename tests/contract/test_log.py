"""The promises of `ports.Log`, on one supervised server and on a cluster of three."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.servers.nats import free_port
from tests.servers.standing import Standing
from tieline.adapters.nats.connection import connect
from tieline.adapters.nats.log import NatsLog
from tieline.adapters.nats.server import NatsServer
from tieline.base.errors import Broken, Refused, Unready
from tieline.ports import Entry, Log

SOON_AGAIN = pytest.mark.parametrize("ack_wait_s", [3.0])
"""What is not done is delivered again so soon; elsewhere a slow machine has its time."""


@pytest.fixture
def ack_wait_s() -> float:
    return 120.0


@pytest.fixture
async def log(standing: Standing, ack_wait_s: float) -> NatsLog:
    replicas, timeout_s = standing.replicas, standing.timeout_s
    return await NatsLog.open(standing.connection, replicas=replicas, timeout_s=timeout_s, ack_wait_s=ack_wait_s)


async def taken(log: Log, subject: str, *, after: int | None, count: int) -> list[Entry]:
    """The first `count` entries that `follow` yields."""
    entries: list[Entry] = []
    async with aclosing(log.follow(subject, after=after)) as lists:  # type: ignore[type-var]
        async for some in lists:
            entries += some
            if len(entries) >= count:
                break
    return entries


async def worked(log: Log, subject: str, group: str, count: int, at_once: int = 1000) -> list[Entry]:
    """What `work` delivers until there were `count` different entries, each delivery done."""
    entries: list[Entry] = []
    async with aclosing(log.work(subject, group=group, at_once=at_once)) as deliveries:  # type: ignore[type-var]
        async for delivery in deliveries:
            entries += delivery.entries
            await delivery.done()
            if len({e.position for e in entries}) >= count:
                break
    return entries


async def test_what_is_said_is_kept_with_its_position_subject_bytes_and_instant(log: Log, area: str) -> None:
    first = await log.say(f"news.{area}.a", b"\x00one\r\n")
    second = await log.say(f"news.{area}.b", b"")
    assert second > first

    entries = await taken(log, f"news.{area}.>", after=first - 1, count=2)

    assert [(e.position, e.subject, e.data) for e in entries] == [
        (first, f"news.{area}.a", b"\x00one\r\n"),
        (second, f"news.{area}.b", b""),
    ]
    assert all(abs(e.said_at - datetime.now(UTC)) < timedelta(minutes=1) for e in entries)


async def test_last_is_the_newest_under_a_subject_or_none(log: Log, area: str) -> None:
    assert await log.last(f"news.{area}.>") is None
    await log.say(f"news.{area}.a", b"1")
    position = await log.say(f"news.{area}.b", b"2")
    await log.say(f"news.{area}x", b"3")

    newest, of_a = await log.last(f"news.{area}.*"), await log.last(f"news.{area}.a")

    assert newest is not None
    assert of_a is not None
    assert (newest.position, newest.subject, newest.data) == (position, f"news.{area}.b", b"2")
    assert of_a.data == b"1"
    assert newest.said_at.tzinfo is not None


async def test_the_same_key_is_said_once(log: Log, area: str) -> None:
    first = await log.say(f"news.{area}", b"1", key=f"{area}-k")
    again = await log.say(f"news.{area}", b"1", key=f"{area}-k")
    other = await log.say(f"news.{area}", b"2", key=f"{area}-l")

    assert again == first
    assert [e.data for e in await taken(log, f"news.{area}", after=first - 1, count=2)] == [b"1", b"2"]
    assert other > first


async def test_following_a_log_that_has_lost_its_store_is_broken(log: Log, area: str) -> None:
    position = await log.say(f"news.{area}", b"one")
    with pytest.raises(Broken, match="lost its store"):
        await anext(log.follow(f"news.{area}", after=position + 1_000_000))


async def test_follow_from_now_on_gives_only_what_comes(log: Log, area: str) -> None:
    await log.say(f"news.{area}", b"before")
    follower = asyncio.create_task(taken(log, f"news.{area}", after=None, count=1))
    while not follower.done():
        await log.say(f"news.{area}", b"after")
        await asyncio.sleep(0.05)
    assert {e.data for e in follower.result()} == {b"after"}


async def test_a_wildcard_stands_for_one_token_and_a_last_one_for_all_that_follow(log: Log, area: str) -> None:
    start = await log.say(f"news.{area}.x.a", b"1")
    await log.say(f"news.{area}.y.a", b"2")
    await log.say(f"news.{area}.x.a.b", b"3")
    await log.say(f"news.{area}.x.b", b"4")

    assert [e.data for e in await taken(log, f"news.{area}.*.a", after=start - 1, count=2)] == [b"1", b"2"]
    assert [e.data for e in await taken(log, f"news.{area}.x.>", after=start - 1, count=3)] == [b"1", b"3", b"4"]


async def test_work_delivers_all_to_a_group_and_nothing_twice_once_done(log: Log, area: str) -> None:
    await asyncio.gather(*(log.say(f"readings.{area}.{i % 7}", str(i).encode()) for i in range(500)))
    assert await log.waiting(f"readings.{area}.*", group=area) == 500

    entries = await worked(log, f"readings.{area}.*", area, 500, at_once=64)

    assert sorted(int(e.data) for e in entries) == list(range(500))
    assert [e.position for e in entries] == sorted(e.position for e in entries)
    assert await log.waiting(f"readings.{area}.*", group=area) == 0
    await log.say(f"readings.{area}.1", b"500")
    assert [e.data for e in await worked(log, f"readings.{area}.*", area, 1)] == [b"500"]


async def test_a_delivery_holds_no_more_than_asked_for(log: Log, area: str) -> None:
    await asyncio.gather(*(log.say(f"readings.{area}", b"x") for _ in range(25)))
    async with aclosing(log.work(f"readings.{area}", group=area, at_once=10)) as deliveries:  # type: ignore[type-var]
        delivery = await anext(deliveries)
        assert 1 <= len(delivery.entries) <= 10
        await delivery.done()


async def test_workers_of_a_group_share_and_groups_do_not(log: Log, area: str) -> None:
    await asyncio.gather(*(log.say(f"readings.{area}", str(i).encode()) for i in range(300)))
    seen: list[int] = []

    async def worker() -> None:
        async with aclosing(log.work(f"readings.{area}", group=area, at_once=20)) as deliveries:  # type: ignore[type-var]
            async for delivery in deliveries:
                seen.extend(int(e.data) for e in delivery.entries)
                await delivery.done()

    workers = [asyncio.create_task(worker()) for _ in range(3)]
    while len(seen) < 300:
        await asyncio.sleep(0.02)
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    assert sorted(seen) == list(range(300))
    assert len(await worked(log, f"readings.{area}", f"{area}-2", 300)) == 300


@SOON_AGAIN
async def test_what_is_not_done_is_delivered_again(log: Log, area: str) -> None:
    await log.say(f"readings.{area}", b"1")
    async with aclosing(log.work(f"readings.{area}", group=area)) as deliveries:  # type: ignore[type-var]
        lent = await anext(deliveries)
        assert [e.data for e in lent.entries] == [b"1"]
        assert await log.waiting(f"readings.{area}", group=area) == 1
    assert [e.data for e in await worked(log, f"readings.{area}", area, 1)] == [b"1"]


async def test_what_is_published_over_mqtt_is_worked_like_all_else(log: NatsLog, standing: Standing, area: str) -> None:
    subject = f"mqtt.{area}.meter.*"
    async with standing.publisher as publisher:  # the first MQTT client: it makes the broker's stream
        await log.prepare(subject, group=area)
        for number in range(5):
            await publisher.publish(f"{area}/meter/home-{number}", b"\x00" * number, retain=False)
    assert await log.waiting(subject, group=area) == 5

    entries = await worked(log, subject, area, 5)

    assert [(e.subject, e.data) for e in entries] == [(f"mqtt.{area}.meter.home-{n}", b"\x00" * n) for n in range(5)]
    assert all(abs(e.said_at - datetime.now(UTC)) < timedelta(minutes=1) for e in entries)


async def test_a_group_on_mqtt_cannot_be_before_the_broker_has_had_a_client(nats_server: NatsServer) -> None:
    connection = await connect([nats_server.url], user=nats_server.user, password=nats_server.password)
    log = await NatsLog.open(connection)
    with pytest.raises(Unready, match="must connect first"):
        await log.prepare("mqtt.oadr.meter.*", group="early")
    await connection.close()


async def test_subjects_outside_the_streams_are_refused(log: Log) -> None:
    for subject in ("weather.today", "news", "mqtt.oadr.meter.x", "news.*", "news.>", "news.a b"):
        with pytest.raises(Refused):
            await log.say(subject, b"")
    with pytest.raises(Refused):
        await log.last("weather.>")
    with pytest.raises(Refused):
        await log.say("news.big", bytes(5 << 20))


async def test_ready_says_so_or_why_not(log: Log, standing: Standing) -> None:
    await log.ready()
    await standing.connection.close()
    with pytest.raises(Unready):
        await log.ready()
    with pytest.raises(Unready):
        await log.say("news.closed", b"")


@SOON_AGAIN
async def test_a_follower_and_a_worker_go_on_across_a_kill_in_order_and_nothing_confirmed_is_lost(
    log: NatsLog, standing: Standing, area: str
) -> None:
    total = 400
    start = await log.say(f"news.{area}", b"-1")
    follower = asyncio.create_task(taken(log, f"news.{area}", after=start, count=total))
    worker = asyncio.create_task(worked(log, f"news.{area}", area, total + 1, at_once=50))
    confirmed: list[int] = []
    for number in range(total):
        if number in (100, 250):
            standing.kill()  # the second time, in the cluster, another node than the first
        confirmed.append(await log.say(f"news.{area}", str(number).encode()))
        if number == 200:
            standing.mend()
    followed, done = await follower, await worker

    assert [int(e.data) for e in followed] == list(range(total))
    assert [e.position for e in followed] == confirmed
    assert {int(e.data) for e in done} == set(range(-1, total))
    kept = await taken(log, f"news.{area}", after=start, count=total)
    assert [e.position for e in kept] == confirmed


async def test_streams_keep_what_they_hold_when_opened_again(log: Log, standing: Standing, area: str) -> None:
    position = await log.say(f"dead.{area}", b"1")
    config = (await standing.connection.jetstream().stream_info("tieline-dead")).config
    again = await NatsLog.open(standing.connection, replicas=config.num_replicas or 1)
    found = await again.last(f"dead.{area}")
    assert found is not None
    assert found.position == position


# --- the server child on which the embedded Log stands ---


async def test_the_processes_of_one_folder_share_a_server_and_one_takes_over_when_its_owner_leaves(
    tmp_path: Path,
) -> None:
    owner, joiner = NatsServer(tmp_path / "nats", mqtt_port=free_port()), NatsServer(tmp_path / "nats")
    await owner.start()
    await joiner.start()
    assert (joiner.url, joiner.mqtt_port, joiner.password) == (owner.url, owner.mqtt_port, owner.password)
    connection = await connect([joiner.url], user=joiner.user, password=joiner.password)
    log = await NatsLog.open(connection)
    position = await log.say("news.shared", b"1")

    await owner.stop()

    assert await log.say("news.shared", b"2") > position
    assert [e.data for e in await taken(log, "news.shared", after=position - 1, count=2)] == [b"1", b"2"]
    await connection.close()
    await joiner.stop()


OWNER = """
import asyncio, pathlib, sys
from tieline.adapters.nats.mqtt import MqttPublisher
from tieline.adapters.nats.server import LOOPBACK, NatsServer

async def main():
    server = NatsServer(pathlib.Path(sys.argv[1]), mqtt_port=int(sys.argv[2]))
    await server.start()
    print("up", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_a_server_left_behind_by_a_killed_owner_is_stopped_and_its_store_goes_on(tmp_path: Path) -> None:
    folder, mqtt_port = tmp_path / "nats", free_port()
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder), str(mqtt_port), stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"up\n"
    owner.kill()
    await owner.wait()
    orphan = psutil.Process(int((folder / "nats-server.pid").read_text()))
    assert orphan.is_running()

    server = NatsServer(folder, mqtt_port=None)
    await server.start()

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert server.mqtt_port == mqtt_port
    await server.stop()


async def test_what_stands_in_the_way_of_a_server_is_said_clearly(tmp_path: Path, nats_server: NatsServer) -> None:
    with pytest.raises(Refused, match="nowhere"):
        await NatsServer(tmp_path / "a", binary="/nowhere/nats-server").start()
    with pytest.raises(Unready, match=f"port {nats_server.mqtt_port} .* is in use"):
        await NatsServer(tmp_path / "b", mqtt_port=nats_server.mqtt_port).start()
    with pytest.raises(Unready, match=r"port \d+ .* is in use"):
        await NatsServer(tmp_path / "c", port=nats_server.address.port).start()
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        await NatsServer(tmp_path / "file" / "nats").start()


async def test_secrets_are_its_owner_s_alone_and_on_no_command_line(tmp_path: Path, nats_server: NatsServer) -> None:
    folder = tmp_path / "nats"
    holding = [
        file
        for file in folder.iterdir()
        if file.is_file() and any(s in file.read_text() for s in (nats_server.password, nats_server.issuer_seed))
    ]
    assert {file.name for file in holding} == {"password", "issuer.seed", "nats-server.conf"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in (folder, *holding))
    command = psutil.Process(int((folder / "nats-server.pid").read_text())).cmdline()
    assert not any(nats_server.password in part for part in command)
