"""The commands about forecasts: what they ask of /v1, and what they print."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tieline.cli import forecast as commands

NEWEST = {"made_at": "2026-07-15T09:00:00Z", "state": "made", "method": "gradient-boosting"}
LISTED: dict[str, Any] = {
    "items": [{"forecast_id": "fleet.load", "horizon": "day-ahead", "newest": NEWEST, "accuracy": None}],
    "next_cursor": None,
}
WAITING = {"start_at": "2026-07-16T00:00:00Z", "end_at": "2026-07-17T00:00:00Z", "state": "waiting", "method": None,
           "reason": "1 days of history, and 3 are needed", "made_at": "2026-07-15T09:00:00Z"}  # fmt: skip
VALUES = {"at": [1784106000.0, 1784106900.0], "p05_kw": [1.0, None], "p50_kw": [2.0, None], "p95_kw": [3.0, None],
          "naive_p50_kw": [2.5, None], "actual_kw": [None, None]}  # fmt: skip
NOTHING: dict[str, list[float]] = {name: [] for name in VALUES}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    answers = {"/v1": {"now_at": "2026-07-15T09:00:00Z"}, "/v1/forecasts": LISTED,
               "/v1/forecasts/fleet.load/values": VALUES, "/v1/forecasts/run": {"horizons": ["intraday"]},
               "/v1/forecasts/fleet.pv/values": NOTHING,
               "/v1/forecasts/fleet.pv/runs": {"items": [WAITING]}}  # fmt: skip

    def ask(url: str, token: str | None, method: str, path: str, body: object = None, **params: Any) -> Any:
        found.append((method, path, body, params))
        return answers[path]

    monkeypatch.setattr(commands, "ask", ask)
    return found


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands.forecast, [*arguments, "--url", "http://tieline"])
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_the_method_and_waits_for_accuracy(asked: list[Any]) -> None:
    assert "gradient-boosting" in run("list")
    assert json.loads(run("list", "--json")) == LISTED


def test_a_forecast_that_waits_says_for_what(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1 days of history, and 3 are needed" in run("show", "fleet.pv")
    monkeypatch.setitem(LISTED["items"][0], "newest", WAITING)
    assert "waiting: 1 days of history, and 3 are needed" in run("list")


def test_accuracy_is_told_in_shares(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"n": 96, "coverage": 0.913, "bias": -0.01, "rrmse": 0.118, "naive_rrmse": None}
    monkeypatch.setitem(LISTED["items"][0], "accuracy", good)
    assert {"91.3%", "-1.0%", "11.8%", "96"} <= set(run("list").replace("│", " ").split())


def test_show_asks_for_the_next_two_days_and_leaves_out_what_nobody_forecast(asked: list[Any]) -> None:
    shown = run("show", "fleet.load", "--as-of", "2026-07-14T12:00:00Z")
    assert asked[-1][3] == {"horizon": "day-ahead", "start": "2026-07-15T09:00:00Z", "end": "2026-07-17T09:00:00Z",
                            "as_of": "2026-07-14T12:00:00Z"}  # fmt: skip
    assert "2026-07-15T09:00:00Z" in shown
    assert "2026-07-15T09:15:00Z" not in shown


def test_run_asks_for_one_horizon(asked: list[Any]) -> None:
    assert "intraday" in run("run", "--horizon", "intraday", "--json")
    assert asked[-1][:3] == ("POST", "/v1/forecasts/run", {"horizon": "intraday"})
