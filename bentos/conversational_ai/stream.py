"""An answer as events: the passages that it may use, its sentences one by one, why it ended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from bentoml.exceptions import BentoMLException

from aura.errors import ServiceError
from bentos.conversational_ai.messages import (
    AnswerEvent,
    ChatMessage,
    Finished,
    FoundPassages,
    GenerateRequest,
    Passage,
    RetrieveRequest,
    Runner,
    Sentence,
    Started,
    StopRequest,
    read_event,
)
from bentos.serving.errors import RUNNER_LOST, Failure
from bentos.serving.messages import ReleaseVersions
from bentos.serving.release_header import note_release
from bentos.serving.request_log import logger
from bentos.serving.runner_metrics import sent_to_runner
from inference.chat.passages import search_query

Retrieve = Callable[[RetrieveRequest], Awaitable[FoundPassages]]
"""Finds passages, or raises the runner's failure."""
_STOP_SECONDS = 2.0
"""Time limit for telling the runner to stop. A runner that died answers after its restart, too late for the caller."""


async def find_passages(
    retrieve: Retrieve, messages: Sequence[ChatMessage], k: int
) -> tuple[list[Passage], ReleaseVersions]:
    """Passages for the last question of a conversation, best first, and the release that they were found in.

    Raises:
        AuraError: what the runner answers.
    """
    if not k:
        return [], ReleaseVersions()
    query = search_query([message.model_dump() for message in messages])
    with sent_to_runner("retrieve"):
        found = await retrieve(RetrieveRequest(query=query, k=k))
    return found.passages, found.release


async def generated(
    runner: Runner,
    messages: Sequence[ChatMessage],
    passages: Sequence[Passage],
    max_new_tokens: int,
    timeout_seconds: float,
    release: ReleaseVersions,
) -> AsyncGenerator[Started | Sentence | Finished, None]:
    """`Started`, sentences as they come to be, `Finished`. Close the generator to end the answer early.

    Raises:
        AuraError: what the runner answers, or ServiceError when the answer broke off.
    """
    request = GenerateRequest(
        answer_id=uuid.uuid4().hex, messages=[*messages], passages=[*passages],
        max_new_tokens=max_new_tokens, timeout_seconds=timeout_seconds, release=release.id,
    )  # fmt: skip
    ended = False
    try:
        async with aclosing(_events(runner, request)) as events:
            async for event in events:
                ended = ended or isinstance(event, Finished | Failure)
                if isinstance(event, Failure):
                    raise event.error()
                if isinstance(event, Finished):
                    note_release(event.release)
                yield event
        if not ended:  # after an exception BentoML ends the stream as if it were complete
            raise ServiceError("the answer broke off", hint="try again; the log of the service says why")
    finally:
        if not ended:
            await _stop(runner, request.answer_id)


async def _events(runner: Runner, request: GenerateRequest) -> AsyncGenerator[AnswerEvent, None]:
    buffer = b""
    async with aclosing(runner.generate(request=request)) as chunks:
        async for chunk in chunks:
            # Chunks on the wire need not end where lines do.
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in filter(None, lines):
                yield read_event(line)


async def _stop(runner: Runner, answer_id: str) -> None:
    """Tell the runner to stop. Closing the stream does not: BentoML's client leaves the connection open."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await runner.stop(request=StopRequest(answer_id=answer_id))
    except (BentoMLException, *RUNNER_LOST) as error:
        logger.warning("could not stop an answer that nobody waits for: %r", error)
