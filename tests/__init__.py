"""The proofs: unit, contract, integration, e2e, conformance, bench and house."""
