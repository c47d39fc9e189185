"""One WebSocket of the chat: frames in, one answer at a time out, until the client leaves or the connection is closed.

BentoML counts open WebSockets as requests under way and its timeout guards only their first frame; so the limits are here. An
idle one holds no answer slot.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError

from aura.errors import BusyError, InvalidRequestError, UnauthenticatedError
from bentos.conversational_ai.answers import Answers, RunningAnswer
from bentos.conversational_ai.conversations import Conversation, Conversations
from bentos.conversational_ai.frames import CANCELLED, Frame, FrameWriter, error_frame
from bentos.conversational_ai.messages import ChatMessage
from bentos.conversational_ai.person import Person
from bentos.conversational_ai.schemas import CancelRequest, SocketFrame, SocketRequest
from bentos.conversational_ai.tools import Tools
from bentos.serving.error_text import validation_text
from bentos.serving.errors import BodyTooLargeError
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import missing

GOING_AWAY, POLICY_VIOLATION, SERVICE_RESTART, TRY_AGAIN_LATER = 1001, 1008, 1012, 1013
"""Codes that a WebSocket is closed with (RFC 6455, section 7.4; the last two: the IANA registry)."""
_FRAME: TypeAdapter[SocketFrame] = TypeAdapter(SocketFrame)


class ChatSocket:
    """A conversation over one accepted WebSocket."""

    def __init__(
        self,
        websocket: WebSocket,
        answers: Answers,
        conversations: Conversations,
        conversation: Conversation,
        serving: ServingSettings,
        tools: Tools,
        person: Person | None,
    ) -> None:
        self._websocket, self._answers, self._serving = websocket, answers, serving
        self._conversations, self._conversation = conversations, conversation
        self._tools, self._person = tools, person
        self._answer: RunningAnswer | None = None
        self._telling: asyncio.Task[None] | None = None

    async def converse(self) -> None:
        """Answer what the client asks, until this side closes: idle, taken over, or the process is about to end.

        Raises:
            WebSocketDisconnect: the client left.
        """
        reading = asyncio.ensure_future(_text_frame(self._websocket))
        taken = asyncio.ensure_future(self._conversation.taken_over.wait())
        ending = asyncio.ensure_future(self._answers.ending.wait())
        taken_over = self._conversation.taken_over
        try:
            while True:
                waited = {reading, taken} | ({self._telling} if self._telling else {ending})
                idle = None if self._telling else self._serving.idle_timeout_seconds
                done, _ = await asyncio.wait(waited, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
                if taken in done:
                    await self._websocket.close(POLICY_VIOLATION, "another connection goes on with this conversation")
                    return
                if self._telling in done:
                    await self._told()
                elif reading in done:
                    frame = reading.result()
                    reading = asyncio.ensure_future(_text_frame(self._websocket))
                    await self._take(frame)
                elif ending in done:
                    await self._websocket.close(SERVICE_RESTART, "this process ends; connect again")
                    return
                else:
                    await self._websocket.close(GOING_AWAY, "idle")
                    return
        finally:
            waiting = [task for task in (reading, taken, ending, self._telling) if task is not None]
            for task in waiting:
                task.add_done_callback(_seen)
                task.cancel()
            if not taken_over.is_set():
                self._conversations.leave(self._conversation)
            await asyncio.wait(waiting)  # not gather, which would hide by whom this task itself was cancelled

    async def _take(self, text: str) -> None:
        try:
            frame = _read_frame(text, self._serving.max_json_bytes)
            if isinstance(frame, CancelRequest):
                if self._answer is not None:
                    self._answer.cancel()
                return
            if self._answer is not None:
                raise BusyError(
                    "the answer before is not done", hint='wait for "done", or send {"type": "cancel"} to end it'
                )
            await self._told()  # it may not be back yet from sending the end of the answer before
            question = self._conversation.followed_by([ChatMessage(role="user", content=frame.content)])
            if frame.wardrobe and self._person is None:
                raise missing()
            ask_tool = partial(self._tools.answer, frame.content, frame, self._person)
            self._answer = self._answers.begin(question, frame.passages, ask_tool=ask_tool)
        except (InvalidRequestError, UnauthenticatedError, BodyTooLargeError, BusyError) as error:
            await self._websocket.send_json(error_frame(error))
            return
        self._telling = asyncio.create_task(self._tell(frame, self._answer))

    async def _told(self) -> None:
        """Wait until nothing is told any more. Raises WebSocketDisconnect: the client left meanwhile."""
        if self._telling is not None:
            telling, self._telling = self._telling, None
            await telling

    async def _tell(self, question: SocketRequest, answer: RunningAnswer) -> None:
        """Send an answer; it is remembered with its question unless nothing of it was told."""
        writer = FrameWriter()
        try:
            async for part in answer:
                frame = writer.frame(part)
                if frame["type"] == "done":
                    frame |= await self._record(question, writer.text)
                if frame["type"] != "token":
                    frame["conversation"] = str(self._conversation.id)
                await self._websocket.send_json(frame)
            if answer.cancelled:
                await self._websocket.send_json(CANCELLED | await self._record(question, writer.text))
        except WebSocketDisconnect:
            raise
        except Exception as error:  # a failed answer must not end the conversation; the frame carries the error
            self._answer = None
            await self._websocket.send_json(error_frame(error))
        finally:
            await answer.aclose()

    async def _record(self, question: SocketRequest, answer: str) -> Frame:
        """Called before the client is told of the end: its next question may be here before this side goes on."""
        said = [ChatMessage(role="user", content=question.content)]
        recorded = await self._conversations.record(self._conversation, said, answer)
        self._conversations.keep(self._conversation)
        self._answer = None
        return recorded.model_dump(exclude={"conversation"})


def _seen(task: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting what a task ended with when nothing depends on it any longer."""
    if not task.cancelled():
        task.exception()


async def refuse(websocket: WebSocket, error: Exception, code: int) -> None:
    """Say why a conversation cannot begin, and close."""
    await websocket.send_json(error_frame(error))
    await websocket.close(code)
    logger.info("a conversation was refused")


async def _text_frame(websocket: WebSocket) -> str:
    """The next frame as text; a binary frame gives an empty text, which is refused."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", GOING_AWAY))
    return message.get("text") or ""


def _read_frame(frame: str, limit_bytes: int) -> SocketFrame:
    """What a frame asks for.

    Raises:
        BodyTooLargeError: the frame is longer than a request may be.
        InvalidRequestError: it holds no question.
    """
    if len(frame) > limit_bytes:
        raise BodyTooLargeError(limit_bytes, str(len(frame)))
    try:
        return _FRAME.validate_json(frame)
    except ValidationError as error:
        problems = validation_text(error.errors(include_url=False, include_input=False), "frame")
        raise InvalidRequestError(problems, hint='send {"content": "your question"}') from None
