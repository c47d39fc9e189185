"""A sample of what the models have answered, in figures."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        """
        -- Nothing here names a person, or holds a picture or a text.
        CREATE TABLE predictions (
            made_at timestamptz NOT NULL,
            service text NOT NULL,
            endpoint text NOT NULL,
            release text NOT NULL,
            versions jsonb NOT NULL,
            seconds real NOT NULL CHECK (seconds >= 0),
            figures jsonb NOT NULL
        );
        -- Both readers, the comparison of days and the removal of old ones, ask for a time alone.
        CREATE INDEX predictions_by_time ON predictions (made_at);
        """
    )
