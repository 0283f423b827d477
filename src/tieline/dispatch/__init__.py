"""Programs, events and their delivery: who is called for how much, what they answered, and that all came back."""
