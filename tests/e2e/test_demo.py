"""The story for a newcomer, as a process: it ends well only when everything came back and the books balance."""

import json
import subprocess
import sys

import pytest


@pytest.mark.lasts(80)
@pytest.mark.timeout(600)
def test_the_demo_ends_well_and_its_figures_agree_with_the_simulators() -> None:
    command = [sys.executable, "-m", "tieline.cli", "demo", "--homes", "120", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=560)
    assert done.returncode == 0, done.stdout + done.stderr
    tale = json.loads(done.stdout)
    assert all(check["holds"] for check in tale["checks"])
    assert tale["planned_kw"] >= tale["target_kw"]
    assert abs(tale["baseline_error_percent"]) < 25
    # Called loads are those that run: a baseline of other days knows less of them than of the whole fleet.
    wrong = abs(tale["delivered_kwh"] - tale["true_delivered_kwh"])
    assert wrong < 0.25 * tale["baseline_kwh"]
    assert 0 < tale["true_delivered_kwh"] < tale["baseline_kwh"]  # how near the target: how soon a machine is heard
    assert "scheduled" in done.stderr
    assert "restored" in done.stderr
