"""Clients of other makers, as the package indexes have them: each runs in an environment of its own, unmodified."""
