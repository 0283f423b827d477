"""What an event was worth: the baseline frozen at its start, and the statement made of it and the meters."""
