"""What may be chosen of a fleet, and what a newcomer is shown first."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tieline.base.errors import Refused
from tieline.base.time import VirtualClock
from tieline.sim import enrol, story
from tieline.sim.options import Options
from tieline.ven.client import Client


@pytest.mark.parametrize(
    "choice", [{"homes": 0}, {"homes": 10_000}, {"seed": -1}, {"speed": 0.0}, {"no_shows": 1.5}, {"zone": "Mars/Sea"}]
)
def test_what_cannot_be_is_refused_by_name(choice: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=next(iter(choice))):
        Options(**choice)


def test_secrets_are_kept_for_their_owner_and_their_platform_only(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert enrol.load(path, "http://a").homes == {}
    enrol.save(path, enrol.Kept("http://a", {"home-0001": enrol.Home("s")}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert enrol.load(path, "http://a").homes["home-0001"].secret == "s"
    assert enrol.load(path, "http://b").homes == {}
    path.write_text("{")
    with pytest.raises(Refused, match=r"state\.json is no state file"):
        enrol.load(path, "http://a")


@pytest.mark.parametrize(("controllable_kw", "target_kw"), [(402.0, 140.0), (3.0, 5.0)])
async def test_the_first_event_is_two_minutes_ahead_for_a_third(
    controllable_kw: float, target_kw: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the homes that are there are metered too."""
    monkeypatch.setattr(story, "SETTLING_S", 0.01)
    monkeypatch.setattr(story, "PATIENCE_S", 1)
    stale = iter([10, 10, 1, 0])
    published: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/programs":
            return httpx.Response(409, json={"detail": "it exists"})
        if request.url.path == "/v1/fleet":
            now = {"now_at": "2026-07-14T23:30:00Z", "controllable_kw": controllable_kw, "power_kw": 900.0}
            return httpx.Response(200, json={**now, "vens": 10, "online": 9, "stale": next(stale), "shedding": 0})
        published.append(msgspec.json.decode(request.content))
        return httpx.Response(201, json={**published[0], "event_id": "e", "state": "scheduled"})

    clock = VirtualClock(datetime(2026, 7, 14, 23, 30, 20, tzinfo=UTC))
    async with Client("http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
        event = await story.first_event(client, clock)
    assert event.target_kw == target_kw
    assert next(stale) == 0
    assert published[0]["start_at"] == "2026-07-14T23:33:00Z"
    assert published[0]["end_at"] == "2026-07-14T23:48:00Z"
