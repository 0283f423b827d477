"""What things cost, on demand: each figure beside its limit, measured in the same run."""
