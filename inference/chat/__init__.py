"""The chat model: a causal language model with a LoRA adapter that answers in the house voice from retrieved notes."""

from inference.chat.artifact import ChatConfig, LoraSettings, read_chat_artifact, write_chat_artifact
from inference.chat.base import load_tokenizer, resolve_base
from inference.chat.decoding import GenerationSettings
from inference.chat.model import ChatModel, Reply, ReplyStream
from inference.chat.prompt import Example, Message, Prompt, PromptBuilder, PromptSettings

__all__ = [
    "ChatConfig",
    "ChatModel",
    "Example",
    "GenerationSettings",
    "LoraSettings",
    "Message",
    "Prompt",
    "PromptBuilder",
    "PromptSettings",
    "Reply",
    "ReplyStream",
    "load_tokenizer",
    "read_chat_artifact",
    "resolve_base",
    "write_chat_artifact",
]
