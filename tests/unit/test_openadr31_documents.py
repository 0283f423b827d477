"""Every JSON block of the User Guide and the Definition: what the specification calls valid is read and comes back.

The documents are not the project's; where they are absent these tests say so and skip.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.openadr_schemas import KINDS, LENIENT, specification, validator
from tieline.base.errors import Refused
from tieline.wires.openadr31 import vocabulary
from tieline.wires.openadr31.messages import decode

FOLDER = Path(__file__).parents[2].parent / "shared" / "specs" / "openadr" / "3.1.0"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"the OpenADR documents are not in {FOLDER}")

SCHEMAS = [
    name for name in KINDS["31"] if name not in ("intervalPeriod", "problem", "point", "notifierOperationsTopics")
]
"""Those that demand something: the others take any object."""

NO_TYPE = "a payloadDescriptor has no objectType"
INVALID = {
    "User_Guide.md:682": NO_TYPE,
    "User_Guide.md:1075": NO_TYPE,
    "User_Guide.md:1130": "a reportDescriptor has payLoadType for payloadType",
    "User_Guide.md:1313": NO_TYPE,
    "User_Guide.md:1356": NO_TYPE,
    "User_Guide.md:1385": NO_TYPE,
    "User_Guide.md:1471": NO_TYPE,
    "User_Guide.md:1522": NO_TYPE,
    "User_Guide.md:1581": "no JSON: points without their names",
    "User_Guide.md:1614": NO_TYPE,
    "User_Guide.md:1805": NO_TYPE,
    "User_Guide.md:1904": NO_TYPE,
    "User_Guide.md:1974": NO_TYPE,
    "User_Guide.md:2008": NO_TYPE,
    "User_Guide.md:2042": NO_TYPE,
    "User_Guide.md:2081": NO_TYPE,
    "User_Guide.md:2158": NO_TYPE,
    "User_Guide.md:2313": NO_TYPE,
    "User_Guide.md:2373": NO_TYPE,
    "User_Guide.md:2413": NO_TYPE,
    "User_Guide.md:2476": NO_TYPE,
    "User_Guide.md:2552": "a start has a space for its T; and " + NO_TYPE,
    "User_Guide.md:2585": NO_TYPE,
    "User_Guide.md:2739": "createdDateTime is a time without a day",
    "User_Guide.md:2798": "createdDateTime is a time without a day",
    "Definition.md:498": "a notification of 3.0.1: its operation is POST",
    "Definition.md:2551": "no JSON: an ellipsis",
    "Definition.md:2574": "no JSON: a part of an object",
    "Definition.md:2620": "no JSON: an ellipsis",
    "Definition.md:2785": "no JSON: an ellipsis",
    "Definition.md:2964": "no JSON: an ellipsis",
}
"""Where the documents do not follow their own specification, and how."""


def blocks() -> Iterator[tuple[str, str]]:
    """Each with its file and line."""
    for name in ("User_Guide.md", "Definition.md"):
        text = (FOLDER / name).read_text(encoding="utf-8")
        for found in re.finditer(r"^[ \t]*```[ \t]*json[ \t]*\n(.*?)^[ \t]*```", text, re.MULTILINE | re.DOTALL):
            yield f"{name}:{text.count(chr(10), 0, found.start()) + 1}", found[1]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def schemas_of(body: Any) -> list[str]:
    if isinstance(body, dict) and set(body) <= {"type", "title", "status", "detail", "instance"} and "title" in body:
        return ["problem"]
    return [schema for schema in SCHEMAS if validator("31", schema).is_valid(body)]


def contains(whole: Any, part: Any) -> bool:
    """Whether nothing of a part is missing or other in the whole."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


def comes_back(body: Any, schema: str) -> None:
    kind = KINDS["31"][schema]
    read = decode(kind, json.dumps(body).encode())
    written = msgspec.json.encode(read)
    assert decode(kind, written) == read
    assert validator("31", schema).is_valid(json.loads(written))
    assert contains(json.loads(written), known(body, {"$ref": f"/{schema}"}))


