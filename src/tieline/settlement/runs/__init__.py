"""Settlement runs: what each participant of a program is owed for a period, clause by clause."""
