"""`tieline claim add`: what is shown once is never lost, and can be copied from where it is shown."""

import csv
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from tieline.base.errors import Unready
from tieline.cli import device

FLEET = [f"home-{n}" for n in range(2500)]


def added(ven_id: str) -> dict[str, Any]:
    claim = f"5e0c8d3f1a2b4c6d.{ven_id:x>43}"
    return {"ven_id": ven_id, "claim_id": claim[:16], "claim": claim, "uses": 1, "expires_at": "2026-07-22T17:00:00Z"}


def run(*words: str, fails_at: int = 99) -> Result:
    """The command, of a platform where all of `FLEET` are new; from one batch of claims on it cannot be reached."""
    asked = 0

    def ask(_url: str, _token: str | None, method: str, _path: str, body: Any = None, **_: Any) -> Any:
        nonlocal asked
        if method == "GET":
            return {"items": [{"ven_id": ven_id} for ven_id in FLEET], "next_cursor": None}
        asked += 1
        if asked >= fails_at:
            raise Unready("away")
        return {"items": [added(ven_id) for ven_id in body["ven_ids"]]}

    with patch.object(device, "ask", ask):
        return CliRunner().invoke(device.claim, ["add", *words, "--url", "http://nowhere"])


def written(path: Path) -> list[str]:
    return [row["claim"] for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


def test_all_that_were_made_before_a_failure_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    result = run("--all-new", "--out", str(path), fails_at=3)
    assert isinstance(result.exception, Unready)
    assert "2000 claims are in" in result.output
    assert written(path) == [added(ven_id)["claim"] for ven_id in FLEET[:2000]]


def test_where_none_was_made_no_file_stands_in_the_way_of_the_next_try(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    assert isinstance(run("--all-new", "--out", str(path), fails_at=1).exception, Unready)
    assert run("--all-new", "--out", str(path), "--json").exit_code == 0
    assert len(written(path)) == len(FLEET)
    assert path.stat().st_mode & 0o077 == 0
    assert "File exists" in str(run("--all-new", "--out", str(path)).exception)
    assert len(written(path)) == len(FLEET)


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_what_was_made_before_a_failure_is_shown(how: list[str]) -> None:
    result = run("--all-new", *how, fails_at=2)
    assert isinstance(result.exception, Unready)
    assert all(added(ven_id)["claim"] in result.stdout for ven_id in FLEET[:1000])
    if how:
        assert len(json.loads(result.stdout)) == 1000


def test_a_claim_is_shown_whole_on_the_narrowest_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = f"cabin-{'x' * 58}"
    assert f"{long}  {added(long)['claim']}  until" in run(long).stdout
