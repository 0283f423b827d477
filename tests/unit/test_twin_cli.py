"""`tieline twin`: fields as they are typed, and what is shown of a twin."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from tieline.base.errors import Refused, Unready
from tieline.cli import twin

FOUND = {
    "ven_id": "home-1", "name": "classic", "version": 3, "at": "2026-07-15T17:00:00Z", "desired": {"fan": "low"},
    "reported": {"mode": {"eco": True}}, "delta": {"fan": "low"}, "metadata": {}, "deleted": False,
}  # fmt: skip
asked: list[tuple[str, str, Any]] = []


def run(*words: str, answers: list[dict[str, Any]]) -> Result:
    """The command, of a platform that gives these answers."""
    asked.clear()
    left = iter(answers)

    def ask(_url: str, _token: str | None, method: str, path: str, body: object = None, **_: Any) -> Any:
        asked.append((method, path, body))
        return next(left)

    with patch.object(twin, "ask", ask), patch.object(twin, "LOOK_S", 0):
        return CliRunner().invoke(twin.twin, [*words, "--url", "http://nowhere"])


def test_fields_are_json_or_text_and_nested_by_dots() -> None:
    run("set", "home-1", "setpoint_c=21.5", "mode.eco=true", "mode.until=null", "fan=low", 'a=[1,"b"]', answers=[FOUND])
    state = {"setpoint_c": 21.5, "mode": {"eco": True, "until": None}, "fan": "low", "a": [1, "b"]}
    assert asked == [("PATCH", "/v1/vens/home-1/twins/classic", {"desired": state, "version": None})]


def test_what_is_reported_can_be_set_of_a_version() -> None:
    run("set", "home-1", "v=2", "--reported", "--version", "3", "--name", "firmware", answers=[FOUND])
    assert asked == [("PATCH", "/v1/vens/home-1/twins/firmware", {"reported": {"v": 2}, "version": 3})]


@pytest.mark.parametrize("field", ["fan", "=low", "mode.=1", ".a=1", "fan=low fan.speed=1"])
def test_what_is_no_field_is_refused(field: str) -> None:
    result = run("set", "home-1", *field.split(), answers=[FOUND])
    assert isinstance(result.exception, Refused)
    assert asked == []


def test_waiting_ends_when_the_device_has_reported() -> None:
    result = run("set", "home-1", "fan=low", "--wait-s", "60", "--json", answers=[FOUND, FOUND, FOUND | {"delta": {}}])
    assert [method for method, *_ in asked] == ["PATCH", "GET", "GET"]
    assert (result.exit_code, json.loads(result.stdout)["delta"]) == (0, {})


def test_waiting_in_vain_says_for_what() -> None:
    result = run("set", "home-1", "fan=low", "--wait-s", "0", answers=[FOUND])
    assert isinstance(result.exception, Unready)
    assert "has not reported fan" in str(result.exception)


def test_a_twin_is_shown_field_by_field() -> None:
    lines = run("show", "home-1", answers=[FOUND]).stdout
    assert "2026-07-15T17:00:00Z" in lines
    assert '{"eco": true}' in lines
    assert json.loads(run("show", "home-1", "--json", answers=[FOUND]).stdout) == FOUND


def test_its_history_is_a_table_or_json() -> None:
    result = run("history", "home-1", answers=[{"items": [FOUND], "next_cursor": None}])
    assert asked == [("GET", "/v1/vens/home-1/twins/classic/history", None)]
    assert '{"fan": "low"}' in result.stdout
    told = run("history", "home-1", "--json", answers=[{"items": [FOUND], "next_cursor": None}])
    assert json.loads(told.stdout) == [FOUND]
