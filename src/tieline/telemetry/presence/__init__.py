"""Which VENs are there: their beats and last wills come in, and each coming and going is told on the Log."""
