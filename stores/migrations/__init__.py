"""The schema, step by step: each file of `versions/` is one step in SQL, which Alembic runs once."""
