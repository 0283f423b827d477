"""postgres for tests."""
