"""An S3 API for tests: moto's server on a free loopback port, with a bucket in it."""

import logging
import uuid
from collections.abc import Iterable, Iterator
from threading import Lock, Thread
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Bucket(msgspec.Struct, frozen=True):
    """A fresh bucket and how to reach it."""

    endpoint: str
    bucket: str
    region: str
    key_id: str
    secret: str


class _OneWriteAtATime:
    """moto looks whether an object exists and then writes it: of two conditional writes at once both would win."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app, self._writing = app, Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._app(environ, start_response)
        with self._writing:
            return self._app(environ, start_response)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 API; any key and secret will do."""
    from moto.moto_server.werkzeug_app import (  # slow to import: only for those who ask
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = _OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> Bucket:
    """An empty bucket of its own for each test."""
    name = f"tieline-{uuid.uuid4().hex}"
    httpx.put(f"{s3_endpoint}/{name}", timeout=60).raise_for_status()
    return Bucket(endpoint=s3_endpoint, bucket=name, region="us-east-1", key_id="test", secret="test")
