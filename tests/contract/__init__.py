"""The promises of each port, held against every adapter on real servers."""
