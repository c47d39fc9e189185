"""What the prediction log keeps of a chat's answer: nothing of what was said."""

from __future__ import annotations

from collections.abc import Sequence

from bentos.conversational_ai.messages import Finished, Passage
from stores.predictions import Figures


def answer_figures(passages: Sequence[Passage], end: Finished) -> Figures:
    """Similarity of the passages to the question, -1 to 1; whether it was declined, why it ended, and its length in tokens."""
    similarities = [round(passage.similarity, 4) for passage in passages]
    usage = end.usage
    return {
        "similarity": similarities,
        "best_similarity": [max(similarities)] if similarities else [],
        "declined": ["yes" if end.declined else "no"],
        "finish_reason": [end.finish_reason],
        "question_tokens": [usage.prompt_tokens] if usage else [],
        "answer_tokens": [usage.completion_tokens] if usage else [],
    }
