"""Answers sentence by sentence, and the free way to make one: generated, and checked against the passages."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.grounding import grounded_answer
from inference.chat.openai_backend import BackendReply
from inference.chat.passages import ChatPassage
from inference.chat.reply import FinishReason, ReplyStream
from inference.chat.sentences import split_sentences
from inference.chat.support import CheckedSentence, SupportChecker


class AnswerStream(Iterator[AnswerSentence]):
    """An answer sentence by sentence, as it comes to be. `close()` ends the work; what was told stays readable.

    Attributes:
        prompt_tokens: tokens that the answer follows.
        dropped_messages: earlier messages that did not fit into the prompt.
        used_passages: passages, from the first, of which at least a part is in the prompt.
        finish_reason: None until the answer has ended; `length`: the limit ended it.
        declined: whether the answer is that nothing was found.
    """

    def __init__(
        self, sentences: Generator[AnswerSentence, None, FinishReason], *, prompt_tokens: int, dropped_messages: int,
        used_passages: int,
    ) -> None:  # fmt: skip
        self.prompt_tokens = prompt_tokens
        self.dropped_messages = dropped_messages
        self.used_passages = used_passages
        self.finish_reason: FinishReason | None = None
        self.declined = False
        self._sentences = self._told(sentences)

    def __next__(self) -> AnswerSentence:
        return next(self._sentences)

    def close(self) -> None:
        """Stop answering. Safe to call at any time, and more than once."""
        self._sentences.close()

    def _told(self, sentences: Generator[AnswerSentence, None, FinishReason]) -> Generator[AnswerSentence, None, None]:
        try:
            while True:
                sentence = next(sentences)
                self.declined = sentence is DECLINED
                yield sentence
        except StopIteration as end:
            self.finish_reason = end.value
        finally:
            sentences.close()


def checked_sentences(
    reply: ReplyStream | BackendReply, passages: Sequence[ChatPassage], checker: SupportChecker
) -> Generator[AnswerSentence, None, FinishReason]:
    """The sentences of a generated answer that the passages bear out, each as soon as it is whole; or that nothing answers."""
    texts = [passage.whole for passage in passages]
    checked: list[CheckedSentence] = []
    shown = 0
    with closing(reply):
        for sentence in _whole_sentences(reply):
            checked += checker.check([sentence], texts)
            answer = grounded_answer(checked)
            yield from answer[shown:]
            shown = len(answer)
    if not shown:
        yield DECLINED
    return reply.finish_reason or "length"


def _whole_sentences(pieces: Iterator[str]) -> Iterator[str]:
    """Each sentence when the next one has begun, so that what follows a full stop can still belong to it."""
    text, told = "", 0
    for piece in pieces:
        text += piece
        sentences = split_sentences(text)
        for sentence in sentences[told:-1]:
            told += 1
            yield sentence
    yield from split_sentences(text)[told:]
