"""What must not be lost: PostgreSQL and Redis."""
