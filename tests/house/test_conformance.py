"""The conformance page is whole: every marked test is on it and passed, every SHALL and MUST has its clause."""

import ast
import re
from pathlib import Path

import pytest
from docs.reference import conformance

from tests.conformance.clauses import CLAUSES
from tests.conformance.record import clauses
from tests.house.tree import ROOT, named, parsed

RECORDED = conformance.record()
DEFINITION = ROOT.parent / "shared/specs/openadr/3.1.0/Definition.md"


def marked() -> dict[str, set[str]]:
    """The clauses that each test names, by the test's id."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (named_ := set(_clauses(node))):
                found[f"{named(file)}::{node.name}"] = named_
    return found


def _clauses(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
    return [ast.literal_eval(one.args[0]) for one in calls if ast.unparse(one.func) == "pytest.mark.clause"]


def test_the_record_is_of_the_tests_there_are() -> None:
    assert {test: set(one["clauses"]) for test, one in RECORDED["tests"].items()} == marked(), "run `make conformance`"
    assert RECORDED["clauses"] == clauses(), "run `make conformance`"


def test_every_recorded_test_passed() -> None:
    assert not {test: one for test, one in RECORDED["tests"].items() if not one.get("passed") or one.get("failed")}


def test_every_clause_is_shown_or_says_why_not() -> None:
    shown = {name for one in marked().values() for name in one}
    assert shown <= set(CLAUSES)
    assert {name for name, one in CLAUSES.items() if not one.instead} == shown
    for one in CLAUSES.values():
        for path in re.findall(r"tests/[a-z_]+/[a-z_]+\.py", one.instead):
            assert Path(ROOT / path).exists(), path


def test_every_demand_of_the_definition_has_its_clause() -> None:
    if not DEFINITION.exists():
        pytest.skip("the specification is not beside this repository")
    words = [word for one in CLAUSES.values() for word in one.words]
    lines = DEFINITION.read_text(encoding="utf-8").splitlines()
    demands = [line for line in lines if re.search(r"\b(SHALL|MUST)\b", line)]
    assert len(demands) > 20
    assert not [line for line in demands if not any(word in line for word in words)]
    assert not [word for word in words if not any(word in line for line in demands)]
