"""Paths, queries and ways of speaking HTTP that no client should have: refused with a reason, and all others served."""

import contextlib
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.refusals import discreet, refused, unharmed
from tests.conformance.samples import Sample
from tests.conformance.vtn import DIALECTS, Dialect, Echo, Vtn

IDS = [
    "..%2f..%2fv1%2fvens", "%2e%2e", "..;", "%00", "a%00b", "%0d%0aSet-Cookie:a=b", "%ff", "%c0%ae%c0%ae%c0%af", "%",
    "%zz", "a%2Fb", "a b", "é", "%E2%80%AE", "*", "'%20OR%201=1--", "${7*7}", "a;b=c", "a,b", "~", ".", "a.json",
    "%252e%252e", "x" * 129, "x" * 8000, "-" * 128, "0", "null", "undefined", "NaN", "true",
]  # fmt: skip
PATHS = [
    "", "/", "//", "//programs", "/programs/", "/programs//", "/PROGRAMS", "/programs;x", "/programs/x/y",
    "/programs/x/", "/../v1/vens", "/../../v1/vens", "/%2e%2e/v1/vens", "/..%2fv1%2fvens", "/./programs", "\\programs",
    "/programs%00", "/programs%20", "/programs.json", "/auth", "/auth/token/x", "/auth/tokens", "/notifiers/amqp",
    "/metrics", "/v1/vens", "/" + "a/" * 2000, "/" + "a" * 16_000,
]  # fmt: skip
SLASHES = ("//programs", "/programs/", "/programs//")
"""A slash more or less is the same path."""
QUERIES = [
    "limit=-1", "limit=51", "limit=1e3", "limit=0x10", "limit=+5", "limit=%205", "limit=٣", "limit=" + "9" * 5000,
    "limit=", "limit=ten", "limit=1.0", "skip=-1", "skip=2147483648", "skip=" + "9" * 400, "skip=NaN",
    "skip[]=1&skip=x", "programID=" + "x" * 129, "programID=a/b", "programID=%00", "active=yes", "active=1",
    "dateStart=yesterday", "dateStart=2030-01-01", "dateEnd=9999-99-99T00:00:00Z", "dateStart=" + "9" * 5000,
    "targets=%00", "%ff=%ff", "targets=%ff", "targets=%ed%a0%80", "&".join(f"a{i}=b" for i in range(1500)),
]  # fmt: skip
IGNORED = ["", "&", "&&&", "=", "===", "unknown=1", "unknown=" + "x" * 2000, "a[b][c]=d", "skip=0&skip=0", "%", "a=%zz"]
"""Queries that say nothing a list knows: unknown parameters are ignored."""


@pytest.fixture(scope="module", params=DIALECTS)
def sample(request: pytest.FixtureRequest, vtn: Vtn, echo: Echo) -> Iterator[Sample]:
    dialect: Dialect = request.param
    yield Sample(vtn, echo, dialect)
    assert vtn.failures() == []


def said(vtn: Vtn, target: bytes, method: bytes = b"GET", *, token: str = "", more: bytes = b"") -> bytes:
    """The whole answer to a request whose target goes out byte by byte as it is."""
    authorization = f"Authorization: Bearer {token}\r\n".encode() if token else b""
    head = method + b" " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + authorization
    return spoken(vtn, head + more + b"\r\n")


def spoken(vtn: Vtn, request: bytes, *, that_is_all: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", vtn.platform.http_port), timeout=60) as line:
        line.sendall(request)
        if that_is_all:
            line.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := line.recv(65536):
                answer += piece
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.clause("requests: paths")
def test_ids_that_are_none(vtn: Vtn, sample: Sample) -> None:
    token = vtn.token(vtn.usual("bl"))
    prefix = f"/openadr3/{sample.dialect}/"
    for path in sample.lists():
        for id_ in IDS:
            for method in (b"GET", b"DELETE"):
                answer = said(vtn, f"{prefix}{path}/{id_}".encode(), method, token=token)
                assert status(answer) in (400, 403, 404), (path, id_, answer[:300])
                assert b"Traceback" not in answer
                assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]


@pytest.mark.clause("requests: paths")
def test_paths_that_lead_nowhere(vtn: Vtn, sample: Sample) -> None:
    token = vtn.token(vtn.usual("bl"))
    for path in PATHS:
        answer = said(vtn, f"/openadr3/{sample.dialect}{path}".encode(), token=token)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) in ((200,) if path in SLASHES else (400, 404, 405, 414)), (path, answer[:300])
        if b"application/json" in head and path not in SLASHES:
            assert json.loads(body)["status"] == status(answer)


@pytest.mark.clause("requests: queries")
def test_queries_that_cannot_be(sample: Sample) -> None:
    for path in sample.lists():
        for query in QUERIES:
            answer = sample.bl.get(f"{path}?{query}")
            unharmed(answer, f"{path}?{query[:60]}")
            if query.partition("=")[0] in ("limit", "skip"):
                refused(answer, 400, told=f"{path}?{query[:60]}")


@pytest.mark.clause("requests: queries")
def test_queries_that_say_nothing(sample: Sample) -> None:
    for path in sample.lists():
        for query in IGNORED:
            answer = sample.bl.get(f"{path}?{query}")
            assert answer.status_code == 200, f"{path}?{query}: {answer.text}"


