"""A chat model that answers: base and adapter, loaded once, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.special import logit
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aura.errors import InvalidRequestError
from aura.paths import cache_dir as default_cache_dir
from inference.bfloat16 import cpu_has_bfloat16
from inference.chat.answer import DECLINED, AnswerSentence, Wanted, always, while_wanted
from inference.chat.answering import AnswerStream, checked_sentences
from inference.chat.artifact import read_chat_artifact
from inference.chat.base import load_causal_model, load_tokenizer, resolve_base
from inference.chat.batched_decoding import BatchedDecoder
from inference.chat.choosing import ChoiceRule, Signs, chosen_sentences, passage_sentences, signs_of
from inference.chat.declining import DeclineRule
from inference.chat.decoding import end_token_ids
from inference.chat.entailment import EntailmentModel
from inference.chat.familiarity import Familiarity
from inference.chat.openai_backend import BackendReply, OpenAIBackend
from inference.chat.passages import ChatPassage, whole_question
from inference.chat.prompt import ChoicePrompt, Example, Message, PromptBuilder
from inference.chat.prompt_cache import PromptCache
from inference.chat.reply import FinishReason, Reply, ReplyStream
from inference.chat.scoring import score_examples
from inference.chat.settings import AnswerSettings, GenerationSettings, PromptSettings
from inference.chat.shared_base import SharedBase
from inference.chat.shared_scoring import SharedScoring
from inference.chat.support import SupportChecker
from inference.remembering_embedder import RememberingEmbedder
from inference.text_embedding import text_embedder_for
from inference.thread_share import share_of_threads

DtypeName = Literal["auto", "float32", "bfloat16"]
_CHOICE_BATCH_TOKENS = 1024
_PROMPT_CACHE_BYTES = 384 * 2**20
"""About 300 sentences of a base of 135 M parameters in 16 bits."""
_SHARED_SENTENCES = {"cpu": 8, "cuda": 64}
"""Sentences of several answers that are scored together at most, by kind of device. Arithmetic bounds a pass on a CPU: four
answers in one take as long as in four (measured: 0.39 against 0.29 CPU seconds each), and the first would wait for the last."""

_MOST_PASSES = 4
"""At a time on a CPU: the vocabulary's logits of 1024 tokens take half a gigabyte in each."""


