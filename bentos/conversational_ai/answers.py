"""An answer of the model part as events: what it may be grounded in, its text piece by piece, why it ended."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from bentoml.exceptions import BentoMLException

from aura.errors import ServiceError
from aura.serving import ServingSettings
from bentos.conversational_ai.schemas import Source
from bentos.serving.error_body import MODEL_PART_LOST
from bentos.serving.hop import raise_error_of
from inference.chat.passages import passage_text, search_query

logger = logging.getLogger("aura.services")

_STOP_SECONDS = 2.0
"""A part that died answers when it is back, and the caller need not wait for that."""


async def find_sources(model: Any, messages: list[dict[str, str]], k: int) -> list[Source]:
    """Passages for the last question of a conversation, best first.

    Args:
        model: client of the model part.

    Raises:
        AuraError: what the model part says.
    """
    if not k:
        return []
    answer = await model.retrieve(query=search_query(messages), k=k)
    raise_error_of(answer)
    return [Source(**one) for one in answer["passages"]]


async def generated(
    model: Any,
    messages: list[dict[str, str]],
    sources: list[Source],
    max_new_tokens: int | None,
    serving: ServingSettings,
) -> AsyncGenerator[dict[str, Any], None]:
    """`{"text": ...}` as it is generated, then `{"finish_reason": ...}`. Close it to end the answer early.

    Args:
        model: client of the model part.
        max_new_tokens: tokens of the answer at most; None is the setting's.

    Raises:
        AuraError: what the model part says, or ServiceError when the answer broke off.
    """
    answer_id = uuid.uuid4().hex
    ended = False
    buffer = ""
    notes = [passage_text(source.title, source.heading, source.text) for source in sources]
    stream = model.generate(
        answer_id=answer_id, messages=messages, passages=notes,
        max_new_tokens=max_new_tokens or serving.max_new_tokens, seconds=serving.chat_timeout_seconds,
    )  # fmt: skip
    try:
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                # Chunks on the wire need not end where lines do.
                *lines, buffer = (buffer + chunk).split("\n")
                for event in map(json.loads, filter(None, lines)):
                    ended = ended or "text" not in event
                    raise_error_of(event)
                    yield event
        if not ended:  # BentoML logs what is raised in a stream, and ends the stream as if it were whole
            raise ServiceError("the answer broke off", hint="try again; the log of the service says why")
    finally:
        if not ended:
            await _stop(model, answer_id)


async def _stop(model: Any, answer_id: str) -> None:
    """Tell the model part to stop. Closing the stream does not: BentoML's client leaves the connection open."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await model.stop(answer_id=answer_id)
    except (BentoMLException, *MODEL_PART_LOST) as error:
        logger.warning("could not stop an answer that nobody waits for: %r", error)
