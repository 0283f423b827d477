"""`tieline outage` and what `tieline event plan` tells of later: what they ask of /v1, and what they print."""

from typing import Any

import pytest
from click.testing import CliRunner

from tieline.cli import event, outage

OUTAGE = {
    "outage_id": "4be1", "version": 2, "ven_id": "home-7", "resource_id": None, "site_id": None,
    "start_at": "2026-07-12T14:00:00Z", "end_at": "2026-07-12T17:30:00Z", "reason": "feeder fault",
    "said_by": "control room", "withdrawn": False, "known_at": "2026-07-13T09:00:00Z",
}  # fmt: skip
AHEAD = {"from_at": "2026-07-12T18:00:00Z", "until_at": "2026-07-12T19:00:00Z", "target_kw": 100.0,
         "headroom_kw": 80.0, "by": "forecast"}  # fmt: skip
PLAN = {"plans": [{"at": "2026-07-12T12:00:00Z", "ahead": [AHEAD]}], "plan_id": None, "items": [], "next_cursor": None}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    answers = {"/v1/outages": OUTAGE, "/v1/events/hot/plan": PLAN}

    def ask(url: str, token: str | None, method: str, path: str, body: object = None, **params: Any) -> Any:
        found.append((method, path, body))
        return answers[path]

    monkeypatch.setattr(outage, "ask", ask)
    monkeypatch.setattr(event, "ask", ask)
    return found


def test_an_outage_is_declared_in_utc(asked: list[Any]) -> None:
    words = ["add", "--ven", "home-7", "--start", "2026-07-12T07:00:00-07:00", "--end", "2026-07-12T17:30:00Z",
             "--reason", "feeder fault", "--by", "control room", "--corrects", "4be1",
             "--url", "http://tieline"]  # fmt: skip
    found = CliRunner().invoke(outage.outage, words, catch_exceptions=False)
    assert "feeder fault" in found.output
    ((method, path, body),) = asked
    assert (method, path) == ("POST", "/v1/outages")
    assert body["start_at"] == "2026-07-12T14:00:00Z"
    assert (body["outage_id"], body["said_by"], body["withdrawn"]) == ("4be1", "control room", False)


def test_a_plan_tells_what_can_be_counted_on_later(asked: list[Any]) -> None:
    found = CliRunner().invoke(event.event, ["plan", "hot", "--url", "http://tieline"], catch_exceptions=False)
    assert "no loads" in found.output
    assert "forecast" in found.output
    assert "80" in found.output
    assert asked == [("GET", "/v1/events/hot/plan", None)]