@pytest.mark.clause("requests: methods")
def test_methods_that_an_object_does_not_have(sample: Sample) -> None:
    for paths, wrong in ((sample.lists(), ("PUT", "DELETE", "PATCH")), (sample.ones(), ("POST", "PATCH"))):
        for path in paths:
            for method in (*wrong, "HEAD", "TRACE", "BREW", "PROPFIND"):
                answer = sample.bl.request(method, path)
                assert answer.status_code in (405, 501), f"{method} {path}: {answer.status_code}"
                assert "GET" in answer.headers["allow"]
                discreet(answer)


@pytest.mark.clause("requests: methods")
def test_who_asks_for_the_methods_is_told_all(vtn: Vtn, sample: Sample) -> None:
    told = {"auth/server": "GET, OPTIONS", "auth/token": "OPTIONS, POST"}
    told |= dict.fromkeys(sample.lists(), "GET, OPTIONS, POST")
    told |= dict.fromkeys(sample.ones(), "DELETE, GET, OPTIONS, PUT")
    for path, methods in told.items():
        answer = vtn.anyone(sample.dialect).options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, methods), path


@pytest.mark.clause("requests: methods")
def test_no_answer_is_taken_for_something_else_by_a_browser(vtn: Vtn, sample: Sample) -> None:
    one, list_ = sample.one("programs"), sample.collection("programs")
    tag = {"if-none-match": sample.bl.get(one).headers["etag"]}
    answers = {
        200: sample.bl.get(one),
        201: sample.bl.post(list_, json=sample.body("programs")),
        204: sample.bl.options(one),
        304: sample.bl.get(one, headers=tag),
        400: sample.bl.post(list_, json={}),
        401: vtn.anyone(sample.dialect).get(one),
        403: sample.ven.delete(one),
        404: sample.bl.get("programs/nobody"),
        405: sample.bl.patch(one),
    }
    for status_, answer in answers.items():
        assert answer.status_code == status_
        assert answer.headers["x-content-type-options"] == "nosniff", status_
        assert answer.headers["cache-control"] == "no-cache", status_


POST = b"POST /openadr3/3.1.0/programs HTTP/1.1\r\nHost: x\r\n"
RAW = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "HTTP/0.9": b"GET /openadr3/3.1.0/programs\r\n\r\n",
    "HTTP/9.9": b"GET /openadr3/3.1.0/programs HTTP/9.9\r\nHost: x\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
    "a length below nothing": POST + b"Content-Length: -1\r\n\r\n",
    "a length beyond all": POST + b"Content-Length: 9" + b"9" * 40 + b"\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "a header with a line end": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk without an end": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "a megabyte of headers": b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %s\r\n" % (i, b"x" * 999) for i in range(999)),
    "a header of a megabyte": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 1_000_000 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.clause("requests: paths")
def test_what_is_hardly_http(vtn: Vtn) -> None:
    """Answered 4xx or hung up on; the next caller notices nothing."""
    for what, request in RAW.items():
        with contextlib.suppress(OSError):
            answer = spoken(vtn, request, that_is_all=True)
            assert not answer or 400 <= status(answer) < 500 or status(answer) == 505, (what, answer[:200])
        assert vtn.platform.answer("GET", "/health/live").status_code == 200, what


@pytest.mark.clause("requests: slow bodies")
def test_who_sends_slowly_holds_nobody_up(vtn: Vtn, sample: Sample) -> None:
    """A hundred requests whose bodies do not come; the others are answered meanwhile."""
    head = f"POST /openadr3/{sample.dialect}/programs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n".encode()
    with contextlib.ExitStack() as lines:
        for _ in range(100):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", vtn.platform.http_port), timeout=60))
            line.sendall(head + b"\r\n{")
        for _ in range(20):
            assert sample.bl.get("programs").status_code == 200
    assert sample.bl.get("programs").status_code == 200


@pytest.mark.clause("requests: slow bodies")
def test_who_hangs_up_in_the_middle_leaves_nothing(vtn: Vtn, sample: Sample) -> None:
    name = "half of a program"
    body = json.dumps({"programName": name}).encode()
    token = vtn.token(vtn.usual("bl"))
    head = f"POST /openadr3/{sample.dialect}/programs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", vtn.platform.http_port), timeout=60) as line:
            line.sendall(head.encode() + f"Content-Length: {len(body) + 1}\r\n\r\n".encode() + body)
    assert name not in {one["programName"] for one in everything(sample.bl, "programs")}


def everything(client: httpx.Client, path: str) -> list[dict[str, object]]:
    """Every page of a list."""
    found: list[dict[str, object]] = []
    while page := client.get(path, params={"skip": len(found)}).json():
        found += page
    return found


@pytest.mark.clause("requests: validators")
def test_validators_that_are_none(sample: Sample) -> None:
    for known in ("", "*", '"', '""', ",", "W/", '"x",' * 200, "x" * 4000, "é"):
        for path in [*sample.lists(), *sample.ones()]:
            answer = sample.bl.get(path, headers=[(b"if-none-match", known.encode("latin-1"))])
            assert answer.status_code == (304 if known == "*" else 200), f"{path}, {known[:20]!r}: {answer.text}"
