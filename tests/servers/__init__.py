"""Real servers for tests: each starts on a free loopback port and stops with the session."""
