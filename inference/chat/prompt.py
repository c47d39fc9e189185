"""The prompt builder: training, evaluation and serving all turn a conversation into tokens here.

A prompt is the system text, the bounded history, and the question with the retrieved passages before it, rendered by the
tokenizer's own chat template. Passages belong to the last question alone, so that history stays short and they are
those of the question being answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from aura.errors import InvalidRequestError
from inference.chat.settings import PromptSettings

PROMPT_VERSION = 1
"""Raise it when the same conversation gives other tokens: an adapter fits only the prompts that it was trained on."""

Message = Mapping[str, str]
ROLES = ("user", "assistant")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


@dataclass(frozen=True)
class Prompt:
    """Tokens that an answer follows.

    Attributes:
        ids: token ids, ending where the assistant begins to speak.
        dropped_messages: earlier messages that did not fit.
        used_passages: passages of which at least a part is in the prompt.
    """

    ids: list[int]
    dropped_messages: int
    used_passages: int


@dataclass(frozen=True)
class Example:
    """A prompt and the answer to learn or to score; only `answer_ids` count in a loss."""

    prompt_ids: list[int]
    answer_ids: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


class PromptBuilder:
    """Builds prompts and examples for one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        control_tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        longest_first = sorted(control_tokens, key=len, reverse=True)
        self._control_token = re.compile("|".join(map(re.escape, longest_first))) if control_tokens else None

    def prompt(self, messages: Sequence[Message], passages: Sequence[str] = ()) -> Prompt:
        """Prompt for the answer to the last message.

        Args:
            messages: `{"role": "user" | "assistant", "content": text}` in order; the last one is the user's.
            passages: retrieved texts, best first; what exceeds `passage_tokens` is cut at a sentence end where possible.

        Raises:
            InvalidRequestError: a message is malformed, the last one is not a question, or it is too long.
        """
        conversation = self._checked(messages)
        question = conversation.pop()["content"]
        length = len(self._ids(question))
        if length > self.settings.question_tokens:
            raise InvalidRequestError(
                f"the question has {length} tokens; at most {self.settings.question_tokens} are allowed",
                hint="shorten it, or ask it in parts",
            )
        history = self._recent(conversation)
        used = self._within_budget(passages)
        if used:
            body = "\n\n".join(used)
            question = f"Notes:\n{body}\n\nQuestion: {question}"
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "system", "content": self.settings.system}, *history, {"role": "user", "content": question}],
            tokenize=False,
            add_generation_prompt=True,
        )
        return Prompt(self._ids(str(rendered)), len(conversation) - len(history), len(used))

    def example(self, messages: Sequence[Message], passages: Sequence[str] = ()) -> Example:
        """Example whose answer is the last message, the assistant's, after the `prompt` of what precedes it.

        An answer that is cut has no end token, so that stopping in mid-sentence is not learnt.

        Raises:
            InvalidRequestError: as `prompt`, or the last message is not an answer.
        """
        if not messages or messages[-1].get("role") != "assistant":
            raise InvalidRequestError("an example must end with the assistant's answer")
        prompt = self.prompt(messages[:-1], passages)
        answer = [*self._ids(self._plain(messages[-1]["content"])), self.end_id]
        return Example(prompt.ids, answer[: self.settings.answer_tokens])

    @property
    def end_id(self) -> int:
        """Token that ends an answer."""
        end = self.tokenizer.eos_token_id
        if not isinstance(end, int):
            raise ValueError(f"the tokenizer must have one end token, not {end!r}")
        return end

    def _checked(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Messages with clean texts; neighbours of one role (a question sent twice) become one message."""
        merged: list[dict[str, str]] = []
        for message in messages:
            role, content = message.get("role"), message.get("content")
            if role not in ROLES:
                raise InvalidRequestError(f"unknown role {role!r}; allowed: {', '.join(ROLES)}")
            text = self._plain(content).strip() if isinstance(content, str) else ""
            if not text:
                raise InvalidRequestError(f"a message of the {role} has no text")
            if merged and merged[-1]["role"] == role:
                merged[-1]["content"] += f"\n{text}"
            else:
                merged.append({"role": role, "content": text})
        if not merged or merged[-1]["role"] != "user":
            raise InvalidRequestError(
                "the last message must be the user's question", hint="send at least one user message"
            )
        return merged

    def _recent(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """The latest messages that fit into the budget, beginning with a question."""
        start, room = len(messages), self.settings.history_tokens
        for index in range(len(messages) - 1, -1, -1):
            room -= len(self._ids(messages[index]["content"]))
            if room < 0:
                break
            if messages[index]["role"] == "user":
                start = index
        return messages[start:]

    def _within_budget(self, passages: Sequence[str]) -> list[str]:
        """Passages in their order until the budget is used; the one that crosses it is cut."""
        used: list[str] = []
        room = self.settings.passage_tokens
        for passage in passages:
            text = self._plain(passage).strip()
            cut = self._cut(text, room)
            if cut:
                used.append(cut)
            room -= len(self._ids(cut))
            if cut != text or room <= 0:
                break
        return used

    def _cut(self, text: str, room_tokens: int) -> str:
        """The text, or its longest beginning of whole sentences (failing that, words) within the room."""
        if room_tokens <= 0:
            return ""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if len(encoded["input_ids"]) <= room_tokens:
            return text
        beginning = text[: encoded["offset_mapping"][room_tokens - 1][1]]
        # A cut right behind a full stop still leaves the sentence whole.
        ends = [match.end() for match in _SENTENCE_END.finditer(text) if match.end() <= len(beginning)]
        if ends and ends[-1] >= len(beginning) // 2:
            return text[: ends[-1]]
        return beginning.rsplit(None, 1)[0] if " " in beginning else beginning

    def _plain(self, text: str) -> str:
        """Text without control tokens, so that a message cannot end itself and open another."""
        return self._control_token.sub(" ", text) if self._control_token else text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
