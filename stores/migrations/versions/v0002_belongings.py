"""What people have: consents, wardrobes, conversations, feedback."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE users
            ADD COLUMN may_learn boolean NOT NULL DEFAULT false,
            ADD COLUMN consents_changed_at timestamptz;

        CREATE TABLE garments (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
            category text NOT NULL,
            title text NOT NULL,
            colour text,
            -- SHA-256 of the picture's file, which lies in the folder of its owner.
            picture_hash bytea CHECK (length(picture_hash) = 32),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE INDEX garments_by_user ON garments (user_id, created_at DESC, id DESC);

        CREATE TABLE conversations (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE INDEX conversations_by_user ON conversations (user_id, created_at DESC, id DESC);

        CREATE TABLE messages (
            conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
            position integer NOT NULL CHECK (position >= 0),
            role text NOT NULL CHECK (role IN ('user', 'assistant')),
            -- Encrypted (Fernet) with the key of this id, here and below.
            content bytea NOT NULL,
            key_id text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (conversation_id, position)
        );
        CREATE INDEX messages_by_key ON messages (key_id);

        -- An outbox: the night takes rows, several readers side by side, and marks them in the transaction that uses them.
        CREATE TABLE feedback (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
            kind text NOT NULL CHECK (kind IN ('answer', 'detection', 'outfit')),
            body bytea NOT NULL,
            key_id text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            taken_at timestamptz
        );
        CREATE INDEX feedback_by_user ON feedback (user_id, id DESC);
        CREATE INDEX feedback_by_key ON feedback (key_id);
        CREATE INDEX feedback_waiting ON feedback (id) WHERE taken_at IS NULL;
        """
    )
