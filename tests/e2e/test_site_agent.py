"""`tieline ven agent` at a running platform: called, it holds its load and is seen to, until its owner opts out."""

import contextlib
import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tests.e2e.platform import Platform
from tests.servers.nats import free_port
from tieline.base.time import iso
from tieline.cli import main

SITE = """
read_s = 0.2
report_s = 1
[platform]
url = "{url}"
ven_id = "cabin"
{how}
[panel]
limit_kw = 20
[page]
port = {page}
[[load]]
id = "boiler"
kind = "water_heater"
rated_kw = 3
driver = {{ type = "simulated" }}
[[load]]
id = "oven"
kind = "range"
rated_kw = 8
sheddable = false
driver = {{ type = "simulated", power_kw = 1 }}
"""
LOADS = [
    {"resource_id": "boiler", "name": "Boiler", "kind": "water_heater", "rated_kw": 3, "sheddable": True},
    {"resource_id": "oven", "name": "Oven", "kind": "range", "rated_kw": 8, "sheddable": False},
]


@contextlib.contextmanager
def agent(platform: Platform, folder: Path, how: str) -> Iterator[str]:
    """Where the page of a running agent is. `how` says by which file it is known."""
    port = free_port()
    (folder / "site.toml").write_text(SITE.format(url=platform.url, page=port, how=how))
    command = [sys.executable, "-m", "tieline.cli", "ven", "agent", str(folder / "site.toml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(60) == 0


def boiler(page: str) -> dict[str, Any]:
    loads: list[dict[str, Any]] = httpx.get(f"{page}/state", trust_env=False, timeout=60).json()["loads"]
    return loads[0]


def test_a_call_is_obeyed_seen_and_given_back(platforms: Callable[..., Platform], tmp_path: Path) -> None:
    platform = platforms().start()
    (tmp_path / "cabin.secret").write_text(platform.register("cabin", *LOADS))
    with agent(platform, tmp_path, 'secret_file = "cabin.secret"') as page:
        called_until_its_owner_opts_out(platform, page, tmp_path / "site.toml")


def test_a_claim_is_exchanged_for_a_certificate_once(platforms: Callable[..., Platform], tmp_path: Path) -> None:
    platform = platforms(mqtt_tls="true", mqtt_auth="certificate").start()
    platform.register("cabin", *LOADS)
    claims = tmp_path / "claims.csv"
    assert platform.run("claim", "add", "--all-new", "--out", str(claims)).returncode == 0
    (row,) = csv.DictReader(claims.read_text(encoding="utf-8").splitlines())
    (tmp_path / "cabin.claim").write_text(row["claim"])
    for _ in range(2):  # the second time without the claim
        before = platform.get("/v1/vens/cabin")["last_seen_at"]
        with agent(platform, tmp_path, 'claim_file = "cabin.claim"'):
            platform.eventually(lambda before=before: seen_since(platform, before), "the readings")
        (tmp_path / "cabin.claim").unlink(missing_ok=True)


def seen_since(platform: Platform, before: str | None) -> bool:
    ven = platform.get("/v1/vens/cabin")
    return bool(ven["last_seen_at"] != before and ven["power_kw"] == pytest.approx(4.0))


def called_until_its_owner_opts_out(platform: Platform, page: str, site: Path) -> None:
    platform.eventually(lambda: platform.get("/v1/vens/cabin")["power_kw"] == pytest.approx(4.0), "the readings")
    platform.eventually(lambda: platform.get("/v1/fleet")["controllable_kw"] == pytest.approx(3.0), "the loads")
    platform.post("/v1/programs", {"program_id": "evening", "name": "Evening"})
    start_at = datetime.now(UTC) + timedelta(seconds=2)
    span = {"start_at": iso(start_at), "end_at": iso(start_at + timedelta(minutes=10))}
    called = platform.post("/v1/events", {"program_id": "evening", "target_kw": 2, "allow_past": True, **span})[
        "event_id"
    ]
    platform.eventually(lambda: boiler(page)["why"] == "asked", "the boiler held")
    platform.eventually(lambda: platform.get("/v1/vens/cabin")["shed"], "that it is held, told")
    from_at = iso(datetime.now(UTC) + timedelta(seconds=5))
    said = ["--event", called, "--load", "boiler", "--from", from_at, "--reason", "guests"]
    assert CliRunner().invoke(main, ["ven", "opt-out", str(site), *said]).exit_code == 0
    platform.eventually(lambda: boiler(page)["why"] is None, "the boiler free")
    row = platform.eventually(
        lambda: (found := platform.get(f"/v1/events/{called}/ledger")["items"][0])["restored_at"] and found,
        "its row in the ledger restored",
    )
    assert (row["state"], row["answer"]) == ("restored", "accepted")
    assert row["cause"] == f"opted out from {row['opted_out_from_at']} on: guests"
