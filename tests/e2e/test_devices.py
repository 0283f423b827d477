"""Devices at the MQTT door of a running platform: what is right arrives, what is wrong is refused, counted and kept."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiomqtt
import msgspec
import pytest

from tests.e2e.platform import LOAD, Platform
from tieline.base.time import iso


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Shared: each test has VENs of its own."""
    one = Platform(tmp_path_factory.mktemp("devices"))
    try:
        yield one.start()
    finally:
        one.close()


def door(platform: Platform, ven_id: str, secret: str, client_id: str | None = None) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", platform.mqtt_port, username=ven_id, password=secret, identifier=client_id or ven_id, timeout=60
    )


def meter(at: datetime, kw: float) -> bytes:
    return msgspec.json.encode({"samples": [{"at": iso(at), "power_kw": kw}]})


def values(platform: Platform, series_id: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    window = {"start": iso(now - timedelta(days=2)), "end": iso(now + timedelta(days=1))}
    found: list[dict[str, Any]] = platform.get(f"/v1/series/{series_id}/values", **window)["items"]
    return found


def counted(platform: Platform, name: str) -> float:
    lines = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", platform.answer("GET", "/metrics").text, re.MULTILINE)
    return sum(float(line) for line in lines)


async def test_a_reading_confirmed_is_a_value_served(platform: Platform) -> None:
    secret, at = platform.register("home-1"), datetime.now(UTC)
    async with door(platform, "home-1", secret) as client:
        await client.publish("oadr/meter/home-1", meter(at, 1.25), qos=1)
    found = platform.eventually(lambda: values(platform, "home-1.power_kw"), "the reading")
    assert [(one["at"], one["value"], one["flags"]) for one in found] == [(iso(at), 1.25, 0)]
    ven = platform.get("/v1/vens/home-1")
    assert (ven["online"], ven["power_kw"]) == (True, 1.25)


async def test_what_is_wrong_is_refused_with_its_reason_and_disturbs_nobody(platform: Platform) -> None:
    secrets = {ven_id: platform.register(ven_id) for ven_id in ("bad", "good")}
    now, before = datetime.now(UTC), counted(platform, "tieline_dead_letters_total")
    load = {"resource_id": "heater", "power_kw": 1.0, "sheddable_kw": -1.0, "state": "on"}
    wrong = [
        ("oadr/meter/bad", b"{not json", "malformed"),
        ("oadr/meter/bad", meter(now + timedelta(hours=1), 1.0), "future stamp"),
        ("oadr/meter/bad", meter(now - timedelta(days=60), 1.0), "stale stamp"),
        ("ven/loads/bad", msgspec.json.encode({"at": iso(now), "loads": [load]}), "malformed"),
        ("oadr/meter/bad", b" " * 2_000_000, "too large"),
        (
            "ven/ack/bad",
            b'{"command_id":"x:bad:event","answer":"accepted","at":"2026-01-01T00:00:00Z"}',
            "answer to nothing",
        ),
    ]
    async with door(platform, "bad", secrets["bad"]) as client:
        for topic, payload, _ in wrong:
            await client.publish(topic, payload, qos=1)
    async with door(platform, "good", secrets["good"]) as client:
        await client.publish("oadr/meter/good", meter(now, 2.0), qos=1)
    platform.eventually(lambda: values(platform, "good.power_kw"), "the good reading")
    letters = platform.eventually(lambda: _letters(platform, "bad", len(wrong)), "the dead letters")
    assert sorted(one["reason"] for one in letters) == sorted(reason for *_, reason in wrong)
    assert all(one["detail"] and one["digest"] for one in letters)
    assert next(one for one in letters if one["reason"] == "too large")["size"] == 2_000_000
    assert counted(platform, "tieline_dead_letters_total") - before == len(wrong)
    assert values(platform, "bad.power_kw") == []


def _letters(platform: Platform, ven_id: str, number: int) -> list[dict[str, Any]]:
    found = [one for one in platform.get("/v1/dead-letters")["items"] if one["ven_id"] == ven_id]
    return found if len(found) >= number else []


async def test_late_and_early_readings_are_flagged_and_a_repeated_message_counts_once(platform: Platform) -> None:
    secret, now = platform.register("home-2"), datetime.now(UTC)
    repeated = 'tieline_telemetry_messages_total{outcome="duplicate"}'
    before = counted(platform, repeated)
    async with door(platform, "home-2", secret) as client:
        await client.publish("oadr/meter/home-2", meter(now - timedelta(hours=2), 1.0), qos=1)
        await client.publish("oadr/meter/home-2", meter(now + timedelta(seconds=60), 2.0), qos=1)
        for _ in range(3):
            await client.publish("oadr/meter/home-2", meter(now, 99.0), qos=1)
    found = platform.eventually(lambda: (v := values(platform, "home-2.power_kw"))[2:] and v, "three readings")
    assert [(one["value"], one["flags"]) for one in found] == [(1.0, 1), (99.0, 4), (2.0, 2)]
    platform.eventually(lambda: counted(platform, repeated) - before == 2, "count")


async def test_a_device_is_let_in_with_its_own_secret_and_client_id_alone(platform: Platform) -> None:
    secret, other = platform.register("home-3"), platform.register("home-4")
    before = counted(platform, "tieline_connect_denied_total")
    for user, password, client_id in [("home-3", "wrong", None), ("home-3", other, None), ("home-3", secret, "home-4")]:
        with pytest.raises(aiomqtt.MqttError):
            async with door(platform, user, password, client_id):
                pass
    with pytest.raises(aiomqtt.MqttError):
        async with door(platform, "ghost", secret):
            pass
    assert counted(platform, "tieline_connect_denied_total") - before >= 4
    renewed = platform.post("/v1/vens/home-3/credential")["secret"]
    with pytest.raises(aiomqtt.MqttError):
        async with door(platform, "home-3", secret):
            pass
    async with door(platform, "home-3", renewed) as client:
        await client.publish("oadr/meter/home-3", meter(datetime.now(UTC), 1.0), qos=1)


async def test_a_device_cannot_speak_for_another_or_to_the_platforms_insides(platform: Platform) -> None:
    secret = platform.register("home-5")
    platform.register("home-6")
    before = counted(platform, "tieline_broker_violations_total")
    for topic in ("oadr/meter/home-6", "ven/ack/home-6", "ven/cmd/home-5", "readings/mqtt", "$JS/API/STREAM/PURGE/x"):
        try:
            async with door(platform, "home-5", secret) as client:
                await client.publish(topic, meter(datetime.now(UTC), 6.0), qos=1, timeout=5)
        except aiomqtt.MqttError:
            pass  # the broker closes the door on who tries, or never confirms
    async with door(platform, "home-5", secret) as client:
        await client.publish("oadr/meter/home-5", meter(datetime.now(UTC), 1.0), qos=1)
    platform.eventually(lambda: values(platform, "home-5.power_kw"), "its own reading")
    assert values(platform, "home-6.power_kw") == []
    platform.eventually(lambda: counted(platform, "tieline_broker_violations_total") > before, "the violation counted")


async def test_telemetry_of_a_ven_nobody_registered_is_refused_and_never_registers_it(platform: Platform) -> None:
    """Only the platform's own user could even say it: a device of no VEN is not let in."""
    password = (platform.folder / "data" / "nats" / "password").read_text()
    insider = aiomqtt.Client("127.0.0.1", platform.mqtt_port, username="tieline", password=password, timeout=60)
    async with insider as client:
        await client.publish("oadr/meter/ghost", meter(datetime.now(UTC), 1.0), qos=1)
    letters = platform.eventually(lambda: _letters(platform, "ghost", 1), "the dead letter")
    assert letters[0]["reason"] == "unknown VEN"
    assert "ghost" not in {one["ven_id"] for one in platform.get("/v1/vens")["items"]}
    assert "ghost.power_kw" not in {one["series_id"] for one in platform.get("/v1/series")["items"]}


def test_a_negative_capacity_is_not_registered(platform: Platform) -> None:
    site = {"site_id": "s", "name": "s", "zone": "UTC"}
    ven = {"ven_id": "v", "name": "v", "site": site, "resources": [LOAD | {"rated_kw": -1}]}
    answer = platform.answer("POST", "/v1/vens", json=ven)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "rated_kw" in answer.text
    assert "v" not in {one["ven_id"] for one in platform.get("/v1/vens")["items"]}
    assert "s" not in {one["site_id"] for one in platform.get("/v1/sites")["items"]}


def test_a_platform_that_speaks_in_clear_has_no_authority(platform: Platform) -> None:
    assert platform.answer("GET", "/v1/ca.pem").status_code == 404
    assert platform.get("/v1")["mqtt_tls"] is False
    assert not (platform.folder / "data" / "ca.key").exists()
