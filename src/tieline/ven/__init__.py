"""The agent at the load: what a command holds, the MQTT session, the client of /v1. Runs on the bare package."""
