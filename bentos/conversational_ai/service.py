"""Endpoints of the conversational service: chat over HTTP and WebSocket, in Aura's format and in OpenAI's, and retrieval alone.

BentoML's `timeout` guards only the first byte and its `max_concurrency` counts open WebSockets, so this service has limits of
its own: conversations at once, idle time, answers at once, seconds per answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import bentoml
from fastapi import Request, Response, WebSocket, WebSocketDisconnect

from aura.errors import BusyError, InvalidRequestError, NotFoundError
from bentos.conversational_ai.answers import Answers
from bentos.conversational_ai.chat_socket import POLICY_VIOLATION, TRY_AGAIN_LATER, ChatSocket, refuse
from bentos.conversational_ai.conversations import Conversations
from bentos.conversational_ai.frames import server_sent_events
from bentos.conversational_ai.limits import ConcurrencyLimit
from bentos.conversational_ai.messages import RetrieveRequest, Runner
from bentos.conversational_ai.model import RUNNER_SECONDS, ChatRunner
from bentos.conversational_ai.openai_api import NO_SUCH_MODEL, Completion, openai_app, require_model
from bentos.conversational_ai.openai_schemas import ChatCompletion, CompletionRequest, Model, ModelList
from bentos.conversational_ai.outfit_tool import OutfitTool
from bentos.conversational_ai.person import Person
from bentos.conversational_ai.photo_tool import PhotoTool
from bentos.conversational_ai.responses import event_stream, whole_answer
from bentos.conversational_ai.schemas import ChatAnswer, ChatRequest, Health, RagAnswer, RagRequest
from bentos.conversational_ai.searches import Searches
from bentos.conversational_ai.stored_conversations import StoredConversations
from bentos.conversational_ai.tools import Tools
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.assets import Assets
from bentos.serving.bentoml_options import service_options
from bentos.serving.cache import AnswerCache
from bentos.serving.disconnect import while_connected
from bentos.serving.docs_page import root_page
from bentos.serving.draining import drain_on_sigterm
from bentos.serving.errors import NOT_FOUND, NotReadyBody, NotReadyError
from bentos.serving.health import Readiness
from bentos.serving.metrics import metrics_app
from bentos.serving.optional_database import OptionalDatabase
from bentos.serving.prediction_log import PredictionLog
from bentos.serving.process import HttpPart, start_process
from bentos.serving.request_log import logger
from bentos.serving.runner_metrics import sent_to_runner
from bentos.serving.tokens import missing
from stores.address import given_url
from stores.database import Database

PATH = "/api/v1/conversational-ai"
app = make_app(
    "Aura conversational AI", "Answers questions about clothes, grounded in a knowledge base.", image_paths=("/chat",)
)


@bentoml.service(name="conversational_ai", **service_options(RUNNER_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(openai_app, path=f"{PATH}/v1")
@bentoml.asgi_app(openai_app, path="/v1")
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(app, PATH), path="/")
class ConversationalAI(HttpPart):
    """Endpoints under `/api/v1/conversational-ai`."""

    runner = bentoml.depends(ChatRunner)

    def __init__(
        self,
        assets: Assets | None = None,
        runner: Runner | None = None,
        database_url: str | None = None,
        tools: Callable[[OptionalDatabase], Tools] | None = None,
    ) -> None:
        """BentoML passes nothing: then the assets, the runner, the database and the tools are those of this process."""
        self._assets = assets or start_process()
        self._runner: Runner = runner or self.runner.to_async
        self._readiness = Readiness(lambda: self._runner.status())
        self._cache = AnswerCache.of(self._assets, self._readiness.status)
        serving = self._assets.serving
        apply_settings(app, serving)
        apply_settings(openai_app, serving)
        self._began = int(time.time())
        self._open_sockets = ConcurrencyLimit(serving.max_conversations, "conversations are open")
        url = given_url() if database_url is None else database_url
        self._database = OptionalDatabase(Database(url, serving.database) if url else None, "stores no conversations")
        self._stored = StoredConversations(self._database, serving.accounts)
        self._tools = tools(self._database) if tools else Tools(PhotoTool(serving), OutfitTool(self._database))
        self._conversations = Conversations(serving.kept_conversations, serving.resume_seconds, self._stored)
        self._predictions = PredictionLog.of("conversational_ai", serving)
        self._searches = Searches(self._runner, serving.answer_seconds)
        self._answers = Answers(self._runner, self._searches.answer, serving, self._predictions)

    @bentoml.on_startup
    async def finish_answers_at_the_end(self) -> None:
        """Called by BentoML when the process has started."""
        drain_on_sigterm(self._answers.drain, self._assets.serving.drain_seconds)

    @bentoml.on_shutdown
    async def close_database(self) -> None:
        """Close the connections."""
        await self._database.close()

    @bentoml.on_shutdown
    async def close_predictions(self) -> None:
        """Write what the prediction log still holds."""
        await self._predictions.close()

    @app.post("/chat", response_model=ChatAnswer, responses={200: {"content": {"text/event-stream": {}}}, **NOT_FOUND})
    async def chat(self, request: ChatRequest, connection: Request) -> ChatAnswer | Response:
        """One answer, with the passages that the model had before it; stopped when the caller disconnects.

        With `stream`, server-sent events: `sources`, `token` per sentence, and `done` or `error`. What people say who have signed
        in is stored with the answer.
        """
        person = Person.of(connection)
        if person is None and (request.conversation or request.wardrobe):
            raise missing()
        conversation = await self._conversations.stored(request.conversation, person.id if person else None)
        said = request.said()
        record = partial(self._conversations.record, conversation, said)
        ask_tool = partial(self._tools.answer, said[-1].content, request, person)
        answer = self._answers.begin(conversation.followed_by(said), request.passages, request.max_new_tokens, ask_tool)
        if not request.stream:
            return await while_connected(connection, whole_answer(answer, record))
        return await event_stream(connection, answer, partial(server_sent_events, record))

    @app.post("/rag/query")
    async def rag_query(self, request: RagRequest) -> RagAnswer:
        """Passages of the knowledge base for a question, best first."""
        if not request.query:
            raise InvalidRequestError("query is blank", hint="ask a question in words")
        question = request.model_dump_json().encode()
        return await self._cache.answer("rag/query", question, RagAnswer, lambda: self._passages(request))

    async def _passages(self, request: RagRequest) -> RagAnswer:
        wanted = RetrieveRequest(query=request.query, k=request.k)
        with sent_to_runner("retrieve"):
            found = await self._searches.answer(wanted)
        return RagAnswer(passages=found.passages, index_version=found.index_version, release=found.release)

    @openai_app.post(
        "/chat/completions", response_model=ChatCompletion,
        responses={200: {"content": {"text/event-stream": {}}}, **NO_SUCH_MODEL},
    )  # fmt: skip
    async def chat_completions(self, request: CompletionRequest, connection: Request) -> ChatCompletion | Response:
        """One answer in OpenAI's format, with `stream` in chunks; what it is grounded in is in `annotations` and in `aura`."""
        require_model(request.model)
        asked = request.chat_request()
        completion = Completion(
            request.ignored(), include_usage=bool(request.stream_options and request.stream_options.include_usage)
        )
        answer = self._answers.begin(asked.said(), asked.passages, asked.max_new_tokens)
        if request.stream:
            return await event_stream(connection, answer, completion.events)
        return completion.whole(await while_connected(connection, whole_answer(answer)))

    @openai_app.get("/models")
    async def models(self) -> ModelList:
        """The one model that can be asked: the champion, whichever it is."""
        return ModelList(data=[Model(created=self._began)])

    @openai_app.get("/models/{model}", responses=NO_SUCH_MODEL)
    async def model(self, model: str) -> Model:
        require_model(model)
        return Model(created=self._began)

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        """Ready, or degraded and why; at once."""
        if self._answers.ending.is_set():
            raise NotReadyError("this process is about to end", hint="another one takes its place")
        status = await self._readiness.status()
        return Health(
            profile=self._assets.profile, model=status.model, release=status.release,
            reasons=[
                *status.degraded, *await self._cache.problems(), *await self._stored.problems(),
                *await self._predictions.problems(),
            ],
            index_version=status.index_version, question_tokens=status.question_tokens,
        )  # fmt: skip

    @app.websocket("/ws/chat")
    async def socket(self, websocket: WebSocket, conversation: str | None = None) -> None:
        """A conversation: the client sends `{"content": ...}`; frames `sources`, `token`..., `done` or `error` come back.

        `{"type": "cancel"}` ends the answer that is being made. `sources` and `done` name the conversation: with
        `?conversation=ID`, another connection goes on with it.
        """
        await websocket.accept()
        try:
            with self._open_sockets.slot():
                person = Person.of(websocket)
                found = await self._conversations.open(conversation, person.id if person else None)
                socket = ChatSocket(
                    websocket, self._answers, self._conversations, found, self._assets.serving, self._tools, person
                )
                await socket.converse()
        except BusyError as full:
            await refuse(websocket, full, TRY_AGAIN_LATER)
        except NotFoundError as unknown:
            await refuse(websocket, unknown, POLICY_VIOLATION)
        except WebSocketDisconnect:
            logger.info("a client left its conversation")


answer_unknown_paths(app)
answer_unknown_paths(openai_app)