class ChatModel:
    """Base model, adapter and prompt builder. Safe to share by threads, whose answers are made in shared batches."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        prompt: PromptSettings,
        generation: GenerationSettings,
        answers: AnswerSettings | None = None,
        choice: ChoiceRule | None = None,
        declines: DeclineRule | None = None,
        familiarity: Familiarity | None = None,
        base: SharedBase | None = None,
    ) -> None:
        """
        Args:
            declines: when no passage answers a question; it needs `familiarity`. None: never.
            base: what `model` was made from, for further adapters.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.prompts = PromptBuilder(tokenizer, prompt)
        self.generation = generation
        self.answers = (answers or AnswerSettings()).resolved(model.num_parameters())
        self.choice = choice or ChoiceRule()
        self.declines = declines
        self.familiarity = familiarity
        self.base = base
        self._end_ids = end_token_ids(model, tokenizer)
        self._context_tokens = int(model.config.get_text_config().max_position_embeddings)
        self._lock = threading.Lock()
        self._decoder = BatchedDecoder(model, generation, self._end_ids, self._lock)
        self._prompt_cache = PromptCache(model, int(tokenizer.pad_token_id), _PROMPT_CACHE_BYTES)
        device = next(model.parameters()).device.type
        # A short pass has much that only one thread can do: while answers wait, each core has a pass of its own.
        self._scoring = SharedScoring(
            self._cached_nats, _SHARED_SENTENCES.get(device, _SHARED_SENTENCES["cuda"]),
            passes=min(torch.get_num_threads(), _MOST_PASSES) if device == "cpu" else 1,
        )  # fmt: skip

    @property
    def question_tokens(self) -> int:
        """Most tokens of a question; a longer one is refused."""
        return self.prompts.settings.question_tokens

    def token_count(self, text: str) -> int:
        """Tokens of a text as it stands."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", beside: ChatModel | None = None, *,
        dtype: DtypeName = "auto", cache_dir: Path | None = None,
    ) -> ChatModel:  # fmt: skip
        """Model of an artifact: the base in 16 or 32 bits with the adapter folded in (never into 4 bits, which drifts).

        Args:
            device: torch device, for example `cpu` or `cuda:0`.
            beside: a model that answers meanwhile; what both have in common is not loaded again.
            dtype: `auto` is bfloat16, but float32 on a CPU without instructions for it.
            cache_dir: where converted bases lie; default: `aura.paths.cache_dir()`.

        Raises:
            ArtifactError: the artifact is incomplete or broken, or its base is not available.
        """
        config, prompt = read_chat_artifact(folder)
        wanted = (config.base, config.lora, device, _torch_dtype(dtype, device))
        base = beside.base if beside else None
        if base is None or not base.serves(*wanted):
            base = SharedBase(*wanted, cache_dir or default_cache_dir())
        return cls(
            base.with_adapter(folder), base.tokenizer, prompt=prompt, generation=config.generation, answers=config.answers,
            choice=config.choice, declines=DeclineRule.load(folder), familiarity=Familiarity.load(folder), base=base,
        )  # fmt: skip

    @classmethod
    def load_base(
        cls,
        reference: str,
        device: str = "cpu",
        *,
        prompt: PromptSettings | None = None,
        generation: GenerationSettings | None = None,
        answers: AnswerSettings | None = None,
        dtype: DtypeName = "auto",
        cache_dir: Path | None = None,
    ) -> ChatModel:
        """The base without an adapter, for answers before training. Arguments as in `load`.

        Raises:
            ArtifactError: the base is not available.
        """
        base_folder = resolve_base(reference, cache_dir or default_cache_dir())
        base = load_causal_model(base_folder, dtype=_torch_dtype(dtype, device)).to(device)
        return cls(
            base,
            load_tokenizer(base_folder),
            prompt=prompt or PromptSettings(),
            generation=generation or GenerationSettings(),
            answers=answers,
        )

    def answer(
        self,
        messages: Sequence[Message],
        passages: Sequence[ChatPassage],
        max_new_tokens: int | None = None,
        wanted: Wanted = always,
        backend: OpenAIBackend | None = None,
    ) -> AnswerStream:
        """Answer from passages, or decline; nothing is computed before the first sentence is requested.

        Args:
            messages: the conversation, ending with the user's question.
            passages: what was found for the question, best first.
            max_new_tokens: limit of an answer in the model's own words; default: the artifact's.
            wanted: when it no longer holds, the next sentence is an AnswerStoppedError.
            backend: writes the answer in this model's place; it is checked, cited and declined as this model's own words are.

        Raises:
            InvalidRequestError: at once, if the conversation or the limit cannot be used.
        """
        if self.answers.way == "quoted" and backend is None:
            prompt = self.prompts.choice_prompt(messages, passages)
            counts = {"prompt_tokens": prompt.length, "dropped_messages": 0, "used_passages": prompt.used_passages}
            return AnswerStream(self._quoted(prompt, passages, wanted), **counts)
        notes = [passage.whole for passage in passages]
        reply: ReplyStream | BackendReply
        if backend is None:
            reply = self.stream(messages, notes, max_new_tokens, wanted)
        else:
            limit = max_new_tokens or self.generation.max_new_tokens
            reply = backend.stream(self.prompts, messages, notes, limit, wanted)
        counts = {
            "prompt_tokens": reply.prompt_tokens, "dropped_messages": reply.dropped_messages,
            "used_passages": reply.used_passages,
        }  # fmt: skip
        return AnswerStream(self._checked(reply, whole_question(messages), passages), **counts)

    def candidates(self, prompt: ChoicePrompt) -> ChoicePrompt:
        """The sentences that the model scores: of those that fit the question's occasion, the nearest to the question."""
        prompt = prompt.of_the_occasion()
        if len(prompt.sentences) <= self.answers.scored_sentences:
            return prompt
        nearest = np.argsort(-self.similarities(prompt), kind="stable")[: self.answers.scored_sentences]
        return prompt.only(sorted(map(int, nearest)))

    def signs(self, prompt: ChoicePrompt, wanted: Wanted = always) -> Signs:
        """What the model and the embeddings say of each sentence of a prompt, which must have one.

        Raises:
            AnswerStoppedError: it is no longer wanted.
        """
        nats = self.question_nats(prompt.examples, wanted)
        return signs_of(nats, self._cosines(prompt.question, prompt.headed), prompt.lags)

    def declined(self, question: str, passages: Sequence[ChatPassage]) -> bool:
        """Whether none of the passages that were found answers a question, as the artifact's rule has it."""
        return self.declines is not None and self.declines.holds(*self.question_signs(question, passages))

    def question_signs(self, question: str, passages: Sequence[ChatPassage]) -> tuple[dict[str, float], np.ndarray]:
        """Signs that the rule of declining weighs, and the question's embedding, float32 (dim,).

        Raises:
            ValueError: this is a base, which knows no questions.
        """
        if self.familiarity is None:
            raise ValueError("a base without an artifact knows no questions")
        headed = [passages[one.passage].below_heading(one.text) for one in passage_sentences(passages)]
        vector, *sentences = self.embedder.encode([question, *headed])
        return self.familiarity.signs(question, vector, passages, np.array(sentences)), vector

    def similarities(self, prompt: ChoicePrompt) -> np.ndarray:
        """Cosine of the question's and each sentence's embeddings: float32 (sentences,)."""
        return self._cosines(prompt.question, [sentence.text for sentence in prompt.sentences])

    def _cosines(self, question: str, texts: Sequence[str]) -> np.ndarray:
        vectors = self.embedder.encode([question, *texts])
        return np.asarray(vectors[1:] @ vectors[0])

    def _quoted(
        self, prompt: ChoicePrompt, passages: Sequence[ChatPassage], wanted: Wanted
    ) -> Generator[AnswerSentence, None, FinishReason]:
        if not prompt.sentences or self.declined(prompt.question, passages):
            yield DECLINED
            return "stop"
        scored = self.candidates(prompt)
        chosen = chosen_sentences(
            scored.sentences, self.choice.scores(self.signs(scored, wanted)), most=self.answers.max_sentences,
            least=float(logit(self.answers.min_probability)),
        )  # fmt: skip
        for sentence in (scored.sentences[index] for index in chosen):
            yield AnswerSentence(sentence.text, sentence.passage, "quoted")
        return "stop"

    def _checked(
        self, reply: ReplyStream | BackendReply, question: str, passages: Sequence[ChatPassage]
    ) -> Generator[AnswerSentence, None, FinishReason]:
        if not passages or self.declined(question, passages):
            yield DECLINED
            return "stop"
        return (yield from checked_sentences(reply, passages, self._checker))

    @cached_property
    def embedder(self) -> RememberingEmbedder:
        """Embeds questions and sentences; loaded when the first is asked for."""
        return RememberingEmbedder(text_embedder_for(self.answers.text_embedder))

    @cached_property
    def _checker(self) -> SupportChecker:
        settings = self.answers.support
        entail = EntailmentModel(settings.entailment).probabilities if settings.entailment else None
        return SupportChecker(self.embedder.encode, settings, entail)

    def stream(
        self,
        messages: Sequence[Message],
        passages: Sequence[str] = (),
        max_new_tokens: int | None = None,
        wanted: Wanted = always,
    ) -> ReplyStream:
        """Whatever the model says, in pieces and unchecked; nothing is computed before the first piece is requested.

        Args:
            messages: the conversation, ending with the user's question.
            passages: retrieved texts, best first.
            max_new_tokens: limit of this answer; default: the artifact's.
            wanted: as in `answer`; asked before every token.

        Raises:
            InvalidRequestError: at once, if the conversation or the limit cannot be used.
        """
        limit = self.generation.max_new_tokens if max_new_tokens is None else max_new_tokens
        prompt = self.prompts.prompt(messages, passages)
        room = self._context_tokens - len(prompt.ids)
        if not 1 <= limit <= room:
            raise InvalidRequestError(f"max_new_tokens is {limit}; allowed with this conversation: 1 to {room}")
        tokens = while_wanted(self._decoder.generate_ids(prompt.ids, limit), wanted)
        return ReplyStream(
            tokens, self.tokenizer, self._end_ids,
            prompt_tokens=len(prompt.ids), dropped_messages=prompt.dropped_messages, used_passages=prompt.used_passages,
        )  # fmt: skip

    def reply(
        self, messages: Sequence[Message], passages: Sequence[str] = (), max_new_tokens: int | None = None
    ) -> Reply:
        """All that the model says, unchecked; arguments and errors as in `stream`."""
        stream = self.stream(messages, passages, max_new_tokens)
        text = "".join(stream)
        return Reply(text, stream.prompt_tokens, stream.new_tokens, stream.finish_reason or "length")

    def question_nats(self, examples: Sequence[Example], wanted: Wanted = always) -> Sequence[float]:
        """As `answer_nats`, of questions behind sentences; what the model made of a sentence is kept for the next question.

        Raises:
            AnswerStoppedError: as `signs`.
        """
        return self._scoring.nats(examples, wanted)

    def _cached_nats(self, examples: Sequence[Example], passes: int) -> list[float]:
        with share_of_threads(passes):
            return self._prompt_cache.nats(examples, _CHOICE_BATCH_TOKENS)

    def answer_nats(self, examples: Sequence[Example], batch_tokens: int = 1024) -> list[float]:
        """Negative log-likelihood of each example's answer, in nats summed over its tokens.

        Args:
            batch_tokens: tokens that go through the model at once; more needs more memory.
        """
        with self._lock:
            return score_examples(self.model, examples, int(self.tokenizer.pad_token_id), batch_tokens)


def _torch_dtype(name: DtypeName, device: str) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.startswith("cpu") and not cpu_has_bfloat16() else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
