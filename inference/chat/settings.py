"""Settings of the chat model: shape of the adapter, what a prompt holds, how answers are worded."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class LoraSettings(Section):
    """Shape of the adapter (arXiv 2106.09685); which layers is `ours`."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1, description="the update is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    last_layers: int | None = Field(
        default=None, ge=1, description="adapt only so many of the uppermost layers; None: all of them"
    )

    def shape(self) -> tuple[int, int, tuple[str, ...], int | None]:
        """What decides whether one adapter's weights mean the same in another: all but the dropout."""
        return self.rank, self.alpha, tuple(sorted(self.targets)), self.last_layers


class PromptSettings(Section):
    """What is put before the question, and how much of it. Lengths count the tokens of the texts themselves."""

    system: str = "You are Aura, a fashion assistant. Answer in a few sentences from the notes and end with a tip."
    passage_tokens: int = Field(default=128, ge=0, description="all retrieved passages of a question together")
    history_tokens: int = Field(default=192, ge=0, description="earlier messages; the oldest are left out first")
    question_tokens: int = Field(default=256, ge=8, description="a longer question is refused")
    answer_tokens: int = Field(default=128, ge=8, description="a longer answer is cut in training")


class GenerationSettings(Section):
    """How answers are worded. Temperature 0 takes the likeliest token, so that a question always gets one answer."""

    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=0.9, gt=0.0, le=1.0, description="used with a temperature above 0")
    repetition_penalty: float = Field(default=1.0, ge=1.0, le=2.0, description="1: off (arXiv 1909.05858, 4.1)")
    seed: int = Field(default=0, ge=0, description="used with a temperature above 0")