def known(body: Any, schema: dict[str, Any]) -> Any:
    """Without what the schema does not know, which a VTN may ignore (Definition, "Model Extension")."""
    if isinstance(body, list):
        return [known(one, part["items"]) for one in body for part in parts(schema) if "items" in part]
    fields = {name: one for part in parts(schema) for name, one in part.get("properties", {}).items()}
    return {key: known(body[key], fields[key]) for key in body if key in fields} if isinstance(body, dict) else body


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that a schema is made of."""
    if "$ref" in schema:
        schema = specification("31")["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield schema
    for inner in (one for word in ("allOf", "anyOf", "oneOf") for one in schema.get(word, ())):
        yield from parts(inner)


def test_the_valid_blocks_come_back() -> None:
    valid = {where: schemas for where, text in blocks() if (schemas := schemas_of(parsed(text)))}
    invalid = {where for where, _ in blocks()} - set(valid)
    print(f"{len(valid)} of {len(valid) + len(invalid)} blocks are valid objects")
    assert len(valid) >= 30
    assert invalid == set(INVALID)
    for where, text in blocks():
        for schema in valid.get(where, ()):
            comes_back(parsed(text), schema)


@pytest.mark.parametrize("schema", [schema for schema in SCHEMAS if schema not in LENIENT])
def test_the_others_are_refused(schema: str) -> None:
    """Block by block, the struct reads what its schema allows."""
    for _, text in blocks():
        body = parsed(text)
        try:
            decode(KINDS["31"][schema], text.encode())
        except Refused:
            assert not validator("31", schema).is_valid(body)
        else:
            assert validator("31", schema).is_valid(body)


def test_the_blocks_that_lack_only_an_object_type_come_back_with_it() -> None:
    completed = 0
    for where, text in blocks():
        if INVALID.get(where) == NO_TYPE:
            body = parsed(text)
            kind = "REPORT_PAYLOAD_DESCRIPTOR" if "resources" in body else "EVENT_PAYLOAD_DESCRIPTOR"
            for descriptor in body["payloadDescriptors"]:
                descriptor.setdefault("objectType", kind)
            schemas = schemas_of(body)
            assert schemas, where
            comes_back(body, schemas[0])
            completed += 1
    assert completed >= 20


# ---------------------------------------------------------------- words


def enumeration(name: str) -> Any:
    return yaml.safe_load((FOLDER / "enumerations" / f"{name}.schema.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("event-interval-payloads", vocabulary.EventPayload),
        ("report-payloads", vocabulary.ReportPayload),
        ("program-attributes", vocabulary.ProgramAttribute),
        ("ven-resource-attributes", vocabulary.Attribute),
    ],
)
def test_the_words_are_those_of_the_enumerations(name: str, words: Any) -> None:
    assert set(words) == set(enumeration(name)["definitions"])


def test_the_units_states_and_reading_types_are_those_of_the_enumerations() -> None:
    assert set(vocabulary.Unit) == set(enumeration("units")["enum"])
    reports = enumeration("report-payloads")["definitions"]
    states = set(reports["OPERATING_STATE"]["items"]["enum"])
    assert set(vocabulary.OperatingState) == states - {vocabulary.AGGREGATED_REPORT}
    assert set(vocabulary.DataQuality) == set(reports["DATA_QUALITY"]["items"]["enum"])
    strays = {"NORMAL", "ERROR"}  # operating states: the table of the Definition has no such reading types
    assert set(vocabulary.ReadingType) == set(enumeration("reading-types")["enum"]) - strays


def test_a_payload_is_unitary_when_the_enumeration_allows_it_one_value() -> None:
    events = enumeration("event-interval-payloads")["definitions"]
    assert {name for name, one in events.items() if one.get("maxItems") == 1} == vocabulary.UNITARY_PAYLOADS
