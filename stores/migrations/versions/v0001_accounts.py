"""People, their sessions, and the refresh tokens of a session."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE users (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            email text NOT NULL UNIQUE,
            password_hash text NOT NULL,
            role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
            created_at timestamptz NOT NULL DEFAULT now(),
            password_changed_at timestamptz NOT NULL DEFAULT now()
        );

        -- From a sign-in to a sign-out: the family of the refresh tokens that follow each other.
        CREATE TABLE sessions (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
            -- 256 addresses of the old kind, one household of the new: no more than it takes to know a place again.
            network cidr NOT NULL,
            began_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            end_reason text CHECK (end_reason IN ('signed_out', 'password_changed', 'token_reused')),
            CHECK ((ended_at IS NULL) = (end_reason IS NULL))
        );
        CREATE INDEX sessions_by_user ON sessions (user_id, network);

        -- Of a token its SHA-256 alone: who reads this table can sign in as nobody.
        CREATE TABLE refresh_tokens (
            token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
            session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
            issued_at timestamptz NOT NULL DEFAULT now(),
            used_at timestamptz
        );
        CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
        """
    )
