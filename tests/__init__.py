"""The proofs: unit, contract, integration, e2e, bench and house."""
