"""Webhooks: what a subscriber is told, kept until its callback URL has taken it."""
