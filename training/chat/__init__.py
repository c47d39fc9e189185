"""Training of the chat model: NF4 QLoRA (arXiv 2305.14314) with the loss on answers only."""
