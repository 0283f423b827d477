"""What commands print for people: numbers under one another, words instead of brackets."""

from typing import Any

import pytest

from tieline.cli.printing import one, show


def lines(captured: str) -> list[str]:
    return [line.rstrip() for line in captured.splitlines()]


def test_numbers_stand_under_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"ven_id": "home-1", "kw": None, "total": "9.50", "share": "7.5%"},
        {"ven_id": "home-22", "kw": 28.96, "total": "28.77", "share": "100.0%"},
        {"ven_id": "home-3", "kw": 5.1234, "total": "-0.10", "share": "-"},
    ]
    show(rows, False, "loads")
    told = lines(capsys.readouterr().out)[4:7]
    assert told == [
        "│ home-1  │      - │  9.50 │   7.5% │",
        "│ home-22 │ 28.960 │ 28.77 │ 100.0% │",
        "│ home-3  │  5.123 │ -0.10 │      - │",
    ]


def test_lists_and_what_is_nested_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        [{"targets": ["east", "west"], "rules": {"fair": True, "rest_h": None}, "none": [], "nothing": {}}],
        False,
        "programs",
    )
    (told,) = [line for line in lines(capsys.readouterr().out) if "east" in line]
    assert [cell.strip() for cell in told.strip("│").split("│")] == ["east, west", "fair True", "-", "-"]


def test_one_thing_says_its_lists_too(capsys: pytest.CaptureFixture[str]) -> None:
    one({"signals": ["SIMPLE", "PRICE"], "targets": [], "rows": [{"state": "acked"}]}, False)
    told = lines(capsys.readouterr().out)
    assert [line.split() for line in told[:2]] == [["signals", "SIMPLE,", "PRICE"], ["targets", "-"]]
    assert any("acked" in line for line in told)
