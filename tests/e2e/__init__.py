"""The real command line as processes: the ways of data from door to door, kills, and a real browser."""
