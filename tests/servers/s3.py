"""s3 for tests."""
