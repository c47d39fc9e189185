"""The chat model: a causal language model with a LoRA adapter that answers in the house voice from retrieved passages."""
