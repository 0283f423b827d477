"""An S3 API for tests: moto's server on a free loopback port, with a bucket in it."""

import logging
import uuid
from collections.abc import Iterator

import httpx
import msgspec
import pytest


class Bucket(msgspec.Struct, frozen=True):
    """A fresh bucket and how to reach it."""

    endpoint: str
    bucket: str
    region: str
    key_id: str
    secret: str


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 API; any key and secret will do."""
    from moto.server import ThreadedMotoServer  # slow to import: only for those who ask

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> Bucket:
    """An empty bucket of its own for each test."""
    name = f"tieline-{uuid.uuid4().hex}"
    httpx.put(f"{s3_endpoint}/{name}", timeout=10).raise_for_status()
    return Bucket(endpoint=s3_endpoint, bucket=name, region="us-east-1", key_id="test", secret="test")
