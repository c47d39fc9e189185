"""How a process uses the database. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class DatabaseSettings(Section):
    """Connections and limits of one process. The address is no setting, as it may hold a password: `AURA_DATABASE_URL`."""

    connections: int = Field(default=8, ge=1)
    """Connections per process; further work waits for one."""
    wait_seconds: float = Field(default=2.0, gt=0)
    """Seconds that work waits for a connection."""
    statement_seconds: float = Field(default=3.0, gt=0)
    """Seconds per statement; the server ends it then."""
    idle_transaction_seconds: float = Field(default=10.0, gt=0)
    """Seconds that a transaction may wait for its process; the server ends it then, so that nobody waits for its locks."""
    work_seconds: float = Field(default=6.0, gt=0)
    """Seconds per unit of work, tries included. A server that is frozen ends nothing itself."""
    tries: int = Field(default=5, ge=1)
    """Tries of a unit of work that others have crossed (serialisation failures and deadlocks)."""
    migrate_at_start: bool = True
    """Whether a service that needs the database brings its schema up to date first, one process at a time."""
    start_seconds: float = Field(default=60.0, gt=0)
    """Seconds for a server to accept connections, where a command waits for it."""
