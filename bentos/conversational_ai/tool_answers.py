"""What a tool has answered before the model does, and the answer that begins with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bentos.conversational_ai.messages import Finished, Sentence, Started, ToolUse

AnswerPart = Started | Sentence | Finished


@dataclass(frozen=True, kw_only=True)
class ToolAnswer:
    """What was asked, and what is said of it.

    Attributes:
        sentences: the answer in words; empty: there is none.
        notes: why there is none, in sentences.
    """

    tools: Sequence[ToolUse] = ()
    sentences: Sequence[str] = ()
    notes: Sequence[str] = ()

    async def followed_by(self, answer: AsyncGenerator[AnswerPart, None]) -> AsyncGenerator[AnswerPart, None]:
        """The model's answer behind the tool's; that no passage answers is not said then."""
        async with aclosing(answer) as parts:
            async for part in parts:
                if isinstance(part, Started):
                    yield part.model_copy(update={"tools": [*self.tools], "notes": [*self.notes]})
                    for text in self.sentences:
                        yield Sentence(text=text, source=None, status="tool")
                elif isinstance(part, Finished) and self.sentences:
                    yield part.model_copy(update={"declined": False})
                elif not (isinstance(part, Sentence) and part.status == "declined" and self.sentences):
                    yield part


def in_a_list(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


async def no_tool() -> ToolAnswer:
    """Of a question that no tool is asked for."""
    return ToolAnswer()
