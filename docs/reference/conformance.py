"""The conformance page: clause → test → result, from the record of the last full run (`make conformance`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("conformance.json")
Lines = Iterator[str]


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def page() -> Lines:
    made = record()
    yield from ("# Conformance", "")
    yield "What OpenADR asks of a VTN, and which test shows it on a running platform: its command line, its HTTP and"
    yield "MQTT doors, a database and a broker behind them. `make conformance` runs these tests and records what came"
    yield "of each; `make test` runs them too. Every sentence of the 3.1.0 Definition with SHALL or MUST is here. Both"
    yield "specifications are used as [corrected](openadr-corrections.md); Schemathesis runs every operation of both."
    yield ""
    passed = sum(one.get("passed", 0) for one in made["tests"].values())
    others = sum(one.get("failed", 0) + one.get("skipped", 0) for one in made["tests"].values())
    yield f"{len(made['tests'])} tests in {passed + others} variants: {passed} passed, {others} failed or were skipped."
    yield ""
    for document in dict.fromkeys(clause["document"] for clause in made["clauses"]):
        yield from (f"## {document}", "", "| clause | says | shown by | result |", "|---|---|---|---|")
        for clause in made["clauses"]:
            if clause["document"] == document and not clause["instead"]:
                yield _row(clause, made["tests"])
        yield ""
    yield from _instead(made["clauses"])
    yield from _clients()


def _row(clause: dict[str, str], tests: dict[str, Any]) -> str:
    shown = {name: one for name, one in tests.items() if clause["name"] in one["clauses"]}
    names = "<br>".join(f"`{name.removeprefix('tests/conformance/')}`" for name in sorted(shown)) or "nothing"
    return f"| {clause['section']} | {clause['says']} | {names} | {_result(list(shown.values()))} |".replace("|||", "")


def _result(shown: list[dict[str, Any]]) -> str:
    counts = {outcome: sum(one.get(outcome, 0) for one in shown) for outcome in ("passed", "failed", "skipped")}
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "not run"


def _instead(clauses: list[dict[str, str]]) -> Lines:
    yield from ("## Shown elsewhere, or not at all", "", "| clause | says | instead |", "|---|---|---|")
    for clause in clauses:
        if clause["instead"]:
            yield f"| {clause['document']}, {clause['section']} | {clause['says']} | {clause['instead']} |"
    yield ""


def _clients() -> Lines:
    yield from ("## Clients of other makers", "")
    yield "Unmodified, from the package index, each in an environment of its own with pinned hashes"
    yield "(`tests/conformance/clients`). What one should know of them:"
    yield ""
    yield "- **python-oa3-client 0.5** with openadr3 0.5. Its webhook receiver does not answer the challenge that 3.1.0"
    yield "  demands, but says 200 to any GET; with `development` on, that is let pass. Its MQTT channel cannot show a"
    yield "  broker anything: it is run as it comes with `mqtt_auth` `anonymous`, and with a token by the MQTT client"
    yield "  that it is built upon."
    yield "- **openadr3-client 2.4** (ElaadNL) needs Python 3.12; where there is none its tests say so and are skipped."
    yield "  It writes null into every field without a value, whatever the schema says, and takes a token whose"
    yield "  scope is not literally the one it asked for as a failure; both are met. Its MQTT client shows no user, its"
    yield "  subscriptions have the verbs of HTTP as operations: these cannot work with a 3.1.0 VTN, and are not run."
    yield "- On the npm index no client of OpenADR 3 was found (November 2026)."
