"""Direct commands: what an operator asks of single VENs, outside events, and what each answered."""
