"""The answer that is shown: what the passages support, their own words in place of what they do not, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from inference.chat.answer import AnswerSentence
from inference.chat.support import CheckedSentence, without_opener


def grounded_answer(checked: Sequence[CheckedSentence]) -> list[AnswerSentence]:
    """The sentences of an answer that may be shown, in order; empty when no passage says any of it.

    A supported sentence stays. One that is contradicted, or near a passage's sentence without being supported, gives way to that
    sentence; any other is dropped. What an answer has said is not said again: a quote stands once, and neither with nor behind
    a sentence that rests on it. A bare "Yes." or greeting stays only before a sentence that stays.
    """
    shown: list[AnswerSentence] = []
    openers: list[str] = []
    said: set[str] = set()
    replaced_by: set[str] = set()
    for sentence in checked:
        if not without_opener(sentence.text):
            openers.append(sentence.text)
            continue
        if sentence.passage is not None and sentence.quote is not None:
            if sentence.verdict == "supported":
                if sentence.text not in said and sentence.quote not in replaced_by:
                    texts = [*openers, sentence.text]
                    shown += [AnswerSentence(text, sentence.passage, "supported") for text in texts]
                    said |= {sentence.text, sentence.quote}
            elif sentence.quote not in said:
                shown.append(AnswerSentence(sentence.quote, sentence.passage, "replaced"))
                said.add(sentence.quote)
                replaced_by.add(sentence.quote)
        openers = []
    return shown
