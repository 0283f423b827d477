"""What exists: sites, VENs, their resources, and every series with what it means."""
