"""The ports made real: each adapter sees the ports and base, and nothing else of the house."""
