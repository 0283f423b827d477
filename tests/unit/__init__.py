"""Pure rules, in seconds."""
