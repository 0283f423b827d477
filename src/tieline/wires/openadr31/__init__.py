"""What OpenADR 3.1.0 says: its messages, its words, and what an event means in time."""
