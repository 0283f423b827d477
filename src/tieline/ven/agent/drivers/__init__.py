"""Drivers: what stands between the agent and a load. `driver` says what one is, `fitting` puts them to a load."""
