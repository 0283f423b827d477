"""Outages: when a VEN's load was not its own, who said so and when; nothing is overwritten."""
