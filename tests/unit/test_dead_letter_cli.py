"""`tieline dead-letter replay`: each message has its outcome, whatever became of the one before."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tieline.base.errors import NotFound
from tieline.cli import dead_letter

LETTER = {"ven_id": "home-1", "reason": "future stamp", "detail": "ahead", "replayed_at": "2026-07-12T14:00:00Z"}


def ask(url: str, token: str | None, method: str, path: str) -> dict[str, Any]:
    position = int(path.split("/")[3])
    if position == 99:
        raise NotFound("there is no dead letter 99")
    return LETTER | {"position": position, "outcome": "taken" if position < 10 else "refused"}


@pytest.mark.parametrize(
    ("positions", "outcomes", "code"),
    [
        (["1", "2"], ["taken", "taken"], 0),
        (["1", "99", "2"], ["taken", "not replayed", "taken"], 1),
        (["10"], ["refused"], 1),
    ],
)
def test_every_message_has_its_outcome(
    monkeypatch: pytest.MonkeyPatch, positions: list[str], outcomes: list[str], code: int
) -> None:
    monkeypatch.setattr(dead_letter, "ask", ask)
    words = ["replay", *positions, "--url", "http://tieline"]
    found = CliRunner().invoke(dead_letter.dead_letter, [*words, "--json"])
    assert ([one["outcome"] for one in json.loads(found.output)], found.exit_code) == (outcomes, code)
    shown = CliRunner().invoke(dead_letter.dead_letter, words)
    assert (all(outcome in shown.output for outcome in outcomes), shown.exit_code) == (True, code)
