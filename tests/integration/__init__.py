"""One part at a time, through its doors, on real servers."""
