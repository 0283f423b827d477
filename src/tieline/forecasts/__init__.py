"""What will be: load, generation and flexible load ahead of time, kept as vintages."""
