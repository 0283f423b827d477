"""The pytest plugin of the conformance page: `@pytest.mark.clause(…)`, and `--record-conformance` to write what came of
every test that bears it."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.clauses import CLAUSES

RECORD = Path(__file__).parents[2] / "docs/reference/conformance.json"
PROPERTY = "clauses"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-conformance", action="store_true", help="write docs/reference/conformance.json")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-conformance") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(), "conformance-recorder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test proves goes with its report, from whichever process runs it."""
    for item in items:
        if named := [mark.args[0] for mark in item.iter_markers("clause")]:
            item.user_properties.append((PROPERTY, sorted(set(named))))


class Recorder:
    """Counts the outcomes of each test function, and writes them at the end."""

    def __init__(self) -> None:
        self._clauses: dict[str, list[str]] = {}
        self._outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        named = dict(report.user_properties).get(PROPERTY)
        if not isinstance(named, list) or (report.when != "call" and report.outcome == "passed"):
            return
        test = re.sub(r"\[.*", "", report.nodeid, flags=re.DOTALL)
        self._clauses[test] = named
        self._outcomes[test][report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        RECORD.write_text(json.dumps(self._record(), indent=1, ensure_ascii=False, sort_keys=True) + "\n")

    def _record(self) -> dict[str, Any]:
        tests = {test: {"clauses": named, **self._outcomes[test]} for test, named in self._clauses.items()}
        return {"clauses": clauses(), "tests": tests}


def clauses() -> list[dict[str, str]]:
    """As the page tells them, in the order of the table."""
    return [
        {"name": name, "document": one.document, "section": one.section, "says": one.says, "instead": one.instead}
        for name, one in CLAUSES.items()
    ]
