"""What OpenADR 3.0.1 says, and how it is said in 3.1 and back."""
