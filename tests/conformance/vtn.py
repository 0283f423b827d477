"""A VTN as its users run it: a platform's process, clients of both roles with their tokens, and who they call back."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.e2e.platform import Platform

Role = Literal["bl", "ven"]
Dialect = Literal["3.1.0", "3.0.1"]
DIALECTS: tuple[Dialect, ...] = ("3.1.0", "3.0.1")
DEVELOPMENT = {"development": "true", "log_level": "warning"}
"""Of a platform whose clients are called back over plain HTTP on this machine."""


class Credentials(NamedTuple):
    """What a client buys its tokens with."""

    client_id: str
    secret: str


class Vtn:
    """The OpenADR doors of one platform."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._opened: list[httpx.Client] = []
        self._usual: dict[Role, Credentials] = {}

    def url(self, dialect: Dialect = "3.1.0") -> str:
        return f"{self.platform.url}/openadr3/{dialect}"

    def enrol(self, role: Role, name: str = "", *, scope: str = "") -> Credentials:
        """A new client, by the command of the command line."""
        options = ["--scope", scope] if scope else []
        told = self.platform.told("client", "add", name or f"{role} {unique()}", "--role", role, *options)
        return Credentials(told["client_id"], told["client_secret"])

    def usual(self, role: Role) -> Credentials:
        """A client that several tests share."""
        if role not in self._usual:
            self._usual[role] = self.enrol(role)
        return self._usual[role]

    def token(self, who: Credentials) -> str:
        form = {"grant_type": "client_credentials"}
        answer = httpx.post(f"{self.url()}/auth/token", data=form, auth=(who.client_id, who.secret), timeout=60)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def client(self, who: Role | Credentials, dialect: Dialect = "3.1.0") -> httpx.Client:
        """HTTP as that client, or as the usual one of that role; closed with the VTN."""
        credentials = self.usual(who) if isinstance(who, str) else who
        return self.anyone(dialect, authorization=f"Bearer {self.token(credentials)}")

    def anyone(self, dialect: Dialect = "3.1.0", **headers: str) -> httpx.Client:
        """HTTP as whoever bears these headers."""
        self._opened.append(httpx.Client(base_url=self.url(dialect), headers=headers, timeout=60))
        return self._opened[-1]

    def failures(self) -> list[str]:
        """What the platform's log says of its own faults."""
        log = (self.platform.folder / "platform.log").read_text(errors="replace")
        return [line for line in log.splitlines() if re.search(r"unforeseen|broken|Traceback|Error:", line)]

    def close(self) -> None:
        for one in self._opened:
            one.close()
        self.platform.close()


def unique() -> str:
    return uuid.uuid4().hex[:12]


def created(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The object that a POST makes."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, f"{path}: {answer.status_code} {answer.text}"
    made: dict[str, Any] = answer.json()
    return made


class Called(NamedTuple):
    """A request to a callback URL."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Echo:
    """A server of callbacks: answers the challenge, keeps what it was told. Below /status/{n} it answers n, always."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.called: list[Called] = []

    def told(self, path: str) -> list[dict[str, Any]]:
        """The notifications at a path, in the order in which they came."""
        return [json.loads(one.body) for one in self.calls(path) if one.method == "POST"]

    def calls(self, path: str) -> list[Called]:
        return [one for one in list(self.called) if one.path.partition("?")[0] == path]


@contextmanager
def echoing() -> Iterator[Echo]:
    """In threads of its own: whoever asks may block meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            echo.called.append(Called("GET", self.path, dict(self.headers), b""))
            self._answer(parse_qs(urlsplit(self.path).query).get("echo", [""])[0].encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            echo.called.append(Called("POST", self.path, dict(self.headers), body))
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            status = re.match(r"/status/(\d+)", self.path)
            self.send_response(int(status[1]) if status else 200)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", echo.url)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        echo = Echo(server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield echo
        finally:
            server.shutdown()
