"""nats for tests."""
