"""Settings of the chat model: shape of the adapter, what a prompt holds, how answers are generated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from aura.settings import ModelReference, Section
from inference.chat.support import SupportSettings
from inference.references import TEXT_EMBEDDER_REFERENCE

SMALL_BASE = 1_000_000_000
"""Parameters below which a base invents more than it knows, so that it had better quote."""


class LoraSettings(Section):
    """Shape of the adapter (arXiv 2106.09685); the choice of layers is `ours`."""

    rank: int = Field(default=16, ge=1)
    """Rank of the update of each weight matrix."""
    alpha: int = Field(default=32, ge=1)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability that an input of the adapter is dropped in training."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Names of the linear layers that are adapted."""
    last_layers: int | None = Field(default=None, ge=1)
    """Number of layers, from the last, that are adapted; null: all of them."""

    def shape(self) -> tuple[int, int, tuple[str, ...], int | None]:
        """The settings that two adapters must share to exchange weights: all but the dropout."""
        return self.rank, self.alpha, tuple(sorted(self.targets)), self.last_layers


class PromptSettings(Section):
    """What precedes the question, and its limits in tokens (of the texts alone, without the template)."""

    system: str = "You are Aura, a fashion assistant. Answer in a few sentences from the notes and end with a tip."
    """Text of the system message before an answer in the model's own words."""
    choice_system: str = "Ask what this answers."
    """Text of the system message before each of the sentences among which a choice is made; short, as it is read with each."""
    passage_tokens: int = Field(default=320, ge=0)
    """Most tokens of all passages of a question together, which holds three whole sections; what exceeds them is cut or left
    out."""
    history_tokens: int = Field(default=192, ge=0)
    """Most tokens of earlier messages; the oldest are left out first."""
    question_tokens: int = Field(default=256, ge=8)
    """Most tokens of a question; a longer one is refused."""
    answer_tokens: int = Field(default=128, ge=8)
    """Most tokens of an answer in training; a longer one is cut."""


class GenerationSettings(Section):
    """How answers are generated. Temperature 0 takes the likeliest token, so that a question always gets one answer."""

    max_new_tokens: int = Field(default=128, ge=1)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    """Divisor of the logits before a token is sampled; 0: no sampling."""
    top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    """Probability mass of the likeliest tokens that are sampled from; used with a temperature above 0."""
    repetition_penalty: float = Field(default=1.0, ge=1.0, le=2.0)
    """Divisor of the scores of tokens that occurred before (arXiv 1909.05858, section 4.1); 1: none."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampling; used with a temperature above 0."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.temperature == 0:
            self.refuse_ignored(("top_p", "seed"), "temperature 0 samples nothing")
        return self


class AnswerSettings(Section):
    """How a question is answered from passages."""

    way: Literal["auto", "quoted", "free"] = "auto"
    """`quoted`: the model chooses whole sentences of the passages. `free`: it answers in its own words, and what no passage says
    is replaced or left out. `auto`: `quoted` for a base of less than a billion parameters."""
    max_sentences: int = Field(default=3, ge=1, le=12)
    """Most sentences of a quoted answer."""
    scored_sentences: int = Field(default=6, ge=1)
    """Sentences that the model scores: those nearest to the question by embedding, as every one costs a fifth of a second."""
    min_probability: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Probability of holding a fact that the question asks for from which a sentence is quoted; the likeliest always is."""
    text_embedder: ModelReference = TEXT_EMBEDDER_REFERENCE
    """Text embedder that compares a generated sentence with the passages'."""
    support: SupportSettings = SupportSettings()

    def resolved(self, base_parameters: int) -> AnswerSettings:
        """These settings with `auto` decided for a base of so many parameters."""
        if self.way != "auto":
            return self
        return self.model_copy(update={"way": "quoted" if base_parameters < SMALL_BASE else "free"})
