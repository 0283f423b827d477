"""Rows in SQLite or PostgreSQL: one interface, one set of migrations, one outbox."""
