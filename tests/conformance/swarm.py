"""Schemathesis over one dialect: every operation, every check, and what came of it, counted.

examples → coverage of every constraint → fuzzing → sequences of linked operations
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import schemathesis
import yaml
from schemathesis import Case, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.meta import TestPhase

from tests.conformance.reality import Reality
from tests.conformance.vtn import Dialect

WIRES = Path(__file__).parents[2] / "src/tieline/wires"
SPECIFICATIONS: dict[Dialect, Path] = {
    "3.1.0": WIRES / "openadr31/openadr3.yaml",
    "3.0.1": WIRES / "openadr301/openadr3.yaml",
}
VENS_OWN = ["createReport", "updateReport", "deleteReport"]
"""Operations that only a VEN may do, whoever does the others."""


class Swarm(msgspec.Struct):
    """What happened: answers by operation and status, those to requests that were wholly valid, and faults."""

    tokens: set[str]
    answers: defaultdict[str, Counter[int]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    valid: defaultdict[str, Counter[int]] = msgspec.field(default_factory=lambda: defaultdict(Counter))
    faults: dict[str, str] = msgspec.field(default_factory=dict)

    def taken(self, operation: str) -> float:
        """The share of valid requests that were answered 2xx."""
        counts = self.valid[operation]
        return sum(n for status, n in counts.items() if 200 <= status < 300) / max(counts.total(), 1)

    def table(self) -> str:
        rows = [
            f"{operation:45} {counts.total():5} {self.taken(operation):5.0%} of {self.valid[operation].total():4}  "
            + " ".join(f"{status}:{n}" for status, n in sorted(counts.items()))
            for operation, counts in sorted(self.answers.items())
        ]
        return "\n".join(rows)

    def count(self, recorder: ScenarioRecorder) -> None:
        for case_id, node in recorder.cases.items():
            interaction = recorder.interactions.get(case_id)
            if interaction is None or interaction.response is None:
                continue
            status, case = interaction.response.status_code, node.value
            self.answers[case.operation.label][status] += 1
            honest = self.tokens & set(interaction.request.headers.get("Authorization", ()))
            if _valid(case) and honest and interaction.request.method == case.method.upper():
                self.valid[case.operation.label][status] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    self._fault(recorder, case_id, check.name, check.failure_info)

    def _fault(self, recorder: ScenarioRecorder, case_id: str, check: str, info: Any) -> None:
        operation = recorder.cases[case_id].value.operation.label
        response = recorder.interactions[case_id].response
        said = "" if response is None else f"\n{response.status_code} {(response.content or b'')[:300]!r}"
        self.faults.setdefault(f"{operation}: {check}: {info.failure.message}", f"{info.code_sample[:1000]}{said}")


def unleash(
    dialect: Dialect, url: str, reality: Reality, *, token: str, ven_token: str, examples: int, **phases: Any
) -> Swarm:
    """Run every operation of the dialect's specification. The seed is fixed: the same requests every time."""
    specification = yaml.safe_load(SPECIFICATIONS[dialect].read_text(encoding="utf-8"))
    _let_be_null(specification)
    schema = schemathesis.openapi.from_dict(specification, config=_config(url, token, ven_token, examples, phases))

    def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
        _make_real(case, reality)

    def after_call(_context: HookContext, case: Case[Any], response: Response) -> None:
        method = str(response.request.method)
        if (method, response.status_code) in (("POST", 201), ("DELETE", 200)):
            reality.learn(method, response.json())

    found = Swarm({f"Bearer {token}", f"Bearer {ven_token}"})
    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    try:
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                found.count(event.recorder)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                found.faults[f"error: {getattr(event, 'value', None) or getattr(event, 'exception', None)!r}"] = ""
    finally:
        schemathesis.hooks.unregister(before_call)
        schemathesis.hooks.unregister(after_call)
    return found


def _let_be_null(specification: dict[str, Any]) -> None:
    """A null in a request counts as left out, which no schema says (docs/reference/openadr-corrections.md). Answers are
    held to the schemas as they are."""
    for path in specification["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            if "application/json" in content:
                asked = content["application/json"]
                asked["schema"] = _with_nulls(asked["schema"], specification)


def _with_nulls(schema: Any, specification: dict[str, Any]) -> Any:
    """A copy with its references resolved, in which what is not required may be null."""
    if isinstance(schema, list):
        return [_with_nulls(each, specification) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _with_nulls(specification["components"]["schemas"][schema["$ref"].rpartition("/")[2]], specification)
    copy = {name: _with_nulls(each, specification) for name, each in schema.items() if name != "discriminator"}
    for name, each in copy.get("properties", {}).items():
        if name not in copy.get("required", ()):
            each["nullable"] = True
    return copy


def _config(url: str, token: str, ven_token: str, examples: int, phases: dict[str, Any]) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": url,
            "seed": 1,
            "workers": 1,
            "request-timeout": 30,
            "headers": {"Authorization": f"Bearer {token}"},
            "operations": [
                {"include-operation-id": VENS_OWN, "headers": {"Authorization": f"Bearer {ven_token}"}},
            ],
            "continue-on-failure": True,
            "max-failures": 100,
            # U+0000 is refused everywhere: a database of ours cannot keep it (see `test_hostile.py`)
            "generation": {"max-examples": examples, "allow-x00": False, "no-shrink": True, "database": "none"},
            "phases": {"stateful": {"max-steps": 6}, **phases},
            "suppress-health-check": ["all"],
            "cache": {"enabled": False},
        }
    )


def _make_real(case: Case[Any], reality: Reality) -> None:
    reality.callbacks(case.body)
    if case.path_parameters and _is_valid(case, ParameterLocation.PATH):
        linked = case.meta is not None and case.meta.phase.name is TestPhase.STATEFUL
        reality.path(case.path_parameters, case.path, case.method.upper(), linked=linked)
    if case.query and _is_valid(case, ParameterLocation.QUERY):
        reality.query(case.query)
    if isinstance(case.body, dict) and _is_valid(case, ParameterLocation.BODY):
        reality.body(case.body)


def _is_valid(case: Case[Any], location: ParameterLocation) -> bool:
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode.is_positive


def _valid(case: Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
