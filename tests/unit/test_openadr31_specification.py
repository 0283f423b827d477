"""The structs against the corrected specifications: the same fields, the same demands, refusing the same bodies."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, get_args

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV30SpecValidator

from tests.unit.openadr_schemas import EACH, EXAMPLES, KINDS, LENIENT, WORDS, specification, validator
from tieline.base.errors import Refused
from tieline.wires.openadr31.messages import decode

each = pytest.mark.parametrize(("version", "schema"), EACH)
both = pytest.mark.parametrize("version", ["31", "301"])
METHODS = ("get", "put", "post", "delete")


def operations(version: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in specification(version)["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS if method in item)


# ---------------------------------------------------------------- the documents


@both
def test_the_corrected_specification_is_valid(version: str) -> None:
    assert not list(OpenAPIV30SpecValidator(specification(version)).iter_errors())


@pytest.mark.parametrize(("version", "count"), [("31", 45), ("301", 31)])
def test_no_operation_is_lost(version: str, count: int) -> None:
    assert len({operation["operationId"] for _, _, operation in operations(version)}) == count


@both
def test_every_scope_an_operation_asks_for_is_declared(version: str) -> None:
    flow = specification(version)["components"]["securitySchemes"]["oAuth2ClientCredentials"]["flows"]
    asked = {
        scope
        for _, _, operation in operations(version)
        for one in operation.get("security", ())
        for scope in one.get("oAuth2ClientCredentials", ())
    }
    assert asked <= set(flow["clientCredentials"]["scopes"])


@both
def test_every_operation_lists_the_refusals_it_may_give(version: str) -> None:
    for path, method, operation in operations(version):
        expected = {"400", "500"} | ({"304"} if method == "get" else set())
        expected |= {"413", "415"} if "requestBody" in operation else set()
        expected |= {"401", "403"} if "security" in operation else set()
        assert expected <= set(operation["responses"]), f"{method} {path}"
        assert operation.get("requestBody", {"required": True})["required"], f"{method} {path}"


@both
def test_every_example_in_it_is_valid(version: str) -> None:
    def examples(schema: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(schema, dict):
            if "example" in schema and ("type" in schema or "anyOf" in schema):
                yield schema, schema["example"]
            for inner in schema.values():
                yield from examples(inner)

    components = specification(version)["components"]
    found = list(examples(components["schemas"]))
    assert len(found) > 50
    for schema, example in found:
        validator(version, "point").evolve(schema=schema | {"components": components}).validate(example)


@both
def test_no_unquoted_date_became_one(version: str) -> None:
    """YAML reads 2023-06-15T09:30:00Z as an instant, which is no JSON."""
    json.dumps(specification(version))


# ---------------------------------------------------------------- the structs


@both
def test_every_schema_has_its_struct(version: str) -> None:
    schemas = set(specification(version)["components"]["schemas"])
    assert schemas - WORDS[version] == set(KINDS[version])
    assert set(EXAMPLES[version]) == set(KINDS[version])


def _properties(version: str, schema: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Names and required names, gathered from all parts."""
    schemas = specification(version)["components"]["schemas"]
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    names, required = set(schema.get("properties", ())), set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        more, demanded = _properties(version, part)
        names, required = names | more, required | demanded
    return names, required


@each
def test_a_struct_has_the_fields_of_its_schema(version: str, schema: str) -> None:
    kind = KINDS[version][schema]
    wanted = specification(version)["components"]["schemas"][schema]
    if "oneOf" in wanted or "anyOf" in wanted:
        return
    fields = msgspec.structs.fields(kind)
    tag = {kind.__struct_config__.tag_field} - {None}
    names, required = _properties(version, wanted)
    assert {field.encode_name for field in fields} | tag == names
    ours = {field.encode_name for field in fields if field.required} | tag
    assert required - ours <= {"WEBHOOK", "token_type", "serialization"}, "these have one value only"
    assert ours - required <= set()


@each
def test_a_full_example_comes_back_as_it_was_sent(version: str, schema: str) -> None:
    example = EXAMPLES[version][schema]
    validator(version, schema).validate(example)
    read = decode(KINDS[version][schema], json.dumps(example).encode())
    written = json.loads(msgspec.json.encode(read))
    assert written == example
    validator(version, schema).validate(written)


@each
def test_the_least_example_comes_back_with_nulls_and_defaults(version: str, schema: str) -> None:
    kind = KINDS[version][schema]
    example = {key: value for key, value in EXAMPLES[version][schema].items() if _is_needed(kind, key)}
    written = json.loads(msgspec.json.encode(decode(kind, json.dumps(example).encode())))
    assert written.items() >= example.items()
    validator(version, schema).validate(written)


def _is_needed(kind: Any, key: str) -> bool:
    kinds = get_args(kind) or (kind,)
    tags = {one.__struct_config__.tag_field for one in kinds}
    return key in tags or any(field.encode_name == key and field.required for field in msgspec.structs.fields(kinds[0]))


HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    101,
    2**31,
    -(2**31) - 1,
    10**30,
    "",
    "x",
    "x" * 128,
    "x" * 129,
    "ü€",
    "a b",
]
HOSTILE += ["P1D", "P1D\n", "P", "PT1.5S", "-P1Y", "P١D", "2026-02-10T00:00:00Z", "2026-02-30T00:00:00Z", "12:00"]
HOSTILE += ["0001-01-01", "0001-01-01T00:00:00", "0000-00-00", "2026-02-10T00:00:00", "EVENT", "EVENT\n", "CREATE"]
HOSTILE += [[], [None], ["x"], [0], [[]], {}, {"x": 1}, {"x": 1, "y": None}, [{"type": "A", "values": [1]}]]
HOSTILE += ["EVENT_PAYLOAD_DESCRIPTOR", "REPORT_PAYLOAD_DESCRIPTOR", "BL_VEN_REQUEST", "VEN_VEN_REQUEST", "VEN"]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key within."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from _places(node[key])


@st.composite
def disturbed(draw: st.DrawFn, example: Any) -> Any:
    """An example in which a thing or two are missing or something else."""
    body = json.loads(json.dumps(example))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(body))
        if not places:
            return body
        container, key = places[draw(st.integers(0, len(places) - 1))]
        if draw(st.booleans()) and isinstance(container, dict):
            del container[key]
        else:
            container[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
    return body


@each
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_a_body_is_refused_when_the_specification_says_so(version: str, schema: str, data: st.DataObject) -> None:
    body = data.draw(disturbed(EXAMPLES[version][schema]))
    valid = validator(version, schema).is_valid(body) and all(map(_is_uri, _uris(schema, body)))
    if not valid and schema in LENIENT:
        return
    with nullcontext() if valid else pytest.raises(Refused, match=":"):
        decode(KINDS[version][schema], json.dumps(body).encode())


def _uris(schema: str, body: Any) -> Iterator[Any]:
    """The texts whose format is uri, which the validator does not check."""
    names = {"URL", "callbackUrl", "instance", "error_uri", "tokenURL"} | ({"type"} if schema == "problem" else set())
    for container, key in _places(body):
        if key in names:
            yield container[key]
        if key == "URIS" and isinstance(container[key], list):
            yield from container[key]


def _is_uri(value: Any) -> bool:
    return not isinstance(value, str) or re.match(r"^[A-Za-z][A-Za-z0-9+.-]*:[^ ]+$", value) is not None


def test_the_copies_name_where_they_come_from() -> None:
    for version in ("31", "301"):
        text = yaml.dump(specification(version)["info"])
        assert "Apache 2.0" in text
