"""The prompt builder: training, evaluation and serving all turn a conversation into tokens here.

A prompt for an answer in the model's own words is the system text, the bounded history, and the question with the retrieved
passages before it, rendered by the tokenizer's own chat template. Passages belong to the last question alone, so that history
stays short and they are those of the question being answered.

A choice among the passages' sentences has one prompt per sentence, which the question follows; see `inference.chat.choosing`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from aura.errors import InvalidRequestError
from inference.chat.choosing import PassageSentence, passage_sentences
from inference.chat.contrasts import names_another_occasion
from inference.chat.passages import ChatPassage, whole_question
from inference.chat.settings import PromptSettings

PROMPT_VERSION = 2
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
class PromptMessages:
    """What a prompt holds, as messages: `system`, earlier ones, and the question behind the notes.

    Attributes:
        dropped_messages, used_passages: as of `Prompt`.
    """

    messages: list[dict[str, str]]
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


@dataclass(frozen=True)
class ChoicePrompt:
    """What a choice among sentences is made from.

    Attributes:
        question: the question with those on which it stands.
        sentences: what may be quoted.
        examples: for each sentence, a prompt that it stands in and the question as what follows.
        passages: those of which sentences may be quoted, from the first.
    """

    question: str
    sentences: list[PassageSentence]
    examples: list[Example]
    passages: list[ChatPassage]

    @property
    def used_passages(self) -> int:
        return len(self.passages)

    @property
    def headed(self) -> list[str]:
        """Each sentence below the heading of its passage."""
        return [self.passages[one.passage].below_heading(one.text) for one in self.sentences]

    @property
    def lags(self) -> list[float]:
        """How much less relevant each sentence's passage is than the most relevant one."""
        best = max((passage.relevance for passage in self.passages), default=0.0)
        return [best - self.passages[one.passage].relevance for one in self.sentences]

    @property
    def length(self) -> int:
        return sum(example.length for example in self.examples)

    def of_the_occasion(self) -> ChoicePrompt:
        """Without the sections on occasions other than that of the question; unchanged where nothing else was found."""
        headings = [passage.source.rpartition(". ")[2] for passage in self.passages]
        others = [names_another_occasion(self.question, heading) for heading in headings]
        places = [place for place, one in enumerate(self.sentences) if not others[one.passage]]
        return self.only(places) if places else self

    def only(self, places: Sequence[int]) -> ChoicePrompt:
        """The same question with the sentences at these places."""
        return replace(
            self,
            sentences=[self.sentences[place] for place in places],
            examples=[self.examples[place] for place in places],
        )


class PromptBuilder:
    """Builds prompts and examples for one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        control_tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        longest_first = sorted(control_tokens, key=len, reverse=True)
        self._control_token = re.compile("|".join(map(re.escape, longest_first))) if control_tokens else None

    def prompt(self, messages: Sequence[Message], passages: Sequence[str] = ()) -> Prompt:
        """Prompt for the answer to the last message: `conversation` as tokens. Arguments and errors as there."""
        told = self.conversation(messages, passages)
        rendered = self.tokenizer.apply_chat_template(told.messages, tokenize=False, add_generation_prompt=True)
        return Prompt(self._ids(str(rendered)), told.dropped_messages, told.used_passages)

    def conversation(self, messages: Sequence[Message], passages: Sequence[str] = ()) -> PromptMessages:
        """Messages that the answer to the last message follows.

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
            raise self._too_long(length)
        history = self._recent(conversation)
        used = self._within_budget(passages)
        if used:
            body = "\n\n".join(used)
            question = f"Notes:\n{body}\n\nQuestion: {question}"
        told = [{"role": "system", "content": self.settings.system}, *history, {"role": "user", "content": question}]
        return PromptMessages(told, len(conversation) - len(history), len(used))

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

    def choice_prompt(self, messages: Sequence[Message], passages: Sequence[ChatPassage]) -> ChoicePrompt:
        """Prompts for the choice of the sentences that answer the last message.

        Passages are whole: from the first that exceeds `passage_tokens` on, they are left out (of a single one, its last
        sentences).

        Raises:
            InvalidRequestError: as `prompt`.
        """
        question = self._fitting(self._checked(messages))
        kept, sentences = self._whole_within_budget([self._cleaned(passage) for passage in passages])
        asked = [*self._ids(question), self.end_id]
        examples = [
            Example(self._sentence_prompt(kept[sentence.passage].source, sentence.text), asked)
            for sentence in sentences
        ]
        return ChoicePrompt(question, sentences, examples, kept)

    def _sentence_prompt(self, source: str, sentence: str) -> list[int]:
        rendered = self.tokenizer.apply_chat_template(
            [
                {"role": "system", "content": self.settings.choice_system},
                {"role": "user", "content": f"{source}.\n{sentence}"},
            ],
            tokenize=False,
            add_generation_prompt=True,
        )
        return self._ids(str(rendered))

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

    def _fitting(self, conversation: Sequence[Message]) -> str:
        """The question with those on which it stands; alone when they are too long together."""
        for question in (whole_question(conversation), " ".join(conversation[-1]["content"].split())):
            length = len(self._ids(question))
            if length <= self.settings.question_tokens:
                return question
        raise self._too_long(length)

    def _too_long(self, tokens: int) -> InvalidRequestError:
        return InvalidRequestError(
            f"the question has {tokens} tokens; at most {self.settings.question_tokens} are allowed",
            hint="shorten it, or ask it in parts",
        )

    def _cleaned(self, passage: ChatPassage) -> ChatPassage:
        return replace(passage, source=self._plain(passage.source), text=self._plain(passage.text))

    def _whole_within_budget(self, passages: Sequence[ChatPassage]) -> tuple[list[ChatPassage], list[PassageSentence]]:
        """The first passages that fit as a whole, and their sentences; of a single one that does not fit, its first sentences."""
        kept: list[ChatPassage] = []
        room = self.settings.passage_tokens
        for passage in passages:
            room -= len(self._ids(passage.text))
            if room < 0 and kept:
                break
            kept.append(passage)
        sentences = passage_sentences(kept)
        while (
            len(sentences) > 1 and sum(len(self._ids(each.text)) for each in sentences) > self.settings.passage_tokens
        ):
            sentences.pop()
        used = max((sentence.passage for sentence in sentences), default=-1) + 1
        return kept[:used], sentences

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
