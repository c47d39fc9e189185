"""Conversations of people who have signed in, in the database, where the accounts service lists and removes them.

Texts are encrypted. No answer depends on this: where the database is away it is given all the same, and says that it was not
stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from aura.errors import AuraError, DatabaseUnavailableError, NotFoundError
from bentos.accounts.settings import AccountsSettings
from bentos.conversational_ai.messages import ChatMessage
from bentos.serving.errors import NoDatabaseError
from bentos.serving.optional_database import AWAY, OptionalDatabase
from bentos.serving.request_log import logger
from stores.conversations import Conversations
from stores.database import Connection
from stores.encryption import TextCipher, keys_folder


def no_such_conversation() -> NotFoundError:
    """The error for an id of nobody's and for somebody else's: they are not told apart."""
    return NotFoundError(
        "there is no such conversation, or it was not used for too long", hint="leave its id out to begin anew"
    )


class StoredConversations:
    """Reads and appends; without a database it says so.

    Args:
        settings: how many conversations and messages there may be.
    """

    def __init__(self, database: OptionalDatabase, settings: AccountsSettings) -> None:
        self._database, self._settings = database, settings
        self._cipher = TextCipher(keys_folder()) if database.is_there else None

    async def latest(self, owner: UUID, conversation_id: UUID, limit: int) -> list[ChatMessage]:
        """The last messages of a conversation, oldest first.

        Raises:
            NotFoundError: this person has no such conversation.
            NoDatabaseError: this service has no database.
            DatabaseUnavailableError: the database is away.
        """
        found = await self._database.run(lambda connection: self._of(connection, owner).latest(conversation_id, limit))
        if found is None:
            raise no_such_conversation()
        return [ChatMessage(role=message.role, content=message.content) for message in found]

    async def add(self, owner: UUID, conversation_id: UUID, messages: Sequence[ChatMessage], *, is_new: bool) -> str:
        """Store what was said; returns why it was not stored, in words for callers, or nothing.

        Args:
            is_new: the conversation begins with these messages; otherwise it is there unless its owner has removed it.
        """
        said = [(message.role, message.content) for message in messages]
        settings = self._settings

        async def store(connection: Connection) -> int | None:
            conversations = self._of(connection, owner)
            if is_new:
                # None also where a try before this one got through without hearing of it: then there is something to add to.
                await conversations.begin(settings.max_conversations, conversation_id)
            return await conversations.add(conversation_id, said, settings.max_messages)

        try:
            first = await self._database.run(store)
        except DatabaseUnavailableError as error:
            logger.warning("not stored: %r", error)
            return AWAY
        except AuraError as error:
            logger.info("not stored: %s", error.code)
            return (
                error.message if isinstance(error, NoDatabaseError | NotFoundError) else "the service cannot store it"
            )
        if first is None:
            most = settings.max_conversations
            return f"you have {most} conversations, which is the most" if is_new else "the conversation is not there"
        return f"a conversation has {settings.max_messages} messages at most" if first < 0 else ""

    async def problems(self) -> list[str]:
        """Why nothing is stored, in words for callers; nothing where there is no database to store it in."""
        return await self._database.problems("conversations are not stored")

    def _of(self, connection: Connection, owner: UUID) -> Conversations:
        assert self._cipher is not None, "there is one wherever there is a database"
        return Conversations(connection, owner, self._cipher)
