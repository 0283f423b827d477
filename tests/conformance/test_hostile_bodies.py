"""Bodies that no client should send, to every operation that takes one: refused with a reason, or taken as they are."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conformance.refusals import refused, unharmed
from tests.conformance.samples import KINDS, Operation, Sample
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn

LARGE = 10_000_000
DEEP = 50_000
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module", params=DIALECTS)
def sample(request: pytest.FixtureRequest, vtn: Vtn, echo: Echo) -> Iterator[Sample]:
    dialect: Dialect = request.param
    yield Sample(vtn, echo, dialect)
    assert vtn.failures() == []
    assert vtn.platform.answer("GET", "/health/ready").status_code == 200


def each_write(sample: Sample) -> Iterator[tuple[httpx.Client, Operation]]:
    for kind in KINDS:
        for operation in sample.writes(kind):
            yield sample.writer(kind), operation


NO_JSON = {
    "nothing": b"",
    "spaces": b" " * 1000,
    "half an object": b"{",
    "two objects": b"{}{}",
    "a comma too much": b'{"programName": "x",}',
    "single quotes": b"{'programName': 'x'}",
    "bytes that are no text": b'{"programName": "\xff\xfe"}',
    "overlong UTF-8": b'{"programName": "\xc0\xaf"}',
    "a surrogate as UTF-8": b'{"programName": "\xed\xa0\x80"}',
    "UTF-16": '{"programName": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"programName": "x"}',
    "NUL": b'{"programName": "\x00"}',
    "NUL, escaped": b'{"programName": "\\u0000"}',
    "NaN": b'{"programName": NaN}',
    "Infinity": b'{"priority": -Infinity}',
    "a comment": b'{/* */"programName": "x"}',
    "an array too deep": b"[" * DEEP,
    "an object too deep": b'{"a":' * DEEP,
    "depth in a field nobody knows": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "null": b"null",
    "a number": b"42",
    "a text": b'"x"',
    "an array": b"[]",
    "an empty object": b"{}",
    "a form": b"programName=x&venName=y",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "YAML": b"programName: !!python/object/apply:os.system ['true']",
}


@pytest.mark.clause("bodies: malformed")
@pytest.mark.parametrize("body", NO_JSON)
def test_what_is_no_object_of_the_schema(sample: Sample, body: str) -> None:
    for client, (method, path, _) in each_write(sample):
        answer = client.request(method, path, content=NO_JSON[body], headers=JSON)
        refused(answer, 400, told=f"{method} {path}, {body}")


@pytest.mark.clause("bodies: malformed")
def test_larger_than_anyone_needs(sample: Sample) -> None:
    for client, (method, path, body) in each_write(sample):
        large = json.dumps({**(body or {}), "programName": "x" * LARGE, "venName": "x" * LARGE}).encode()
        refused(client.request(method, path, content=large, headers=JSON), 400, 413, told=f"{method} {path}")


@pytest.mark.clause("bodies: malformed")
def test_larger_than_anyone_needs_without_saying_how_large(sample: Sample) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"programName": "'
        for _ in range(LARGE // 100_000):
            yield b"x" * 100_000

    for client, (method, path, _) in each_write(sample):
        try:
            answer = client.request(method, path, content=endless(), headers=JSON)
        except httpx.TransportError:
            continue  # it hung up on who went on sending after being refused
        refused(answer, 400, 413, told=f"{method} {path}")


WRONG: list[Any] = [None, True, -1, 0.5, 10**30, -(10**400), 1e308, "", "x" * 200_000, [], {}, [[]], [None], {"": {}}]
TEXTS = {
    "a lone surrogate": "\ud800",
    "two in the wrong order": "\udc00\ud800",
    "right to left": "\u202eEVENT\u202c",
    "no width": "\u200b\u2060\ufeff",
    "combining": "e" + "\u0301" * 100,
    "beyond the basic plane": "\U0001f9ff" * 60,
    "a line end": "a\r\nSet-Cookie: b=c",
    "SQL": "'; DROP TABLE event; --",
    "a template": "{{7*7}}${7*7}%(x)s{0.__class__}",
    "markup": "<script>alert(1)</script>",
    "a path": "../../../../etc/passwd",
    "JNDI": "${jndi:ldap://127.0.0.1/x}",
}


def fields(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a body."""
    if path:
        yield path
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        yield from fields(value, (*path, name))


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(body))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return copy


