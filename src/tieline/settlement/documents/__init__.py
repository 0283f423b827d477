"""A run as documents: JSON, CSV and PDF in the same bytes anywhere, signed, and checked without us."""
