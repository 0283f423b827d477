"""`tieline baseline`: the rules told, and tried on a file of readings."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import csv, parquet

from tieline.base.errors import Refused
from tieline.cli.baseline import baseline
from tieline.settlement.baseline import wording
from tieline.settlement.baseline.markets import CAISO_10_IN_10, LASTING_20, PJM_4_OF_5, RULES, TAIPOWER_20, WEATHER
from tieline.settlement.baseline.rules import Rule

DAYS = 40


def run(*words: str) -> Result:
    return CliRunner().invoke(baseline, words, catch_exceptions=False)


def readings() -> pa.Table:
    """Two meters of half-hourly noise, and the temperature."""
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(48 * DAYS)] * 2
    kwh = np.random.default_rng(0).gamma(2.0, 0.25, len(at))
    meters = ["a"] * (len(at) // 2) + ["b"] * (len(at) // 2)
    return pa.table({"meter": meters, "at": at, "kwh": kwh, "celsius": kwh * 10})


def scores(*words: str) -> dict[tuple[str, str], dict[str, float]]:
    found = run("tournament", *words, "--json")
    assert found.exit_code == 0, found.output
    return {(one["rule"], one["kind"]): one for one in json.loads(found.output)}


def test_rules_are_told() -> None:
    assert "caiso-10-in-10" in run("rules").output
    told = msgspec.json.decode(run("rules", "--json").output, type=list[Rule])
    assert told == list(RULES.values())


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_is_tried(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"meters.{form}"
    if form == "csv":
        csv.write_csv(readings(), file)
    else:
        parquet.write_table(readings(), file)
    found = scores(str(file), "--start", "18", "--hours", "2")
    assert ("caiso-10-in-10", "business") in found
    assert ("weather", "business") not in found
    assert found["day-before", "other"]["days"] > 0
    weather = scores(str(file), "--columns", "meter,at,kwh,celsius", "--calendar", "US-CA")
    assert ("weather", "business") in weather


def test_a_forecast_of_the_day_before_is_tried_where_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a while to make: here it is as good as the truth."""
    monkeypatch.setattr("tieline.forecasts.backcasting.day_ahead", lambda values, _: values)
    file = tmp_path / "homes.parquet"
    parquet.write_table(readings(), file)
    found = scores(str(file), "--forecast")
    assert found["forecast", "business"]["fleet_rrmse"] < found["day-before", "business"]["fleet_rrmse"]


def test_stamps_are_of_the_clock_where_the_meters_are(tmp_path: Path) -> None:
    """A home that draws only from five to eight in the evening, in Sydney."""
    table = readings().slice(0, 48 * DAYS)
    hour = (np.arange(48 * DAYS) // 2 + 11) % 24
    kwh = np.where((hour >= 17) & (hour < 20), 1.0, 0.1)
    file = tmp_path / "sydney.parquet"
    parquet.write_table(table.set_column(2, "kwh", pa.array(kwh)), file)
    assert scores(str(file), "--zone", "Australia/Sydney")["day-before", "business"]["home_rrmse"] == 0
    assert run("tournament", str(file), "--zone", "Australia/Sydney").exit_code == 0


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("meter,at,kwh\na,soon,1\n", encoding="utf-8")
    for words in ((str(file),), (str(file), "--columns", "meter,at,energy"), (str(file), "--columns", "meter")):
        with pytest.raises(Refused):
            run("tournament", *words)


def test_rules_in_words() -> None:
    assert wording.columns(CAISO_10_IN_10) == (
        "nearest 10 (at least 5) business days; nearest 4 other days, of 45 days back",
        "mean",
        "times the ratio over 4 h to 1 h before the start, at least 0.8, at most 1.2",
        "none",
    )
    assert "highest 4 of the nearest 5 (at least 4) weekdays" in wording.days(PJM_4_OF_5)
    assert wording.adjustment(TAIPOWER_20.adjust) == "plus the difference over 22:00 to 24:00, at least 0"
    assert "above 20 °C" in wording.average(WEATHER)
    assert "as much of the difference as lasted" in wording.columns(LASTING_20)[2]
    assert all(all(wording.columns(rule)) for rule in RULES.values())


# --- of a running platform --------------------------------------------------------------------------------------------

SCORE = {
    "rule": "lasting-20",
    "kind": "business",
    "days": 90,
    "refused": 0.0,
    "fleet_rrmse": 0.1,
    "called_rrmse": 0.151,
}
ALARM = {"ven_id": "home-7", "trick": "load lifted in the adjustment window", "z": 7.5, "says": "before 4 events"}
EVIDENCE = {"start_h": 17.0, "hours": 2.0, "vens": 6, "rule": "lasting-20", "says": "lasting-20 errs by 15.1 %"}
MADE = {"proposal_id": "p-1", "asked_at": "2026-07-15T00:00:00Z", "state": "made", "done": 1.0, "refused": ""}


def answers(monkeypatch: pytest.MonkeyPatch, **last: object) -> list[tuple[str, str, object]]:
    """A platform that is still at work when first looked at; what it was asked."""
    waiting = {**MADE, "state": "asked", "done": 0.4, "evidence": None}
    found = {**MADE, "evidence": {**EVIDENCE, "scores": [SCORE], "alarms": [ALARM]}, **last}
    told, asked = [waiting, found], []

    def ask(_url: str, _token: str | None, method: str, path: str, body: object = None, **_: object) -> object:
        asked.append((method, path, body))
        if path.endswith("baseline-proposals"):
            return waiting if method == "POST" else {"items": [found], "next_cursor": None}
        return told.pop(0)

    monkeypatch.setattr("tieline.cli.baseline.ask", ask)
    monkeypatch.setattr("tieline.cli.baseline.WAIT_S", 0)
    return asked


def test_a_proposal_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch)
    output = run("propose", "summer", "--days", "60").output
    assert asked[0] == ("POST", "/v1/programs/summer/baseline-proposals", {"days": 60})
    assert len(asked) == 3
    for words in ("15.1%", "proposed: lasting-20 errs by 15.1 %", "home-7", "before 4 events"):
        assert words in output
    answers(monkeypatch)
    assert json.loads(run("propose", "summer", "--json").output)["evidence"]["rule"] == "lasting-20"
    assert "lasting-20" in run("proposals", "summer").output


def test_a_proposal_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, state="refused", refused="too few days", evidence=None)
    with pytest.raises(Refused, match="too few days"):
        run("propose", "summer")
