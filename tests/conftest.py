"""Fixtures every ring of tests may use: real servers, each on a free loopback port, started once a session."""

pytest_plugins = ["tests.servers.nats", "tests.servers.postgres", "tests.servers.s3", "tests.conformance.record"]
