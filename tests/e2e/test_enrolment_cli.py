"""Devices of a whole platform: enrolled from the command line, revoked, flooding, coming with what opens nothing."""

import asyncio
import contextlib
import csv
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from aiomqtt.exceptions import MqttConnectError

from tests.e2e.platform import Platform
from tests.e2e.test_devices import counted, door, meter, values
from tieline.base.time import RatedClock
from tieline.ven import tls
from tieline.ven.certificates import Certificates

CERTIFIED = {"mqtt_tls": "true", "mqtt_auth": "certificate"}


def enrolled(platform: Platform, tmp_path: Path, *ven_ids: str) -> dict[str, Certificates]:
    """By claims for all that are new, as an installer would."""
    for ven_id in ven_ids:
        platform.register(ven_id)
    file = tmp_path / "claims.csv"
    done = platform.run("claim", "add", "--all-new", "--out", str(file), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["claims"] == len(ven_ids)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [row["ven_id"] for row in rows] == sorted(ven_ids)
    return {row["ven_id"]: _enrolled(platform, tmp_path, row) for row in rows}


def _enrolled(platform: Platform, tmp_path: Path, row: dict[str, str]) -> Certificates:
    shown, folder = tmp_path / "claim", tmp_path / row["ven_id"]
    shown.write_text(row["claim"] + "\n")
    how = ("device", "enrol", row["ven_id"], "--data", str(folder), "--json")
    told = platform.run(*how, "--claim-file", str(shown))
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["by"] == "certificate"
    shown.write_text(f"{row['claim_id']}.wrong")
    assert platform.run(*how, "--claim-file", str(shown)).returncode == 2
    return Certificates(folder, RatedClock())


async def certified(platform: Platform, device: Certificates) -> aiomqtt.Client:
    context, ven_id = await device.context(), device.enrolment.ven_id
    return aiomqtt.Client("127.0.0.1", platform.mqtt_port, identifier=ven_id, tls_context=context, timeout=60)


def refused(platform: Platform, reason: str) -> float:
    return counted(platform, f'tieline_connect_denied_total{{reason="{reason}"}}')


async def test_from_claim_to_certificate_to_revocation(platforms: Callable[..., Platform], tmp_path: Path) -> None:
    platform = platforms(**CERTIFIED).start()
    devices = await asyncio.to_thread(enrolled, platform, tmp_path, "home-1", "home-2")
    at = datetime.now(UTC)
    async with await certified(platform, devices["home-2"]) as unharmed:
        with pytest.raises(aiomqtt.MqttError, match="Disconnected"):  # noqa: PT012  in the midst of its use
            async with asyncio.timeout(90), await certified(platform, devices["home-1"]) as client:
                await client.publish("oadr/meter/home-1", meter(at, 1.5), qos=1)
                done = await asyncio.to_thread(platform.run, "device", "revoke", "home-1", "--json")
                assert json.loads(done.stdout)["revoked_at"]
                await anext(aiter(client.messages))
        with pytest.raises(MqttConnectError, match="Not authorized"):
            await (await certified(platform, devices["home-1"])).__aenter__()
        await unharmed.publish("oadr/meter/home-2", meter(at, 2.5), qos=1)
    for ven_id, kw in (("home-1", 1.5), ("home-2", 2.5)):
        found = platform.eventually(lambda name=ven_id: values(platform, f"{name}.power_kw"), "the reading")
        assert [one["value"] for one in found] == [kw]
    assert refused(platform, "revoked") == 1
    assert counted(platform, "tieline_devices_disconnected_total") >= 1
    listed = json.loads(platform.run("device", "list", "--json").stdout)["items"]
    assert [(one["ven_id"], bool(one["revoked_at"])) for one in listed] == [("home-1", True), ("home-2", False)]
    claims = json.loads(platform.run("claim", "list", "--json").stdout)["items"]
    assert {(one["ven_id"], one["used"], "claim" in one) for one in claims} == {
        ("home-1", 1, False),
        ("home-2", 1, False),
    }
    assert platform.run("claim", "add", "home-1", "--all-new").returncode == 2
    assert platform.run("claim", "add", "ghost").returncode == 2


async def test_whoever_shows_no_good_certificate_is_counted(platforms: Callable[..., Platform], tmp_path: Path) -> None:
    platform = platforms(**CERTIFIED).start()
    ca = platform.answer("GET", "/v1/ca.pem").text
    for _ in range(2):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(
                "127.0.0.1", platform.mqtt_port, identifier="home-1", tls_context=tls.context(ca), timeout=10
            ):
                pass
    platform.eventually(lambda: refused(platform, "bad certificate") == 2, "both counted")
    assert "bad certificate" in (platform.folder / "platform.log").read_text(errors="replace")


async def say_once_let_in(platform: Platform, ven_id: str, secret: str, said: bytes) -> None:
    async with asyncio.timeout(180):
        while True:
            with contextlib.suppress(MqttConnectError):
                async with door(platform, ven_id, secret) as client:
                    return await client.publish(f"oadr/meter/{ven_id}", said, qos=1)
            await asyncio.sleep(0.2)


async def say_much(client: aiomqtt.Client, began: datetime) -> None:
    for sent in range(0, 10**9, 100):
        batch = [meter(began - timedelta(seconds=sent + n), 1.0) for n in range(100)]
        await asyncio.gather(*[client.publish("oadr/meter/bad", data, qos=1) for data in batch])


async def flood(platform: Platform, secret: str, began: datetime) -> None:
    """Until it is disconnected: who listens hears of it at once, who waits for a PUBACK does not."""
    async with door(platform, "bad", secret) as client:
        saying = asyncio.create_task(say_much(client, began))
        try:
            async for _ in client.messages:
                pass
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)


async def test_one_that_floods_is_shut_out_for_a_while_and_the_others_lose_nothing(
    platforms: Callable[..., Platform],
) -> None:
    platform = platforms(flood_per_s=20, flood_burst=300, flood_pause_s=12).start()
    secrets = {ven_id: platform.register(ven_id) for ven_id in ("bad", "good")}
    began, said = datetime.now(UTC), 0

    async with door(platform, "good", secrets["good"]) as good:
        flooding = asyncio.create_task(flood(platform, secrets["bad"], began))
        while not flooding.done():
            await good.publish("oadr/meter/good", meter(began - timedelta(seconds=said), 2.0), qos=1)
            said += 1
            await asyncio.sleep(0.05)
        with pytest.raises(aiomqtt.MqttError):
            flooding.result()
        with pytest.raises(MqttConnectError, match="Not authorized"):
            await door(platform, "bad", secrets["bad"]).__aenter__()
        await good.publish("oadr/meter/good", meter(began - timedelta(seconds=said), 2.0), qos=1)
        said += 1
    assert refused(platform, "flooding") == 1
    platform.eventually(lambda: len(values(platform, "good.power_kw")) == said, "every reading of the other")
    letters: list[dict[str, Any]] = platform.eventually(lambda: platform.get("/v1/dead-letters")["items"], "the letter")
    assert [(one["ven_id"], one["reason"]) for one in letters] == [("bad", "flooding")]
    dropped = counted(platform, "tieline_flooding_messages_total")
    assert letters[0]["detail"].startswith(f"{dropped:.0f} messages")
    assert len(values(platform, "bad.power_kw")) >= 300
    await say_once_let_in(platform, "bad", secrets["bad"], meter(datetime.now(UTC), 7.0))
    platform.eventually(lambda: values(platform, "bad.power_kw")[-1]["value"] == 7.0, "it is heard again")