@pytest.mark.clause("bodies: malformed")
@pytest.mark.parametrize("kind", KINDS)
def test_anything_in_any_field(sample: Sample, kind: str) -> None:
    """Callback URLs stay ours: nobody else is to be called."""
    client = sample.writer(kind)
    for method, path, body in sample.writes(kind):
        for field in fields(body):
            if "callbackUrl" in field:
                continue
            for value in [*WRONG, *TEXTS.values()]:
                sent = json.dumps(replaced(body, field, value)).encode()
                answer = client.request(method, path, content=sent, headers=JSON)
                unharmed(answer, f"{method} {path}, {field} = {str(value)[:30]!r}")


TIMES = {
    "start": ["0000-00-00T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2030-02-30T00:00:00Z",
              "2030-01-01T00:00:60Z", "2030-01-01T24:00:00Z", "2030-01-01", "²030-01-01T00:00:00Z", "9" * 5000],
    "duration": ["P" + "9" * 5000 + "Y", "PT1e9S", "P-1D", "-P9999Y", "P99999999999999D", "PT0.0000000001S", "P1Y1W",
                 "P", "PT" + "9" * 400 + "S", "P9999Y", "PT1H\n"],
    "randomizeStart": ["P9999Y", "-PT1H", "PT" + "9" * 5000 + "S"],
}  # fmt: skip


@pytest.mark.clause("bodies: malformed")
@pytest.mark.parametrize("field", TIMES)
def test_times_beyond_every_calendar(sample: Sample, field: str) -> None:
    """Whatever of them is taken, can be read again, listed and followed."""
    for value in TIMES[field]:
        for kind in ("programs", "events", "reports"):
            client = sample.writer(kind)
            for method, path, body in sample.writes(kind):
                ways = [way for way in fields(body) if way[-1] == field]
                for way in ways:
                    answer = client.request(method, path, json=replaced(body, way, value))
                    unharmed(answer, f"{method} {path}, {way} = {value[:30]!r}")
                for query in ("", "?active=true", "?dateStart=2030-01-01T00:00:00Z&dateEnd=2031-01-01T00:00:00Z"):
                    listed = client.get(f"{sample.collection(kind)}{query}")
                    assert listed.status_code == 200, listed.text


@pytest.mark.clause("bodies: malformed")
def test_hundreds_of_thousands_of_parts(sample: Sample) -> None:
    many = {"targets": ["x"] * 300_000, "attributes": [{"type": "t", "values": [1] * 300_000}]}
    for client, (method, path, body) in each_write(sample):
        answer = client.request(method, path, json={**(body or {}), **many})
        unharmed(answer, f"{method} {path}")


@pytest.mark.clause("bodies: malformed")
def test_the_same_field_twice(sample: Sample) -> None:
    """The last one counts, or none: never both."""
    twice = b'{"programName": "first", "programName": "second"}'
    for client, (method, path, _) in each_write(sample):
        answer = client.request(method, path, content=twice, headers=JSON)
        unharmed(answer, f"{method} {path}")
        if answer.is_success:
            assert answer.json()["programName"] == "second"


MEDIA = ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
         "application/octet-stream", "json", "application/json; charset=utf-16", "application/json; charset=nonsense",
         ",", "application/json, text/plain", "é"]  # fmt: skip


@pytest.mark.clause("bodies: media type")
@pytest.mark.parametrize("media", MEDIA)
def test_another_media_type_or_charset(sample: Sample, media: str) -> None:
    for client, (method, path, body) in each_write(sample):
        content = json.dumps(body).encode()
        headers = [(b"content-type", media.encode("latin-1"))]
        answer = client.request(method, path, content=content, headers=headers)
        refused(answer, 400, 415, told=f"{method} {path} as {media}")


@pytest.mark.clause("bodies: media type")
@pytest.mark.parametrize(
    "media", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_the_ways_to_say_json(sample: Sample, media: str) -> None:
    for client, (method, path, body) in each_write(sample):
        answer = client.request(method, path, content=json.dumps(body).encode(), headers={"content-type": media})
        assert answer.is_success, answer.text


@pytest.mark.clause("bodies: media type")
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
def test_a_body_that_must_be_unpacked(sample: Sample, coding: str) -> None:
    """A megabyte that would be a gigabyte is not unpacked at all."""
    bomb = gzip.compress(b'{"programName": "' + b"x" * 100_000_000 + b'"}', 9)
    for client, (method, path, _) in each_write(sample):
        headers = JSON | {"content-encoding": coding}
        refused(client.request(method, path, content=bomb, headers=headers), 400, 413, 415, told=f"{method} {path}")
