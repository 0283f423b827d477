"""`tieline settlement` and `tieline statement explain`: what they ask, and how each cent is told."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from tieline.base.errors import NotFound, Refused
from tieline.cli import asking, customer, settlement

RUN = {
    "run_id": "peak-2026-06-01-1", "program_id": "peak", "from_day": "2026-06-01", "until_day": "2026-07-01",
    "currency": "AUD", "net": "1.50", "tax": "0.15", "total": "1.65", "inputs": [], "reviews": [],
    "disputed": ["", "home-2"], "digest": "ab", "restates": "",
}  # fmt: skip
ENTRY = {
    "clause": "energy", "quantity": "3.000000", "unit": "kWh", "price": "0.50", "amount": "1.50",
    "because": "0.50 per kWh [fixed]", "event_id": "hot",
}  # fmt: skip
ACCOUNT = {"ven_id": "home-1", "deliveries": [{}], "entries": [ENTRY], "net": "1.50", "tax": "0.15", "total": "1.65"}
BEHIND = {
    "event_id": "hot", "statement_id": "hot-1", "rule": "caiso-10-in-10", "days": ["2026-06-09", "2026-06-08"],
    "factor": 1.05, "baseline_known_at": "2026-06-10T07:00:00Z", "known_at": "2026-06-10T09:02:00Z", "readings": 8,
}  # fmt: skip
INTERVAL = {"from_at": "2026-06-10T07:00:00Z", "baseline_kwh": "0.166667", "used_kwh": "0.041667", "gap_s": 30.0}
asked: list[tuple[str, str, Any]] = []


def run(command: Any, *words: str, answers: dict[str, Any]) -> Result:
    """The command, of a platform that answers so by path."""
    asked.clear()

    def ask(_url: str, _token: str | None, method: str, path: str, body: object = None, **_: Any) -> Any:
        asked.append((method, path, body))
        if path not in answers:
            raise NotFound(f"there is no {path}")
        return answers[path]

    with patch.object(settlement, "ask", ask), patch.object(asking, "ask", ask):
        return CliRunner().invoke(command, [*words, "--url", "http://nowhere"])


def test_a_run_is_asked_for_by_days() -> None:
    words = ("run", "peak", "--from", "2026-06-01", "--until", "2026-07-01", "--anew")
    result = run(settlement.settlement, *words, answers={"/v1/programs/peak/settlements": RUN})
    days = {"from_day": "2026-06-01", "until_day": "2026-07-01"}
    assert asked == [("POST", "/v1/programs/peak/settlements", {**days, "known_at": None, "anew": True})]
    assert "1.65" in result.stdout
    assert "the whole, home-2" in result.stdout


def test_a_run_with_its_accounts() -> None:
    path = f"/v1/settlements/{RUN['run_id']}"
    answers = {path: RUN, f"{path}/accounts": {"items": [ACCOUNT], "next_cursor": "more"}}
    result = run(settlement.settlement, "show", str(RUN["run_id"]), answers=answers)
    assert "home-1" in result.stdout
    assert "more: --cursor more" in result.stdout
    shown = json.loads(run(settlement.settlement, "show", str(RUN["run_id"]), "--json", answers=answers).stdout)
    assert shown["accounts"] == [ACCOUNT]


@pytest.mark.parametrize(
    ("command", "verdict"), [("approve", "approved"), ("dispute", "disputed"), ("resolve", "resolved")]
)
def test_what_one_thinks_of_a_run(command: str, verdict: str) -> None:
    path = "/v1/settlements/r-1/reviews"
    result = run(settlement.settlement, command, "r-1", "--by", "ann", "--ven", "home-1", answers={path: {"at": "now"}})
    assert result.exit_code == 0, result.output
    assert asked == [("POST", path, {"verdict": verdict, "by": "ann", "ven_id": "home-1", "note": ""})]


def test_terms_keep_their_money_as_it_was_written(tmp_path: Path) -> None:
    file, path = tmp_path / "terms.json", "/v1/programs/peak/terms"
    file.write_text('{"energy": {"type": "fixed", "price_per_kwh": 0.10}}')
    run(settlement.settlement, "terms", "peak", "--put", str(file), answers={path: {}})
    assert asked == [("PUT", path, {"energy": {"type": "fixed", "price_per_kwh": "0.10"}})]
    file.write_text("{")
    assert isinstance(run(settlement.settlement, "terms", "peak", "--put", str(file), answers={}).exception, Refused)


def test_commitments_of_a_file(tmp_path: Path) -> None:
    file, path = tmp_path / "kw.csv", "/v1/programs/peak/commitments"
    file.write_text("ven_id,kw,valid_from\nhome-1,4.5,2026-06-01\n")
    run(settlement.settlement, "commit", "peak", str(file), answers={path: {"commitments": 1}})
    assert asked == [("POST", path, [{"ven_id": "home-1", "kw": "4.5", "valid_from": "2026-06-01"}])]


def test_a_cent_is_explained_down_to_readings() -> None:
    paid = INTERVAL | {"paid_kwh": "0.125000", "price_per_kwh": "0.50", "amount": "0.06250000"}
    explained = {"currency": "AUD", "account": ACCOUNT, "events": [BEHIND | {"intervals": [paid]}]}
    answers = {"/v1/settlements/r-1": RUN, "/v1/settlements/r-1/accounts/home-1/explanation": explained}
    told = run(customer.statement, "explain", "r-1", "--ven", "home-1", answers=answers).stdout
    for said in (
        "1.50 net + 0.15 tax = 1.65 AUD",
        "energy hot: 3.000000 kWh × 0.50 = 1.50",
        "0.50 per kWh [fixed]",
        "0.125000 counted × 0.50 = 0.06250000 (30 s gap)",
        "baseline by caiso-10-in-10, × 1.05",
        "of 2 days: 2026-06-09, 2026-06-08",
        "8 readings, as known at 2026-06-10T09:02:00Z",
    ):
        assert said in told
    whole = run(customer.statement, "explain", "r-1", "--ven", "home-1", "--json", answers=answers)
    assert json.loads(whole.stdout) == explained


def test_a_run_as_a_whole() -> None:
    answers = {"/v1/settlements/r-1": RUN, "/v1/settlements/r-1/accounts": {"items": [ACCOUNT], "next_cursor": None}}
    told = run(customer.statement, "explain", "r-1", answers=answers).stdout
    assert "energy hot: 3.000000 kWh × 0.50 = 1.50" in told


def test_a_kilowatt_hour_is_explained_by_the_event() -> None:
    line = {"ven_id": "home-1", "baseline_kwh": 4.0, "used_kwh": 1.0, "delivered_kwh": 3.0, "readings": 8, "note": ""}
    explained = BEHIND | {"line": line, "intervals": [INTERVAL | {"delivered_kwh": 0.125}]}
    answers = {
        "/v1/statements": {"items": [{"statement_id": "hot-1"}]},
        "/v1/statements/hot-1": {"lines": [line]},
        "/v1/statements/hot-1/explanation": explained,
    }
    told = run(customer.statement, "explain", "hot", "--ven", "home-1", answers=answers).stdout
    assert "4.0 kWh baseline − 1.0 used = 3.0 kWh from 8 readings" in told
    assert "0.166667 − 0.041667 kWh = 0.125 kWh (30 s gap)" in told
    assert "home-1: 4.0 kWh" in run(customer.statement, "explain", "hot", answers=answers).stdout
