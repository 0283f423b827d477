"""The page's door: what is served, how long it may be kept, and what a browser may do with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tieline.web.routes import routes

SCRIPT = "console.log('tieline');" * 100


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Tieline</title>")
    (tmp_path / "theme.js").write_text("0;")
    (tmp_path / "assets" / "index-1a2b.js").write_text(SCRIPT)
    (tmp_path / "assets" / "notes.txt").write_text("not a file of the page")
    return tmp_path


@pytest.fixture
def client(built: Path) -> Iterator[TestClient[Litestar]]:
    with TestClient(Litestar(routes(built))) as client:
        yield client


def test_the_page_is_served_and_asked_for_again(client: TestClient[Litestar]) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "<title>Tieline</title>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert client.get("/theme.js").headers["cache-control"] == "no-cache"


def test_what_has_its_digest_in_its_name_is_kept(client: TestClient[Litestar]) -> None:
    answer = client.get("/assets/index-1a2b.js")
    assert answer.text == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/", "/assets/index-1a2b.js", "/assets/none.js"])
def test_a_browser_may_do_nothing_but_show_it(client: TestClient[Litestar], path: str) -> None:
    headers = client.get(path).headers
    policy = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/assets/none.js", "/assets/notes.txt", "/assets/..%2Findex.html", "/icon.svg"])
def test_nothing_else_is_served(client: TestClient[Litestar], path: str) -> None:
    assert client.get(path).status_code == 404


def test_without_a_build_it_says_how_to_make_one(tmp_path: Path) -> None:
    with TestClient(Litestar(routes(tmp_path / "absent"))) as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert "make web" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
