"""What autovacuum leaves to others: statistics that the planner lacks, and how much of each table is dead rows.

Autovacuum analyzes a table when a tenth of it has changed, so one that changes little waits for ever, and one that a restore has
filled is planned without statistics until then (PostgreSQL's manual, "Routine Vacuuming").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql
from psycopg.rows import class_row

from stores.database import Connection


@dataclass(frozen=True, kw_only=True)
class TableHealth:
    """One table, as PostgreSQL's counters have it.

    Attributes:
        rows: live ones, estimated.
        dead: rows that were changed or deleted, and whose space is not free yet.
        size_bytes: with indexes and long values.
        statistics: `fresh`; `missing`; `old`: rows have changed since they were made, longer ago than the limit.
    """

    table: str
    rows: int
    dead: int
    size_bytes: int
    statistics: str

    @property
    def dead_share(self) -> float:
        """Dead rows among all, 0 to 1."""
        return self.dead / max(1, self.rows + self.dead)


async def table_health(connection: Connection, statistics_age: timedelta) -> Sequence[TableHealth]:
    """All tables of the schema, the largest first.

    Args:
        statistics_age: beyond which statistics of a table that has changed are old.
    """
    async with connection.cursor(row_factory=class_row(TableHealth)) as cursor:
        await cursor.execute(
            """
            SELECT relname AS table, n_live_tup AS rows, n_dead_tup AS dead,
                   pg_total_relation_size(relid) AS size_bytes,
                   CASE WHEN greatest(last_analyze, last_autoanalyze) IS NULL THEN 'missing'
                        WHEN n_mod_since_analyze > 0
                             AND greatest(last_analyze, last_autoanalyze) < now() - %s THEN 'old'
                        ELSE 'fresh' END AS statistics
            FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY size_bytes DESC, relname
            """,
            (statistics_age,),
        )
        return await cursor.fetchall()


async def analyze(connection: Connection, table: str) -> None:
    """Make the planner's statistics of a table anew."""
    await connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
