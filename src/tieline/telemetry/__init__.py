"""Readings in: from the broker to Series, the newest in memory; what is refused goes to the dead letters."""
